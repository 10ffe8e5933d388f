// The agent's side of agent-launcher: starts it, asks it for inits, starts it again when it has
// died.
//
// Threads: any. Requests are served one after the other, as the launcher has one thread.
//
// Invariant: the agent itself never forks. The launcher is started with posix_spawn, whose child
// borrows the agent's memory until exec, so neither the agent's size nor its threads matter.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

struct CloneRequest {
  uint32_t made = 0;               // wire::NamespaceBit of new namespaces
  uint32_t joined = 0;             // and of those to join
  std::vector<int> join;           // descriptors of these, in the order of the bits
  std::string v2_directory;        // empty without cgroup v2
  std::vector<std::string> tasks;  // v1 files that the init joins
};

// A new init, parked until it gets its start request on `control`; it ends when `control` closes
// before that.
struct ClonedInit {
  pid_t pid = 0;
  base::UniqueFd pidfd;
  base::UniqueFd control;
};

class LauncherClient {
 public:
  // `program`: path of agent-launcher.
  explicit LauncherClient(std::string program) : program_(std::move(program)) {}
  ~LauncherClient();

  // Starts the launcher. NOT_FOUND or INTERNAL with the path when it cannot be run.
  absl::Status Start();

  // One init. A dead launcher is started again, once a call. INTERNAL with the failed call's errno
  // as text otherwise; RESOURCE_EXHAUSTED when the kernel has no room for another process.
  absl::StatusOr<ClonedInit> Clone(const CloneRequest& request);

  // Of the running launcher; 0 without one.
  pid_t pid() const;

  uint64_t restarts() const;

 private:
  absl::Status StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // UNAVAILABLE when the launcher is gone.
  absl::StatusOr<ClonedInit> CloneOnce(const std::string& frame, const std::vector<int>& join)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string program_;
  mutable absl::Mutex mutex_;
  base::UniqueFd socket_ ABSL_GUARDED_BY(mutex_);
  pid_t pid_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t restarts_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera::agent
