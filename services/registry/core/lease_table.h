// Who leads, and who wants to: one lease with an epoch that only grows, and a line of candidates.
//
// States: free, being granted (its record is on the way to disk), held. A record that is found when
// a registry begins to act is held for its whole time again, because its holder may have renewed it
// just before.
//
// Invariants: epochs only grow; a grant is told only when it is synced; while a lease is held or
// being granted there is no other grant.
//
// Renewals are not durable, and need not be: whoever begins to act, after a restart or in the place
// of another registry, takes the renewals of the holder that is on disk, by (candidate, epoch),
// from its first moment on. That is safe, because
// - the record on disk is the newest grant that anybody was ever told: a grant is told when it is
//   synced, and who was turned out as the store's owner can sync nothing;
// - so nobody acts on a higher epoch, and nobody is granted one before the whole time is over,
//   counted from a moment when the one before could answer no renewal any more;
// - a holder whose lease had run out over there, or who resigned without its being on disk, and who
//   renews nevertheless, only keeps the lease from others for a while, as the highest epoch.
// So a change of the acting registry costs a master its leadership only when it takes longer than
// the lease.
//
// Threads: none; belongs to the core.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/registry/core/registry_events.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

class LeaseTable {
 public:
  // `recovered` is the last grant on disk; without a candidate, an epoch that was raised by hand:
  // nobody holds it, but it is waited for as long, because a grant that was lost may still be held.
  // `ttl`: how long a grant or a renewal lasts.
  LeaseTable(absl::Duration ttl, size_t candidates_max, const LeaseRecord& recovered,
             absl::Time now);

  // A candidate gets in line; it hears of the leader at once, and of every change.
  void Campaign(const CampaignRequested& request, Effects* effects);
  // True when the stream was a candidate's.
  bool Leave(StreamId stream);

  // kStaleEpoch when the caller does not hold the lease.
  RenewAnswer Renew(const RenewRequested& request, absl::Time now);

  // True when the caller holds the lease: it is free from now on, and record() must become durable.
  // A grant to the next candidate may follow at once, in the same batch.
  bool Resign(const ResignRequested& request, Effects* effects);

  // Frees a lease that has run out, and tells the candidates. True when it did.
  bool Expire(absl::Time now, Effects* effects);

  // When the lease is free and somebody waits: begins a grant and returns the record to make
  // durable. Granted() says that it is.
  std::shared_ptr<const LeaseRecord> BeginGrant();
  // True when the winner was told; false when it has left meanwhile and the lease is free again.
  bool Granted(absl::Time now, Effects* effects);
  // Whether the record of a grant is durable cannot be told: its epoch is nobody's.
  void AbandonGrant();

  // Whether a commit with this epoch may be accepted.
  bool Holds(Epoch epoch) const {
    return state_ == State::kHeld && !record_.leader.candidate_id.empty() &&
           record_.leader.epoch == epoch;
  }

  std::shared_ptr<const LeaseRecord> record() const {
    return std::make_shared<const LeaseRecord>(record_);
  }
  Epoch highest_epoch() const { return record_.leader.epoch; }
  std::optional<Leader> leader() const;
  size_t candidates() const { return line_.size(); }
  std::vector<StreamId> streams() const;
  // When the lease runs out; infinite while it is free or being granted.
  absl::Time expiry() const { return state_ == State::kHeld ? expiry_ : absl::InfiniteFuture(); }

 private:
  enum class State { kFree, kGranting, kHeld };
  struct Candidate {
    StreamId stream = 0;
    Leader who;
  };

  void Free(Effects* effects);
  void TellAll(Effects* effects) const;

  const absl::Duration ttl_;
  const size_t candidates_max_;
  LeaseRecord record_;
  State state_ = State::kFree;
  absl::Time expiry_ = absl::InfiniteFuture();
  // In the order of their coming. The holder stays in it for as long as its campaign is open.
  std::deque<Candidate> line_;
  // Whose grant is on the way to disk.
  StreamId granting_to_ = 0;
};

}  // namespace tessera::registry
