#include "services/agent/runtime/mount_trees.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>

#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr uint64_t kSlave = 1 << 19;  // MS_SLAVE, of <sys/mount.h> that does not go with this one

absl::StatusOr<base::UniqueFd> Take(const HostTree& tree) {
  base::UniqueFd copy(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, tree.source.c_str(),
              OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | static_cast<unsigned>(AT_RECURSIVE))));
  if (!copy.valid()) return base::ErrnoStatus(errno, "take", tree.source);
  mount_attr attributes{};
  attributes.propagation = kSlave;
  if (tree.read_only) attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (syscall(SYS_mount_setattr, copy.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
              sizeof(attributes)) != 0) {
    return base::ErrnoStatus(errno, "take", tree.source);
  }
  return copy;
}

}  // namespace

absl::StatusOr<std::vector<base::UniqueFd>> TakeMountTrees(const IsolationPlan& plan) {
  std::vector<base::UniqueFd> trees;
  if (!plan.root.empty()) {
    ASSIGN_OR_RETURN(base::UniqueFd root, Take({.source = plan.root}));
    trees.push_back(std::move(root));
  }
  for (const HostTree& tree : plan.trees) {
    ASSIGN_OR_RETURN(base::UniqueFd copy, Take(tree));
    trees.push_back(std::move(copy));
  }
  return trees;
}

}  // namespace tessera::agent
