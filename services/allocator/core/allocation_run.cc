#include "services/allocator/core/allocation_run.h"

#include <algorithm>
#include <utility>

namespace tessera::allocator {
namespace {

// Beside the one of a glance.
constexpr uint64_t kEffortOfALook = 15;

}  // namespace

bool AllocationRun::IsDue(const Agent& agent) const {
  return agent.IsOffered() && agent.settled_at != tables_.closed.news() && !agent.free.IsEmpty();
}

void AllocationRun::Run(const std::vector<AgentNum>& agents, AllocationBatch* batch) {
  batch_ = batch;
  ++run_;
  any_quota_ = tables_.quotas.AnyQuota();
  due_.clear();
  left_over_.clear();
  effort_ = 0;
  if (tables_.closed.any_reopened()) {
    for (AgentNum number : agents) tables_.closed.OpenReopened(&tables_.agents.at(number));
    if (batch->full) tables_.closed.ForgetReopened();
  }
  for (AgentNum number : agents) {
    if (IsDue(tables_.agents.at(number))) due_.push_back(number);
  }
  batch->agents_considered = static_cast<uint32_t>(due_.size());
  if (tables_.roles.sorter().active_clients() == 0) return;
  no_room_for_any_ = false;
  if (any_quota_) {
    no_guarantee_room_.assign(tables_.roles.slots(), 0);
    no_limit_room_.assign(tables_.roles.slots(), 0);
    random_.Shuffle(due_);
    for (size_t i = 0; i < due_.size(); ++i) {
      if (!tables_.quotas.required_headroom().AnyPositive()) break;
      // The other half is for what follows, so that each run gets on.
      if (effort_ >= tables_.config.run_effort_max / 2) LeaveOver(i);
      if (i == due_.size()) break;
      FetchAhead(i);
      ServeGuarantees(due_[i]);
    }
    effort_ = std::min(effort_, tables_.config.run_effort_max / 2);
  }
  random_.Shuffle(due_);
  for (size_t i = 0; i < due_.size(); ++i) {
    if (i > 0 && effort_ >= tables_.config.run_effort_max) LeaveOver(i);
    if (i == due_.size()) break;
    FetchAhead(i);
    ServeAll(due_[i]);
  }
  batch_ = nullptr;
}

void AllocationRun::LeaveOver(size_t from) {
  left_over_.insert(left_over_.end(), due_.begin() + static_cast<long>(from), due_.end());
  due_.resize(from);
}

void AllocationRun::FetchAhead(size_t turn) const {
  constexpr size_t kAgentsAhead = 6;
  constexpr size_t kHoldingsAhead = 2;
  constexpr size_t kLine = 64;
  if (turn + kAgentsAhead < due_.size()) {
    const Agent& soon = tables_.agents.at(due_[turn + kAgentsAhead]);
    const char* const begin = reinterpret_cast<const char*>(&soon);
    for (size_t at = 0; at < sizeof(Agent); at += kLine) __builtin_prefetch(begin + at, 1);
  }
  if (turn + kHoldingsAhead < due_.size()) {
    const Agent& next = tables_.agents.at(due_[turn + kHoldingsAhead]);
    const char* const holdings = reinterpret_cast<const char*>(next.holdings.data());
    for (size_t at = 0; at < sizeof(Holding); at += kLine) __builtin_prefetch(holdings + at, 1);
    if (!next.closed.empty()) __builtin_prefetch(next.closed.data(), 1);
    if (next.free.extras != nullptr) __builtin_prefetch(next.free.extras.get());
  }
}

void AllocationRun::EndTurn() {
  const size_t first = batch_->allocations.size() - takers_.size();
  for (size_t i = 0; i < takers_.size(); ++i) {
    const Allocation& made = batch_->allocations[first + i];
    holdings_.ChargeSorters(made.agent, takers_[i], made.bag);
    subscriptions_.LowerDemand(takers_[i], made.bag);
    if (tables_.frameworks.at(made.framework).IsAtOfferCap(tables_.config)) {
      subscriptions_.UpdateActivityOf(made.framework);
    }
  }
  takers_.clear();
}

void AllocationRun::ServeGuarantees(AgentNum number) {
  const Agent& agent = tables_.agents.at(number);
  tables_.roles.sorter().Visit(&random_, [&](uint32_t role_index) {
    ++effort_;
    if (no_guarantee_room_[role_index] != 0) return true;
    const RoleNum role{role_index};
    if (!tables_.quotas.GuaranteeRoom(role).AnyPositive()) {
      no_guarantee_room_[role_index] = 1;
      return true;
    }
    tables_.roles.at(role).clients->Visit(&random_, [&](uint32_t client) {
      if (Offer(number, ClientNum{client}, /*for_guarantee=*/true)) {
        return !agent.free.IsEmpty() && tables_.quotas.GuaranteeRoom(role).AnyPositive();
      }
      return true;
    });
    return !agent.free.IsEmpty();
  });
  EndTurn();
}

void AllocationRun::ServeAll(AgentNum number) {
  Agent& agent = tables_.agents.at(number);
  // Nothing but unreserved scalars: a role at its limits needs no closer look.
  const bool only_limited = any_quota_ && agent.free.extras == nullptr;
  bool any_room = !only_limited;
  if (!only_limited || !no_room_for_any_) {
    tables_.roles.sorter().Visit(&random_, [&](uint32_t role_index) {
      ++effort_;
      if (only_limited && !HasLimitRoom(RoleNum{role_index})) return true;
      any_room = true;
      tables_.roles.at(RoleNum{role_index}).clients->Visit(&random_, [&](uint32_t client) {
        Offer(number, ClientNum{client}, /*for_guarantee=*/false);
        return !agent.free.IsEmpty();
      });
      return !agent.free.IsEmpty();
    });
    if (!any_room) no_room_for_any_ = true;
  }
  EndTurn();
  // Who was refused before another took something may be offered other parts now.
  const bool is_final = agent.differed_run != run_ || agent.taken_run != run_;
  // Also when quota kept something back: within a run the room for anybody only shrinks, and
  // whatever makes it grow is news.
  agent.settled_at = is_final ? tables_.closed.news() : 0;
}

bool AllocationRun::HasLimitRoom(RoleNum role) {
  char& none = no_limit_room_[Index(role)];
  if (none == 0 && !Min(tables_.quotas.LimitRoom(role), tables_.totals.total).AnyPositive()) {
    none = 1;
  }
  return none == 0;
}

bool AllocationRun::Offer(AgentNum number, ClientNum client_number, bool for_guarantee) {
  Agent& agent = tables_.agents.at(number);
  ++batch_->pairs_considered;
  ++effort_;
  if (agent.IsClosed(client_number)) return false;
  effort_ += kEffortOfALook;
  const Client& client = tables_.frameworks.client(client_number);
  Framework& framework = tables_.frameworks.at(client.framework);
  // Reached in this very turn, or it would not be asked.
  if (framework.IsAtOfferCap(tables_.config)) return false;
  if (GateBetween(client, framework, agent, tables_.config) != Gate::kNone) {
    tables_.closed.Close(client_number, &agent);
    return false;
  }
  Candidate candidate = MakeCandidate(agent, client, framework, for_guarantee);
  if (for_guarantee && !candidate.contributes) return false;
  if (agent.shared != nullptr) AddShared(&agent, client, framework, &candidate);
  if (Judge(client_number, number, candidate.bag, tables_) != Verdict::kOffer) {
    // What was kept back may be given later, and be more than is refused now.
    if (!candidate.cut) tables_.closed.Close(client_number, &agent);
    if (candidate.may_differ) agent.differed_run = run_;
    return false;
  }
  holdings_.Take(number, client_number, candidate.bag);
  agent.taken_run = run_;
  // The sorters hear of the cap when the turn is over.
  ++framework.outstanding_offers;
  if (agent.shared != nullptr) {
    Bag left{{}, agent.shared_left};
    TakeFrom(&left, {{}, OnlyShared(candidate.bag, tables_.words)}, tables_.words);
    agent.shared_left = left.extras;
  }
  takers_.push_back(client_number);
  batch_->allocations.push_back({client.framework, client.role, number, std::move(candidate.bag)});
  return true;
}

Candidate AllocationRun::MakeCandidate(const Agent& agent, const Client& client,
                                       const Framework& framework, bool for_guarantee) {
  Candidate candidate;
  candidate.bag = SuitablePart(agent.free, client.role, framework.capabilities, tables_.words);
  if (any_quota_) {
    CutToRoom(QuotaRoomOf(client.role, for_guarantee, tables_), tables_.words, &random_,
              &candidate);
  }
  if (tables_.config.share_ranges_and_sets) {
    ShareValues(agent.free, tables_.words, &candidate);
  }
  return candidate;
}

void AllocationRun::AddShared(Agent* agent, const Client& client, const Framework& framework,
                              Candidate* candidate) {
  agent->shared_left = SharedLeft(*agent);
  agent->shared_run = run_;
  if (candidate->bag.IsEmpty()) return;
  const Vocabulary& words = tables_.words;
  const auto suitable = [&](const ExtrasPtr& shared) {
    return SuitablePart({{}, shared}, client.role, framework.capabilities, words);
  };
  const Bag mine = suitable(agent->shared_left);
  // What has gone to others in this run may be offered in the next.
  if (!Contains(mine, suitable(agent->shared), words)) {
    candidate->cut = candidate->may_differ = true;
  }
  AddTo(&candidate->bag, mine, words);
}

}  // namespace tessera::allocator
