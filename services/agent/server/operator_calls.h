// Operators' calls that wait for the core to answer.
//
// Invariants: a callback comes at most once, and never once its call was removed; numbers are not
// used again, and 0 is none.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/container/container_runtime.h"

namespace tessera::agent {

class OperatorCalls {
 public:
  using Callback = std::function<void(absl::Status, const std::optional<ContainerTermination>&)>;

  explicit OperatorCalls(size_t waiting_max) : waiting_max_(waiting_max) {}

  // The call's number; 0 when too many wait, and `done` never comes.
  uint64_t Add(Callback done) {
    absl::MutexLock lock(&mu_);
    if (waiting_.size() >= waiting_max_) return 0;
    waiting_[++last_] = std::move(done);
    return last_;
  }

  // False: the call has been answered, or is just being.
  bool Remove(uint64_t call) {
    absl::MutexLock lock(&mu_);
    return waiting_.erase(call) > 0;
  }

  // Nothing happens when the call is gone.
  void Answer(uint64_t call, const absl::Status& status,
              const std::optional<ContainerTermination>& termination) {
    Callback done;
    {
      absl::MutexLock lock(&mu_);
      auto waiting = waiting_.extract(call);
      if (waiting.empty()) return;
      done = std::move(waiting.mapped());
    }
    done(status, termination);
  }

 private:
  const size_t waiting_max_;
  absl::Mutex mu_;
  uint64_t last_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Callback> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::agent
