// The statuses of one task on their way to its framework: in order, one at a time, until
// acknowledged.
//
// Invariants: only a durable head is sent; it stays the head until its acknowledgement is durable;
// the wait between two sends of one head doubles up to its bound.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::agent {

class StatusStream {
 public:
  bool empty() const { return pending_.empty(); }
  const std::deque<model::v1::TaskStatus>& pending() const { return pending_; }
  size_t durable() const { return durable_; }

  void Add(model::v1::TaskStatus status) { pending_.push_back(std::move(status)); }

  // One more of the pending ones is in the log.
  void MarkOneDurable() { durable_ = std::min(durable_ + 1, pending_.size()); }

  // The status that may be sent now; null when there is none.
  const model::v1::TaskStatus* Head() const {
    return durable_ > 0 && !acknowledged_ ? &pending_.front() : nullptr;
  }

  // True when `uuid` acknowledges the head for the first time. The head stays until PopHead().
  bool Acknowledge(const std::string& uuid) {
    if (Head() == nullptr || pending_.front().uuid() != uuid) return false;
    acknowledged_ = true;
    return true;
  }

  // The head is acknowledged, which may not be durable yet.
  bool head_acknowledged() const { return acknowledged_; }

  // The acknowledgement is durable: the next one becomes the head.
  model::v1::TaskStatus PopHead() {
    model::v1::TaskStatus head = std::move(pending_.front());
    pending_.pop_front();
    if (durable_ > 0) --durable_;
    acknowledged_ = false;
    wait_ = absl::ZeroDuration();
    return head;
  }

  void Clear() {
    pending_.clear();
    durable_ = 0;
    acknowledged_ = false;
    wait_ = absl::ZeroDuration();
  }

  // How long to wait for the acknowledgement of the head that is being sent now.
  absl::Duration NextWait(absl::Duration min, absl::Duration max) {
    wait_ = wait_ == absl::ZeroDuration() ? min : std::min(wait_ * 2, max);
    return wait_;
  }
  // A new link: the next send counts as the first.
  void ResetWait() { wait_ = absl::ZeroDuration(); }
  // The head has been sent before on this link.
  bool sent() const { return wait_ != absl::ZeroDuration(); }

 private:
  std::deque<model::v1::TaskStatus> pending_;
  size_t durable_ = 0;
  bool acknowledged_ = false;
  absl::Duration wait_;
};

}  // namespace tessera::agent
