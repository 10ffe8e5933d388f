// A few threads for reads that take longer than a callback may: pages of lists.
//
// Threads: any. Work is begun in the order in which it was accepted.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::state {

class ReadPool {
 public:
  ReadPool(int threads, size_t queue_max);
  // Runs what was accepted, then joins.
  ~ReadPool();
  ReadPool(const ReadPool&) = delete;
  ReadPool& operator=(const ReadPool&) = delete;

  // False when too much waits: the caller refuses with RESOURCE_EXHAUSTED (OVERLOADED).
  [[nodiscard]] bool Run(std::function<void()> work);

 private:
  void Work();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }

  const size_t queue_max_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tessera::state
