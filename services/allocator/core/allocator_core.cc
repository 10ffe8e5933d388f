#include "services/allocator/core/allocator_core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::allocator {
namespace {

bool IsNegative(const Bag& bag) { return bag.plain.AnyNegative(); }

// All of `copies` are shared volumes that `held` has a copy of.
bool IsCopiesOf(const Bag& held, const Bag& copies, const Vocabulary& words) {
  if (copies.IsEmpty() || !NonShared(copies, words).IsEmpty()) return false;
  const std::vector<Item>& items = copies.extras->items();
  return std::all_of(items.begin(), items.end(),
                     [&](const Item& item) { return CopiesOf(item.kind, held) > 0; });
}

}  // namespace

const char* RefusalReasonName(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kUnknownFramework:
      return "unknown framework";
    case RefusalReason::kDuplicateFramework:
      return "duplicate framework";
    case RefusalReason::kUnknownAgent:
      return "unknown agent";
    case RefusalReason::kDuplicateAgent:
      return "duplicate agent";
    case RefusalReason::kNegativeAmount:
      return "negative amount";
    case RefusalReason::kNotHeld:
      return "not held";
    case RefusalReason::kQuantityChanged:
      return "quantity changed";
    case RefusalReason::kDuplicateRole:
      return "duplicate role";
    case RefusalReason::kNotSubscribed:
      return "not subscribed";
    case RefusalReason::kBadWeight:
      return "bad weight";
    case RefusalReason::kBadQuota:
      return "bad quota";
  }
  return "unknown";
}

AllocatorCore::AllocatorCore(const AllocatorConfig& config, const Vocabulary* words, uint64_t seed)
    : words_(*words), tables_(config, words), random_(seed), run_(&tables_, &random_) {}

void AllocatorCore::Step(absl::Time now, const Event& event, Effects* effects) {
  now_ = now;
  effects_ = effects;
  ++counters_.events;
  std::visit([this](const auto& one) { On(one); }, event);
  ReportForgotten();
  next_filter_deadline_ = tables_.filters().NextDeadline();
  effects_ = nullptr;
}

absl::Time AllocatorCore::NextDeadline() const {
  if (!started_) return absl::InfiniteFuture();
  if (resume_at_) return std::min(*resume_at_, next_filter_deadline_);
  absl::Time next = std::min(next_full_run_, next_filter_deadline_);
  if (!quiet_.empty()) next = std::min(next, quiet_.begin()->first);
  if (first_cause_ != absl::InfiniteFuture()) {
    next = std::min(next, std::max(first_cause_, last_run_ + tables_.config().min_batch_interval));
  }
  return next;
}

void AllocatorCore::Refuse(RefusalReason reason, std::string detail) {
  ++counters_.refused_events;
  effects_->push_back(Refused{reason, std::move(detail)});
}

bool AllocatorCore::CheckFramework(FrameworkNum number) {
  if (tables_.FindFramework(number) != nullptr) return true;
  Refuse(RefusalReason::kUnknownFramework, "");
  return false;
}

bool AllocatorCore::CheckAgent(AgentNum number) {
  if (tables_.FindAgent(number) != nullptr) return true;
  Refuse(RefusalReason::kUnknownAgent, "");
  return false;
}

bool AllocatorCore::CheckSpec(FrameworkNum number, const FrameworkSpec& spec) {
  if (spec.roles.size() < 2) return true;
  std::vector<RoleNum> roles;
  for (const RoleSubscription& subscription : spec.roles) roles.push_back(subscription.role);
  std::sort(roles.begin(), roles.end());
  const auto twice = std::adjacent_find(roles.begin(), roles.end());
  if (twice == roles.end()) return true;
  Refuse(RefusalReason::kDuplicateRole,
         absl::StrCat("framework ", words_.FrameworkId(number), " names role ",
                      words_.role(*twice).path, " twice"));
  return false;
}

std::optional<std::vector<ClientNum>> AllocatorCore::ClientsOf(FrameworkNum number,
                                                               const std::vector<RoleNum>& roles) {
  if (!CheckFramework(number)) return std::nullopt;
  std::vector<ClientNum> clients;
  if (roles.empty()) {
    for (ClientNum client : tables_.FindFramework(number)->clients) {
      if (tables_.client(client).subscribed) clients.push_back(client);
    }
    return clients;
  }
  for (RoleNum role : roles) {
    const std::optional<ClientNum> client = tables_.FindClient(number, role);
    if (!client || !tables_.client(*client).subscribed) {
      Refuse(RefusalReason::kNotSubscribed,
             absl::StrCat("framework ", words_.FrameworkId(number), " is not subscribed to ",
                          words_.role(role).path));
      return std::nullopt;
    }
    clients.push_back(*client);
  }
  return clients;
}

// ---- Frameworks.

void AllocatorCore::On(const FrameworkAdded& event) {
  if (tables_.FindFramework(event.framework) != nullptr) {
    Refuse(RefusalReason::kDuplicateFramework, words_.FrameworkId(event.framework));
    return;
  }
  if (!CheckSpec(event.framework, event.spec)) return;
  tables_.AddFramework(event.framework, event.spec, event.active, event.outstanding_offers);
  if (event.active) WantRunOnAll();
}

void AllocatorCore::On(const FrameworkUpdated& event) {
  if (!CheckFramework(event.framework) || !CheckSpec(event.framework, event.spec)) return;
  const uint64_t news = tables_.news();
  tables_.UpdateFramework(event.framework, event.spec);
  if (tables_.news() != news) WantRunFor(event.framework);
}

void AllocatorCore::On(const FrameworkRemoved& event) {
  if (CheckFramework(event.framework)) tables_.RemoveFramework(event.framework);
}

void AllocatorCore::On(const FrameworkActivated& event) {
  if (!CheckFramework(event.framework)) return;
  tables_.EndQuiet(event.framework);
  tables_.SetFrameworkActive(event.framework, true);
  WantRunOnAll();
}

void AllocatorCore::On(const FrameworkDeactivated& event) {
  if (CheckFramework(event.framework)) tables_.SetFrameworkActive(event.framework, false);
}

void AllocatorCore::On(const Revived& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) {
    tables_.filters().ClearClient(client);
    tables_.Reopen(client);
    tables_.SetSuppressed(client, false);
  }
  tables_.EndQuiet(event.framework);
  WantRunFor(event.framework);
}

void AllocatorCore::On(const Suppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) tables_.SetSuppressed(client, true);
}

void AllocatorCore::On(const Unsuppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) tables_.SetSuppressed(client, false);
  WantRunFor(event.framework);
}

void AllocatorCore::On(const FiltersCleared& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  bool any = false;
  for (ClientNum client : *clients) {
    if (!tables_.filters().ClearClient(client)) continue;
    tables_.Reopen(client);
    any = true;
  }
  if (any) WantRunFor(event.framework);
}

void AllocatorCore::On(const DemandStated& event) {
  if (!CheckFramework(event.framework)) return;
  if ((event.wanted && event.wanted->AnyNegative()) || (event.left && event.left->AnyNegative())) {
    Refuse(RefusalReason::kNegativeAmount, "demand");
    return;
  }
  const std::optional<ClientNum> client = tables_.FindClient(event.framework, event.role);
  if (!client || !tables_.client(*client).subscribed) return;
  tables_.filters().ForgetHistory(*client);
  tables_.StateDemand(*client, event);
  WantRunFor(event.framework);
}

// ---- Agents.

void AllocatorCore::On(const AgentAdded& event) {
  const bool is_known = tables_.FindAgent(event.agent) != nullptr;
  if (is_known && !event.replaces) {
    Refuse(RefusalReason::kDuplicateAgent, words_.AgentId(event.agent));
    return;
  }
  const bool negative = IsNegative(event.total) ||
                        std::any_of(event.claims.begin(), event.claims.end(),
                                    [](const Claim& claim) { return IsNegative(claim.bag); });
  if (negative) {
    Refuse(RefusalReason::kNegativeAmount, words_.AgentId(event.agent));
    return;
  }
  if (is_known) {
    tables_.ReplaceAgent(event.agent, event.spec, event.total, event.active, event.claims);
  } else {
    tables_.AddAgent(event.agent, event.spec, event.total, event.active, event.claims);
  }
  // An agent that comes back to be as unavailable as before has its inverse offers out.
  if (!is_known || event.unavailable != tables_.inverse_offers().IsUnavailable(event.agent)) {
    tables_.inverse_offers().Set(event.agent, event.unavailable);
  }
  WantRunOn(event.agent);
  ResumeIfEnoughAgents();
}

void AllocatorCore::On(const AgentUpdated& event) {
  if (!CheckAgent(event.agent)) return;
  if (IsNegative(event.total)) {
    Refuse(RefusalReason::kNegativeAmount, words_.AgentId(event.agent));
    return;
  }
  if (tables_.UpdateAgent(event.agent, event.spec, event.total)) WantRunOn(event.agent);
}

void AllocatorCore::On(const AgentRemoved& event) {
  if (!CheckAgent(event.agent)) return;
  tables_.RemoveAgent(event.agent);
  effects_->push_back(AgentForgotten{event.agent});
}

void AllocatorCore::On(const AgentActivated& event) {
  if (!CheckAgent(event.agent)) return;
  tables_.SetAgentActive(event.agent, true);
  WantRunOn(event.agent);
}

void AllocatorCore::On(const AgentDeactivated& event) {
  if (CheckAgent(event.agent)) tables_.SetAgentActive(event.agent, false);
}

// ---- Resources.

void AllocatorCore::On(const Recovered& event) {
  const Claim& claim = event.claim;
  if (IsNegative(claim.bag)) {
    Refuse(RefusalReason::kNegativeAmount, "recovered");
    return;
  }
  const std::optional<ClientNum> client = tables_.FindClient(claim.framework, claim.role);
  if (tables_.FindAgent(event.agent) == nullptr || !client) {
    ++counters_.stale_recoveries;
    return;
  }
  const Holding* holding = tables_.FindHolding(event.agent, *client);
  if (!claim.bag.IsEmpty() && (holding == nullptr || !Contains(holding->bag, claim.bag, words_))) {
    Refuse(RefusalReason::kNotHeld,
           absl::StrCat("framework ", words_.FrameworkId(claim.framework), " gives back ",
                        ToString(claim.bag, words_), " on agent ", words_.AgentId(event.agent),
                        " but holds ",
                        holding == nullptr ? "nothing" : ToString(holding->bag, words_)));
    return;
  }
  if (claim.bag.IsEmpty()) return;
  const Framework* framework = tables_.FindFramework(claim.framework);
  const bool may_be_asked_again =
      framework != nullptr && framework->active && tables_.client(*client).subscribed;
  bool filtered = false;
  if (may_be_asked_again && event.refuse_duration &&
      *event.refuse_duration > absl::ZeroDuration()) {
    const AllocatorConfig& config = tables_.config();
    const absl::Duration asked = std::min(
        std::max(*event.refuse_duration, config.allocation_interval), config.refuse_duration_max);
    const absl::Duration life = tables_.filters().LifeOf(*client, event.agent, claim.bag, now_,
                                                         asked, config.refuse_growth_max);
    if (life > asked) {
      ++counters_.refusals_lengthened;
      tables_.NoteLengthened(claim.framework);
    }
    filtered = tables_.filters().Add(*client, event.agent, claim.bag, now_ + life, words_);
    if (!filtered) ++counters_.filters_not_kept;
  }
  // What was refused is still wanted.
  if (event.refuse_duration) tables_.RaiseDemand(*client, claim.bag);
  tables_.Release(event.agent, *client, claim.bag);
  // See Recovered: a refusal without a filter waits for the periodic run.
  if (!event.refuse_duration || filtered || !may_be_asked_again) WantRunOn(event.agent);
}

void AllocatorCore::On(const Converted& event) {
  if (!CheckFramework(event.claim.framework) || !CheckAgent(event.agent)) return;
  if (IsNegative(event.claim.bag) || IsNegative(event.converted)) {
    Refuse(RefusalReason::kNegativeAmount, words_.AgentId(event.agent));
    return;
  }
  const std::optional<ClientNum> client =
      tables_.FindClient(event.claim.framework, event.claim.role);
  const Holding* holding = client ? tables_.FindHolding(event.agent, *client) : nullptr;
  if (event.claim.bag.IsEmpty()) {
    if (holding != nullptr && IsCopiesOf(holding->bag, event.converted, words_)) {
      tables_.AddCopies(event.agent, *client, event.converted);
    } else {
      Refuse(RefusalReason::kNotHeld,
             absl::StrCat("framework ", words_.FrameworkId(event.claim.framework),
                          " holds no shared volume on agent ", words_.AgentId(event.agent),
                          " that ", ToString(event.converted, words_), " would be a copy of"));
    }
    return;
  }
  if (holding == nullptr || !Contains(holding->bag, event.claim.bag, words_) ||
      !Contains(tables_.agent(event.agent).total, event.claim.bag, words_)) {
    Refuse(
        RefusalReason::kNotHeld,
        absl::StrCat("framework ", words_.FrameworkId(event.claim.framework), " converts ",
                     ToString(event.claim.bag, words_), " on agent ", words_.AgentId(event.agent)));
    return;
  }
  if (const ExtrasPtr shared = OnlyShared(event.claim.bag, words_); shared != nullptr) {
    for (const Item& item : shared->items()) {
      if (tables_.CopiesHeld(tables_.agent(event.agent), item.kind) <= 1) continue;
      Refuse(RefusalReason::kNotHeld,
             absl::StrCat("other copies of ", ToString({{}, shared}, words_), " are in use"));
      return;
    }
  }
  if (event.claim.bag.Quantity() != event.converted.Quantity()) {
    Refuse(RefusalReason::kQuantityChanged,
           absl::StrCat(ToString(event.claim.bag, words_), " cannot become ",
                        ToString(event.converted, words_)));
    return;
  }
  tables_.Convert(event.agent, *client, event.claim.bag, event.converted);
}

// ---- Offers.

void AllocatorCore::On(const OffersEnded& event) {
  const Framework* framework = tables_.FindFramework(event.framework);
  if (framework == nullptr) return;
  // Whoever takes something wants something else from now on.
  if (event.accepted > 0) {
    for (ClientNum client : framework->clients) tables_.filters().ForgetHistory(client);
  }
  const absl::Time quiet_before = framework->quiet_until;
  if (tables_.EndOffers(event, now_)) WantRunOnAll();
  if (framework->quiet_until != quiet_before && framework->quiet_until > now_) {
    quiet_.emplace(framework->quiet_until, event.framework);
    ++counters_.silences;
  }
}

void AllocatorCore::EndQuietTimes() {
  while (!quiet_.empty() && quiet_.begin()->first <= now_) {
    const FrameworkNum number = quiet_.begin()->second;
    quiet_.erase(quiet_.begin());
    const Framework* framework = tables_.FindFramework(number);
    // It may have been asked before, and have let offers lie again.
    if (framework == nullptr || framework->quiet_until > now_) continue;
    if (tables_.EndQuiet(number)) WantRunOnAll();
  }
}

void AllocatorCore::On(const UnavailabilitySet& event) {
  if (!CheckAgent(event.agent)) return;
  tables_.inverse_offers().Set(event.agent, event.unavailable);
  WantRunOn(event.agent);
}

void AllocatorCore::On(const InverseOfferAnswered& event) {
  tables_.inverse_offers().Answer(event.agent, event.framework, now_ + event.refuse_duration);
}

void AllocatorCore::On(const InverseOfferEnded& event) {
  tables_.inverse_offers().End(event.agent, event.framework);
}

void AllocatorCore::AskToLeave(const std::vector<AgentNum>& agents, AllocationBatch* batch) {
  if (tables_.inverse_offers().empty()) return;
  for (AgentNum number : agents) {
    // The master sends no inverse offer of an inactive agent; its activation brings the next run.
    if (!tables_.inverse_offers().IsUnavailable(number) || !tables_.agent(number).active) continue;
    for (const Holding& holding : tables_.agent(number).holdings) {
      const FrameworkNum who = tables_.client(holding.client).framework;
      const Framework* framework = tables_.FindFramework(who);
      if (framework == nullptr || !framework->active) continue;
      if (tables_.inverse_offers().Ask(number, who, now_)) batch->inverse.push_back({who, number});
    }
  }
}

// ---- Settings.

void AllocatorCore::On(const WeightSet& event) {
  if (event.weight <= 0 || event.role == kRootRole) {
    Refuse(RefusalReason::kBadWeight, words_.role(event.role).path);
    return;
  }
  tables_.SetWeight(event.role, event.weight);
}

void AllocatorCore::On(const QuotaSet& event) {
  const Quota& quota = event.quota;
  if (event.role == kRootRole || quota.guarantee.AnyNegative() || quota.limit.AnyNegative() ||
      !quota.limit.Contains(quota.guarantee)) {
    Refuse(RefusalReason::kBadQuota,
           absl::StrCat("role ", words_.role(event.role).path,
                        ": a guarantee must not be above the limit, nor either below zero"));
    return;
  }
  tables_.quotas().Set(event.role, quota);
  tables_.Announce();
}

void AllocatorCore::On(const WhitelistSet& event) { tables_.SetWhitelist(event.hostnames); }

// ---- Runs.

void AllocatorCore::On(const RecoveryExpected& event) {
  recovery_ = event;
  if (started_) AwaitRecovery();
}

// Whether there is a quota is known at the end of the snapshot, wherever in it the announcement is.
void AllocatorCore::AwaitRecovery() {
  if (!recovery_ || recovery_->agents == 0 || !tables_.quotas().AnyQuota()) return;
  resume_at_ = now_ + recovery_->timeout;
  ResumeIfEnoughAgents();
}

void AllocatorCore::ResumeIfEnoughAgents() {
  if (!resume_at_ || tables_.agents() < recovery_->agents) return;
  resume_at_.reset();
  WantRunOnAll();
}

void AllocatorCore::On(const SnapshotCompleted&) {
  if (started_) return;
  started_ = true;
  AwaitRecovery();
  next_full_run_ = now_ + tables_.config().allocation_interval;
  WantRunOnAll();
}

void AllocatorCore::NoteCause() { first_cause_ = std::min(first_cause_, now_); }

void AllocatorCore::WantRunOn(AgentNum number) {
  NoteCause();
  Agent& agent = tables_.agent(number);
  if (agent.queued || all_queued_) return;
  agent.queued = true;
  queued_.push_back(number);
}

void AllocatorCore::WantRunOnAll() {
  NoteCause();
  all_queued_ = true;
}

void AllocatorCore::WantRunFor(FrameworkNum framework) {
  if (tables_.PayForRun(framework, now_)) {
    WantRunOnAll();
  } else {
    ++counters_.runs_not_made_on_demand;
  }
}

void AllocatorCore::On(const Wake&) {
  if (!started_) return;
  if (resume_at_ && now_ >= *resume_at_) {
    resume_at_.reset();
    WantRunOnAll();
  }
  EndQuietTimes();
  if (!resume_at_) {
    if (now_ >= next_full_run_) {
      NoteCause();
      Run(/*full=*/true);
      next_full_run_ = now_ + tables_.config().allocation_interval;
    } else if (first_cause_ != absl::InfiniteFuture() &&
               now_ >= std::max(first_cause_, last_run_ + tables_.config().min_batch_interval)) {
      Run(/*full=*/all_queued_);
    }
  }
  // After the run: one that is due at the same moment still sees these filters.
  tables_.filters().Expire(now_, [this](ClientNum client, AgentNum agent) {
    tables_.ReopenOn(client, agent);
    WantRunOn(agent);
  });
}

void AllocatorCore::Run(bool full) {
  AllocationBatch batch;
  batch.allocations = std::move(spent_);
  batch.allocations.clear();
  batch.full = full;
  batch.waited = now_ - first_cause_;
  scratch_.clear();
  if (full) {
    for (uint32_t index = 0; index < tables_.agent_slots(); ++index) {
      scratch_.push_back(AgentNum{index});
    }
  } else {
    scratch_ = queued_;
  }
  for (AgentNum agent : queued_) tables_.agent(agent).queued = false;
  queued_.clear();
  all_queued_ = false;
  first_cause_ = absl::InfiniteFuture();
  last_run_ = now_;
  run_.Run(scratch_, &batch);
  counters_.runs_cut_short += !run_.left_over().empty();
  for (AgentNum agent : run_.left_over()) WantRunOn(agent);
  AskToLeave(scratch_, &batch);
  counters_.inverse_allocations += batch.inverse.size();
  ++(full ? counters_.full_runs : counters_.event_runs);
  counters_.allocations += batch.allocations.size();
  counters_.pairs_considered += batch.pairs_considered;
  counters_.agents_considered += batch.agents_considered;
  effects_->push_back(std::move(batch));
}

void AllocatorCore::ReportForgotten() {
  for (FrameworkNum number : tables_.forgotten_frameworks) {
    effects_->push_back(FrameworkForgotten{number});
  }
  tables_.forgotten_frameworks.clear();
}

}  // namespace tessera::allocator
