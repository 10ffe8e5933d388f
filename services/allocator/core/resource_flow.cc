#include "services/allocator/core/resource_flow.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tessera::allocator {
namespace {

// All of `copies` are shared volumes that `held` has a copy of.
bool IsCopiesOf(const Bag& held, const Bag& copies, const Vocabulary& words) {
  if (copies.IsEmpty() || !NonShared(copies, words).IsEmpty()) return false;
  const std::vector<Item>& items = copies.extras->items();
  return std::all_of(items.begin(), items.end(),
                     [&](const Item& item) { return CopiesOf(item.kind, held) > 0; });
}

}  // namespace

bool ResourceFlow::KeepRefusal(const Recovered& event, ClientNum client) {
  ClusterTables& tables = state_.tables;
  const Bag& refused = event.claim.bag;
  const absl::Duration asked =
      std::min(std::max(*event.refuse_duration, tables.config.allocation_interval),
               tables.config.refuse_duration_max);
  const absl::Duration life = tables.filters.LifeOf(client, event.agent, refused, state_.now, asked,
                                                    tables.config.refuse_growth_max);
  if (life > asked) {
    ++state_.counters.refusals_lengthened;
    ++tables.frameworks.at(event.claim.framework).refusals_lengthened;
  }
  const bool kept =
      tables.filters.Add(client, event.agent, refused, state_.now + life, tables.words);
  if (!kept) ++state_.counters.filters_not_kept;
  return kept;
}

void ResourceFlow::On(const Recovered& event) {
  const Claim& claim = event.claim;
  if (claim.bag.plain.AnyNegative()) {
    state_.Refuse(RefusalReason::kNegativeAmount, "recovered");
    return;
  }
  const Vocabulary& words = state_.words();
  const FrameworkTable& frameworks = state_.tables.frameworks;
  const std::optional<ClientNum> client = frameworks.FindClient(claim.framework, claim.role);
  const Agent* const agent = state_.tables.agents.Find(event.agent);
  if (agent == nullptr || !client) {
    ++state_.counters.stale_recoveries;
    return;
  }
  const Holding* holding = FindHolding(*agent, *client);
  if (!claim.bag.IsEmpty() && (holding == nullptr || !Contains(holding->bag, claim.bag, words))) {
    state_.Refuse(RefusalReason::kNotHeld,
                  absl::StrCat("framework ", words.FrameworkId(claim.framework), " gives back ",
                               ToString(claim.bag, words), " on agent ", words.AgentId(event.agent),
                               " but holds ",
                               holding == nullptr ? "nothing" : ToString(holding->bag, words)));
    return;
  }
  if (claim.bag.IsEmpty()) return;
  const Framework* framework = frameworks.Find(claim.framework);
  const bool may_be_asked_again =
      framework != nullptr && framework->active && frameworks.client(*client).subscribed;
  const bool filtered = may_be_asked_again && event.refuse_duration &&
                        *event.refuse_duration > absl::ZeroDuration() &&
                        KeepRefusal(event, *client);
  // What was refused is still wanted.
  if (event.refuse_duration) state_.subscriptions.RaiseDemand(*client, claim.bag);
  state_.holdings.Release(event.agent, *client, claim.bag);
  // See Recovered: a refusal without a filter waits for the periodic run.
  if (!event.refuse_duration || filtered || !may_be_asked_again) state_.WantRunOn(event.agent);
}

void ResourceFlow::On(const Converted& event) {
  const Claim& claim = event.claim;
  if (!state_.CheckFramework(claim.framework) || !state_.CheckAgent(event.agent)) return;
  const Vocabulary& words = state_.words();
  if (claim.bag.plain.AnyNegative() || event.converted.plain.AnyNegative()) {
    state_.Refuse(RefusalReason::kNegativeAmount, words.AgentId(event.agent));
    return;
  }
  const Agent& agent = state_.tables.agents.at(event.agent);
  const std::optional<ClientNum> client =
      state_.tables.frameworks.FindClient(claim.framework, claim.role);
  const Holding* holding = client ? FindHolding(agent, *client) : nullptr;
  if (claim.bag.IsEmpty()) {
    if (holding != nullptr && IsCopiesOf(holding->bag, event.converted, words)) {
      state_.holdings.AddCopies(event.agent, *client, event.converted);
    } else {
      state_.Refuse(
          RefusalReason::kNotHeld,
          absl::StrCat("framework ", words.FrameworkId(claim.framework),
                       " holds no shared volume on agent ", words.AgentId(event.agent), " that ",
                       ToString(event.converted, words), " would be a copy of"));
    }
    return;
  }
  if (holding == nullptr || !Contains(holding->bag, claim.bag, words) ||
      !Contains(agent.total, claim.bag, words)) {
    state_.Refuse(
        RefusalReason::kNotHeld,
        absl::StrCat("framework ", words.FrameworkId(claim.framework), " converts ",
                     ToString(claim.bag, words), " on agent ", words.AgentId(event.agent)));
    return;
  }
  if (const ExtrasPtr shared = OnlyShared(claim.bag, words); shared != nullptr) {
    for (const Item& item : shared->items()) {
      if (CopiesHeld(agent, item.kind) <= 1) continue;
      state_.Refuse(RefusalReason::kNotHeld,
                    absl::StrCat("other copies of ", ToString({{}, shared}, words), " are in use"));
      return;
    }
  }
  if (claim.bag.Quantity() != event.converted.Quantity()) {
    state_.Refuse(RefusalReason::kQuantityChanged,
                  absl::StrCat(ToString(claim.bag, words), " cannot become ",
                               ToString(event.converted, words)));
    return;
  }
  state_.holdings.Convert(event.agent, *client, claim.bag, event.converted);
}

}  // namespace tessera::allocator
