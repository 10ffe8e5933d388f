// Inits made ahead of the containers that will use them: cloned, in fresh cgroups and namespaces,
// waiting for a start request. A launch that finds one in stock saves the making.
//
// Every init serves one container. One for unusual namespaces, or with no stock, is made in line.
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/isolators/operations.h"
#include "services/agent/launcher/launcher_client.h"
#include "services/agent/runtime/cgroup_tree.h"

namespace tessera::agent {

struct PreparedInit {
  std::string cgroup;
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  base::UniqueFd pidfd;
  base::UniqueFd control;
  base::UniqueFd oom;  // CgroupTree::WatchOom
  // Keeps the mount namespace, so that its end is not a part of init's.
  base::UniqueFd mount_namespace;
};

class InitPark {
 public:
  // `tree` and `launcher` must outlive the park. `stock`: how many to keep ready.
  InitPark(const CgroupTree* tree, LauncherClient* launcher, NewNamespaces usual, size_t stock);
  // Ends those in stock and removes their cgroups.
  ~InitPark();

  // Begins to fill the stock; cgroups are named c<first_number> and up.
  void Start(uint64_t first_number);

  // From stock, or made now. INTERNAL or RESOURCE_EXHAUSTED with the step that failed.
  absl::StatusOr<PreparedInit> Take(const NewNamespaces& namespaces);
  absl::StatusOr<PreparedInit> Make(const NewNamespaces& namespaces);

  size_t in_stock() const;

 private:
  void Run();

  const CgroupTree* const tree_;
  LauncherClient* const launcher_;
  const NewNamespaces usual_;
  const size_t stock_limit_;
  mutable absl::Mutex mutex_;
  std::deque<PreparedInit> stock_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar changed_;
  std::thread thread_;
};

// Ends an init that has not started a command and waits until it is gone, two seconds at most.
void AbandonInit(PreparedInit* init);

}  // namespace tessera::agent
