#pragma once

// Removes the cgroups of ended containers on a thread of its own, off the path of launches and ends.
//
// The kernel may refuse for a moment, while processes are still leaving: such a cgroup is tried again
// with growing pauses, for ever. Thread-safe.

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/agent/runtime/cgroup_tree.h"

namespace tessera::agent {

class CgroupReaper {
 public:
  // `tree` must outlive the reaper.
  explicit CgroupReaper(const CgroupTree* tree);
  // Tries what is left for up to two seconds.
  ~CgroupReaper();

  void Remove(std::string cgroup);

  uint64_t retries() const { return retries_.load(std::memory_order_relaxed); }
  size_t waiting() const;

 private:
  struct Item {
    std::string cgroup;
    absl::Duration pause = absl::Milliseconds(1);
  };

  void Run();

  const CgroupTree* const tree_;
  std::atomic<uint64_t> retries_{0};
  mutable absl::Mutex mutex_;
  std::multimap<absl::Time, Item> items_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar changed_;
  std::thread thread_;
};

}  // namespace tessera::agent
