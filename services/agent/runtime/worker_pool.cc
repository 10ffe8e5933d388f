#include "services/agent/runtime/worker_pool.h"

#include <utility>

namespace tessera::agent {

WorkerPool::WorkerPool(size_t threads, size_t queue_limit) : queue_limit_(queue_limit) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(false); });
  threads_.emplace_back([this] { Run(true); });
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(Work work) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= queue_limit_) return false;
  queue_.push_back(std::move(work));
  return true;
}

void WorkerPool::SubmitUrgent(Work work) {
  absl::MutexLock lock(&mutex_);
  urgent_.push_back(std::move(work));
}

void WorkerPool::Run(bool urgent_only) {
  for (;;) {
    Work work;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this, urgent_only] {
        mutex_.AssertHeld();
        return ending_ || !urgent_.empty() || (!urgent_only && !queue_.empty());
      };
      mutex_.Await(absl::Condition(&ready));
      std::deque<Work>& queue = urgent_.empty() && !urgent_only ? queue_ : urgent_;
      if (queue.empty()) return;
      work = std::move(queue.front());
      queue.pop_front();
    }
    work();
  }
}

}  // namespace tessera::agent
