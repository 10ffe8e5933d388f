// ClusterTables::CheckInvariants: every sum worked out anew from agents and holdings.
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {
namespace {

template <typename... Parts>
absl::Status Broken(const Parts&... parts) {
  return absl::InternalError(absl::StrCat(parts...));
}

Amounts ReservedOf(const Item& item, const Kind& kind) {
  Amounts amounts;
  amounts[kind.scalar_name] =
      kind.piece == 0 ? item.amount : kind.piece * (kind.shared ? 1 : item.amount);
  return amounts;
}

}  // namespace

absl::Status ClusterTables::CheckInvariants() const {
  Amounts total, held, headroom;
  std::map<uint32_t, Amounts> by_client, by_role, consumed;
  std::map<uint32_t, uint32_t> agents_held;
  size_t known_agents = 0;
  const auto consume = [&](RoleNum role, const Amounts& amounts) {
    for (; role != kRootRole; role = words_.role(role).parent) consumed[Index(role)] += amounts;
  };

  for (uint32_t index = 0; index < agents_.size(); ++index) {
    const Agent& agent = agents_[index];
    if (!agent.known) {
      if (!agent.holdings.empty()) return Broken("something is held on an unknown agent");
      continue;
    }
    ++known_agents;
    const std::string& id = words_.AgentId(AgentNum{index});
    Bag all;
    bool shared_held = false;
    for (const Holding& holding : agent.holdings) {
      if (holding.bag.IsEmpty()) return Broken("agent ", id, ": an empty holding");
      AddTo(&all, NonShared(holding.bag, words_), words_);
      ++agents_held[Index(holding.client)];
      by_client[Index(holding.client)] += holding.bag.Quantity();
      const RoleNum role = client(holding.client).role;
      const Bag plain = NonShared(holding.bag, words_);
      held += plain.Quantity();
      by_role[Index(role)] += plain.Quantity();
      shared_held |= holding.bag.extras != nullptr && holding.bag.extras->any_shared();
      consume(role, holding.bag.Unreserved());
    }
    if (agent.free.plain.AnyNegative()) return Broken("agent ", id, ": negative free");
    if (!agent.overcommitted) {
      AddTo(&all, agent.free, words_);
      if (!Equal(all, NonShared(agent.total, words_), words_)) {
        return Broken("agent ", id, ": offered, used and free make ", ToString(all, words_),
                      " but the total is ", ToString(agent.total, words_));
      }
    }
    if (shared_held) {
      // Once for each role, and once for the agent.
      std::set<KindNum> on_agent;
      std::set<std::pair<uint32_t, KindNum>> in_role;
      for (const Holding& holding : agent.holdings) {
        if (holding.bag.extras == nullptr) continue;
        for (const Item& item : holding.bag.extras->items()) {
          const Kind& kind = words_.kind(item.kind);
          if (!kind.shared || !kind.is_scalar()) continue;
          const uint32_t role = Index(client(holding.client).role);
          if (on_agent.insert(item.kind).second) held[kind.scalar_name] += kind.piece;
          if (in_role.insert({role, item.kind}).second) {
            by_role[role][kind.scalar_name] += kind.piece;
          }
        }
      }
    }
    total += agent.total.Quantity();
    if (agent.IsOffered()) headroom += agent.free.Unreserved();
    if (agent.total.extras != nullptr) {
      for (const Item& item : agent.total.extras->items()) {
        const Kind& kind = words_.kind(item.kind);
        if (kind.is_scalar() && kind.is_reserved() && !kind.revocable) {
          consume(kind.reserved_to, ReservedOf(item, kind));
        }
      }
    }
  }
  if (known_agents != agent_count_) return Broken("the count of agents is wrong");
  if (total != totals_.total) return Broken("the cluster's total is wrong");
  if (held != held_) return Broken("the sum of what is held is wrong");
  if (headroom != available_headroom_) return Broken("the available head-room is wrong");

  size_t filters = 0;
  for (uint32_t index = 0; index < clients_.size(); ++index) {
    const Client& client = clients_[index];
    if (client.role == kNoRole) {
      if (filters_.HasAny(ClientNum{index})) return Broken("a filter of no client");
      continue;
    }
    const std::string who = absl::StrCat("framework ", words_.FrameworkId(client.framework),
                                         " in role ", words_.role(client.role).path);
    const Framework& framework = frameworks_[Index(client.framework)];
    const Sorter& sorter = *roles_[Index(client.role)].clients;
    if (!client.subscribed && client.agents_held == 0) return Broken(who, " is of no use");
    if (client.agents_held != agents_held[index]) return Broken(who, ": wrong count of agents");
    const bool active = framework.known && framework.active && client.subscribed &&
                        !client.suppressed && !client.IsSated() && !IsKeptFromOffers(framework);
    if (client.active != active) return Broken(who, ": wrong activity");
    if (!(sorter.AllocationOf(index) == by_client[index])) {
      return Broken(who, ": the sorter's charge is wrong");
    }
    if (!active && filters_.HasAny(ClientNum{index}) && !framework.active) {
      return Broken(who, ": an inactive framework has filters");
    }
    filters += filters_.CountOf(ClientNum{index});
  }
  if (filters != filters_.size()) return Broken("the count of filters is wrong");

  for (uint32_t index = 0; index < roles_.size(); ++index) {
    const std::string& path = words_.role(RoleNum{index}).path;
    if ((roles_[index].client_count > 0) != role_sorter_->Has(index)) {
      return Broken("role ", path, ": wrongly in or out of the role sorter");
    }
    if (role_sorter_->Has(index) && !(role_sorter_->AllocationOf(index) == by_role[index])) {
      return Broken("role ", path, ": the role sorter's charge is wrong");
    }
  }
  Amounts required;
  std::vector<Amounts> below(words_.roles());
  for (uint32_t index = static_cast<uint32_t>(words_.roles()); index-- > 1;) {
    // Parents are interned before their children.
    const RoleNum role{index};
    if (quotas_.Consumed(role) != consumed[index]) {
      return Broken("role ", words_.role(role).path, ": the quota consumption is wrong");
    }
    const Amounts missing = (quotas_.Get(role).guarantee - consumed[index]).Clip();
    const Amounts needed = Max(missing, below[index]);
    const RoleNum parent = words_.role(role).parent;
    (parent == kRootRole ? required : below[Index(parent)]) += needed;
  }
  if (required != quotas_.required_headroom()) return Broken("the required head-room is wrong");
  return absl::OkStatus();
}

}  // namespace tessera::allocator
