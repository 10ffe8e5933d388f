// Takes away what ended containers leave behind, off the path of launches and ends: their mount
// namespaces, whose end waits for every cpu of the machine, and their cgroups.
//
// The kernel may refuse a cgroup's removal for a moment, while processes are still leaving: such a
// one is tried again with growing pauses, for ever. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/agent/runtime/step_executor.h"

namespace tessera::agent {

class CgroupReaper {
 public:
  // `executor` must outlive the reaper.
  explicit CgroupReaper(StepExecutor* executor);
  // Tries what is left for up to two seconds.
  ~CgroupReaper();

  // `mount_namespace` is closed; it may be invalid.
  void Remove(std::string cgroup, base::UniqueFd mount_namespace);

  uint64_t retries() const { return retries_.load(std::memory_order_relaxed); }
  size_t waiting() const;

 private:
  struct Item {
    std::string cgroup;
    base::UniqueFd mount_namespace;
    absl::Duration pause = absl::Milliseconds(1);
  };

  void Run();

  StepExecutor* const executor_;
  std::atomic<uint64_t> retries_{0};
  mutable absl::Mutex mutex_;
  std::multimap<absl::Time, Item> items_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::CondVar changed_;
  // Most of their time they wait for the kernel.
  std::vector<std::thread> threads_;
};

}  // namespace tessera::agent
