// A bounded pool of threads for blocking work, with two queues: urgent work goes first, and one
// thread takes nothing else, so that a container can be killed while launches hang.
//
// Thread-safe. The destructor runs what is queued and then joins.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::agent {

class WorkerPool {
 public:
  using Work = std::function<void()>;

  // `threads` for either kind of work, and one more for urgent work only. `queue_limit` bounds the
  // queue of work that is not urgent.
  WorkerPool(size_t threads, size_t queue_limit);
  ~WorkerPool();

  // False when the queue is full.
  bool Submit(Work work);
  void SubmitUrgent(Work work);

 private:
  void Run(bool urgent_only);

  const size_t queue_limit_;
  absl::Mutex mutex_;
  std::deque<Work> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tessera::agent
