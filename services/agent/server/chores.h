// What the agent does on the side, one thing after the other on one thread: deletes old sandboxes
// and looks how full their disk is.
//
// Threads: any.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tessera::agent {

class Chores {
 public:
  // Calls `on_disk_used` with the used fraction of `sandbox_root`'s file system, now and at each
  // interval.
  Chores(std::string sandbox_root, absl::Duration disk_watch_interval,
         std::function<void(double)> on_disk_used);
  // Drops what has not begun.
  ~Chores();
  Chores(const Chores&) = delete;
  Chores& operator=(const Chores&) = delete;

  // Deletes the tree at `path`, then, if that is wanted, its parents below the root as far as they
  // are empty: who makes a directory in one of them tries again when it has just gone. Only paths
  // below the root are touched, and no link is followed. OK when nothing is there.
  void DeleteTree(const std::string& path, bool with_empty_parents,
                  std::function<void(absl::Status)> done);

 private:
  struct Order {
    std::string path;
    bool with_empty_parents = false;
    std::function<void(absl::Status)> done;
  };

  void Run();
  absl::Status Delete(const std::string& path, bool with_empty_parents) const;
  void LookAtDisk() const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !orders_.empty(); }

  const std::string sandbox_root_;
  const absl::Duration disk_watch_interval_;
  const std::function<void(double)> on_disk_used_;
  absl::Mutex mu_;
  std::deque<Order> orders_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::agent
