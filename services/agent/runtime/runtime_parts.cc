#include "services/agent/runtime/runtime_parts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/runtime/cgroup_discovery.h"
#include "services/agent/runtime/file_undo_journal.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

std::string BesideThisProgram(const std::string& name) {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  const std::string program(path, size > 0 ? static_cast<size_t>(size) : 0);
  return absl::StrCat(program.substr(0, program.rfind('/')), "/", name);
}

absl::Status CheckOptions(const LinuxRuntimeOptions& options) {
  if (options.runtime_dir.empty() || options.runtime_dir[0] != '/') {
    return absl::InvalidArgumentError("runtime_dir must be an absolute path");
  }
  if (!options.durable_dir.empty() && options.durable_dir[0] != '/') {
    return absl::InvalidArgumentError("durable_dir must be an absolute path");
  }
  if (options.cgroups_root.empty() || options.cgroups_root[0] == '/' ||
      absl::StrCat("/", options.cgroups_root, "/").find("/../") != std::string::npos) {
    return absl::InvalidArgumentError("cgroups_root must be a relative path without \"..\"");
  }
  if (options.workers == 0) return absl::InvalidArgumentError("workers must be at least 1");
  if (geteuid() != 0) {
    return absl::PermissionDeniedError("containers need root: run agent-svc as root");
  }
  return absl::OkStatus();
}

// What most containers are: those of tasks without a pod.
std::map<Shape, size_t> UsualStock(const Isolation& isolation, size_t count) {
  const std::optional<Shape> usual = ShapeOf(isolation.usual_namespaces());
  if (!usual.has_value() || count == 0) return {};
  return {{*usual, count}};
}

}  // namespace

RuntimeParts::RuntimeParts(const LinuxRuntimeOptions& options,
                           std::vector<std::unique_ptr<Isolator>> isolators, HostFacts facts,
                           CgroupTree opened_tree, StateDirectory opened_states,
                           std::unique_ptr<UndoJournal> opened_journal, base::UniqueFd opened_null)
    : boot_id(BootId()),
      isolation(std::move(isolators), std::move(facts)),
      tree(std::move(opened_tree)),
      states(std::move(opened_states)),
      journal(std::move(opened_journal)),
      null(std::move(opened_null)),
      launcher(options.launcher_path),
      park(&executor, isolation.events(), UsualStock(isolation, options.parked_containers)) {}

absl::StatusOr<std::unique_ptr<RuntimeParts>> MakeRuntimeParts(LinuxRuntimeOptions options) {
  RETURN_IF_ERROR(CheckOptions(options));
  if (options.launcher_path.empty()) options.launcher_path = BesideThisProgram("agent-launcher");
  if (options.durable_dir.empty()) options.durable_dir = options.runtime_dir;

  ASSIGN_OR_RETURN(auto isolators, MakeIsolators(options.isolation));
  if (options.more_isolators) {
    for (auto& isolator : options.more_isolators()) isolators.push_back(std::move(isolator));
  }
  std::set<CgroupController> controllers;
  for (const auto& isolator : isolators) {
    for (const CgroupController c : isolator->Controllers()) controllers.insert(c);
  }
  HostFacts facts;
  ASSIGN_OR_RETURN(facts.layout, DiscoverCgroupLayout({controllers.begin(), controllers.end()}));
  facts.clock_ticks_per_second = sysconf(_SC_CLK_TCK);
  facts.page_bytes = sysconf(_SC_PAGESIZE);
  for (const auto& isolator : isolators) RETURN_IF_ERROR(isolator->CheckHost(facts));

  ASSIGN_OR_RETURN(StateDirectory states, StateDirectory::Open(options.runtime_dir));
  ASSIGN_OR_RETURN(std::unique_ptr<UndoJournal> journal,
                   FileUndoJournal::Open(options.durable_dir + "/undo"));
  RETURN_IF_ERROR(PrepareCgroupRoot(facts.layout, options.cgroups_root));
  ASSIGN_OR_RETURN(CgroupTree tree, CgroupTree::Open(facts.layout, options.cgroups_root));
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return base::ErrnoStatus(errno, "open", "/dev/null");

  auto parts = std::make_unique<RuntimeParts>(options, std::move(isolators), std::move(facts),
                                              std::move(tree), std::move(states),
                                              std::move(journal), std::move(null));
  RETURN_IF_ERROR(parts->launcher.Start());
  return parts;
}

}  // namespace tessera::agent
