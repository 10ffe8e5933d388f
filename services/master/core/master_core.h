// The master's brain: who leads, and what the leader does. `Step` dispatches; everything is decided
// by Leadership and, while this process leads, by a Reign.
//
// Invariants: no effect of a reign is produced at or after the end of its lease; a call is answered
// exactly once; see README.md for the rest.
//
// Threads: none of its own; one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/base/rng.h"
#include "services/master/core/allocation_inquiry.h"
#include "services/master/core/counters.h"
#include "services/master/core/leadership.h"
#include "services/master/core/master_config.h"
#include "services/master/core/master_events.h"
#include "services/master/core/outbox.h"
#include "services/master/core/reign.h"
#include "services/master/core/request_ids.h"

namespace tessera::master {

class MasterCore {
 public:
  // `config` must be valid (Validate). `rng` decides jitter and, in a registry without content, the
  // cell's id.
  MasterCore(MasterConfig config, base::Rng rng);

  // Takes one event at a time that does not go back. Effects are appended.
  void Step(absl::Time now, const Event& event, Effects* effects);
  // When a Wake is wanted; InfiniteFuture when nothing is due.
  absl::Time NextDeadline() const;

  // It leads and takes calls.
  bool leading() const { return reign_ != nullptr && reign_->leading(); }
  uint64_t epoch() const { return reign_ != nullptr ? leadership_.epoch() : 0; }

  // What it leads by; null unless leading(). Good until the next Step. For tests and the simulator.
  const Books* books() const { return leading() ? reign_->books() : nullptr; }
  // INTERNAL names the first broken invariant of the books. For tests and the simulator.
  absl::Status CheckInvariants() const;
  // UNAVAILABLE (NOT_LEADER, RECOVERING) unless leading(); else as the function of that name.
  absl::StatusOr<AllocationInquiry> InquireAllocation(
      const ops::ExplainAllocationRequest& request) const;
  // A copy of everything that is published.
  MasterMetrics Metrics() const;

 private:
  // What the core itself looks after.
  void TakeOwn(absl::Time now, const Event& event);
  // Begins or ends a reign as the lease says.
  void FollowLeadership();
  void EndReign();
  absl::Status NotLeading() const;

  const MasterConfig config_;
  base::Rng rng_;
  RequestIds ids_;
  Outbox outbox_;
  MasterCounters counters_;
  Leadership leadership_;
  std::unique_ptr<Reign> reign_;
  uint64_t reign_epoch_ = 0;
  std::optional<std::vector<std::string>> whitelist_;
};

}  // namespace tessera::master
