#include "services/registry/core/lease_table.h"

#include <algorithm>
#include <utility>

#include "services/base/bug.h"

namespace tessera::registry {

LeaseTable::LeaseTable(absl::Duration ttl, size_t candidates_max, const LeaseRecord& recovered,
                       absl::Time now)
    : ttl_(ttl), candidates_max_(candidates_max), record_(recovered) {
  if (record_.leader.epoch > 0 && !record_.resigned) {
    state_ = State::kHeld;
    expiry_ = now + std::max(ttl, record_.ttl);
  }
}

std::optional<Leader> LeaseTable::leader() const {
  if (state_ != State::kHeld || record_.leader.candidate_id.empty()) return std::nullopt;
  return record_.leader;
}

void LeaseTable::TellAll(Effects* effects) const {
  for (const Candidate& candidate : line_) {
    effects->push_back(CampaignSend{.stream = candidate.stream, .leader = leader()});
  }
}

void LeaseTable::Campaign(const CampaignRequested& request, Effects* effects) {
  if (request.candidate_id.empty() || request.address.empty()) {
    effects->push_back(EndStream{request.stream, Refusal::kMalformed,
                                 "a candidate needs candidate_id and address"});
    return;
  }
  const auto older = std::find_if(line_.begin(), line_.end(), [&](const Candidate& candidate) {
    return candidate.who.candidate_id == request.candidate_id;
  });
  if (older != line_.end()) {
    effects->push_back(EndStream{older->stream, Refusal::kReplaced,
                                 "a newer campaign of this candidate took over"});
    line_.erase(older);
  } else if (line_.size() >= candidates_max_) {
    effects->push_back(
        EndStream{request.stream, Refusal::kOverloaded, "too many candidates campaign"});
    return;
  }
  line_.push_back({request.stream, Leader{request.candidate_id, request.address,
                                          request.http_address, /*epoch=*/0}});
  effects->push_back(CampaignSend{.stream = request.stream, .leader = leader()});
}

bool LeaseTable::Leave(StreamId stream) {
  return std::erase_if(line_, [&](const Candidate& c) { return c.stream == stream; }) > 0;
}

std::vector<StreamId> LeaseTable::streams() const {
  std::vector<StreamId> streams;
  for (const Candidate& candidate : line_) streams.push_back(candidate.stream);
  return streams;
}

RenewAnswer LeaseTable::Renew(const RenewRequested& request, absl::Time now) {
  const bool holds =
      Holds(request.epoch) && record_.leader.candidate_id == request.candidate_id && now < expiry_;
  if (!holds) {
    return {.call = request.call,
            .refusal = Refusal::kStaleEpoch,
            .message = "the lease is lost; stop leading and campaign again"};
  }
  // After a restart with a shorter time, a renewal must not shorten what was promised before.
  expiry_ = std::max(expiry_, now + ttl_);
  return {.call = request.call, .expires_in = ttl_};
}

bool LeaseTable::Resign(const ResignRequested& request, Effects* effects) {
  if (!Holds(request.epoch) || record_.leader.candidate_id != request.candidate_id) return false;
  record_.resigned = true;
  Free(effects);
  return true;
}

bool LeaseTable::Expire(absl::Time now, Effects* effects) {
  if (state_ != State::kHeld || now < expiry_) return false;
  Free(effects);
  return true;
}

void LeaseTable::Free(Effects* effects) {
  state_ = State::kFree;
  // Who gave the lease up, or let it run out, goes to the end of the line.
  const auto self = std::find_if(line_.begin(), line_.end(), [&](const Candidate& candidate) {
    return candidate.who.candidate_id == record_.leader.candidate_id;
  });
  if (self != line_.end()) std::rotate(self, self + 1, line_.end());
  TellAll(effects);
}

std::shared_ptr<const LeaseRecord> LeaseTable::BeginGrant() {
  if (state_ != State::kFree || line_.empty()) return nullptr;
  const Candidate& first = line_.front();
  const Epoch epoch = record_.leader.epoch + 1;
  record_ = LeaseRecord{.leader = first.who, .ttl = ttl_};
  record_.leader.epoch = epoch;
  granting_to_ = first.stream;
  state_ = State::kGranting;
  return record();
}

bool LeaseTable::Granted(absl::Time now, Effects* effects) {
  if (TESSERA_BUG_IF(state_ != State::kGranting, "a grant that was not begun")) return false;
  const bool winner_waits =
      std::any_of(line_.begin(), line_.end(),
                  [&](const Candidate& candidate) { return candidate.stream == granting_to_; });
  if (!winner_waits) {
    // Nobody has been told of this epoch, so nobody acts on it: the next may have its own at once.
    state_ = State::kFree;
    return false;
  }
  state_ = State::kHeld;
  expiry_ = now + ttl_;
  for (const Candidate& candidate : line_) {
    CampaignSend send{.stream = candidate.stream, .leader = record_.leader};
    if (candidate.stream == granting_to_) send.won_for = ttl_;
    effects->push_back(std::move(send));
  }
  return true;
}

void LeaseTable::AbandonGrant() {
  if (state_ == State::kGranting) state_ = State::kFree;
}

}  // namespace tessera::registry
