#include "services/allocator/core/cluster_invariants.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

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

// All sums over agents and holdings, and what of the tables is to equal them.
class Audit {
 public:
  explicit Audit(const ClusterTables& tables) : tables_(tables), words_(tables.words) {}

  absl::Status Run() {
    for (uint32_t index = 0; index < tables_.agents.slots(); ++index) {
      if (absl::Status status = CountAgent(AgentNum{index}); !status.ok()) return status;
    }
    for (const auto check :
         {&Audit::CheckSums, &Audit::CheckClients, &Audit::CheckRoles, &Audit::CheckQuotas}) {
      if (absl::Status status = (this->*check)(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  const Client& ClientOf(const Holding& holding) const {
    return tables_.frameworks.client(holding.client);
  }

  void Consume(RoleNum role, const Amounts& amounts) {
    for (; role != kRootRole; role = words_.role(role).parent) consumed_[Index(role)] += amounts;
  }

  absl::Status CountAgent(AgentNum number) {
    const Agent& agent = tables_.agents.at(number);
    if (!agent.known) {
      return agent.holdings.empty() ? absl::OkStatus()
                                    : Broken("something is held on an unknown agent");
    }
    ++known_agents_;
    const std::string& id = words_.AgentId(number);
    Bag all;
    for (const Holding& holding : agent.holdings) {
      if (holding.bag.IsEmpty()) return Broken("agent ", id, ": an empty holding");
      AddTo(&all, NonShared(holding.bag, words_), words_);
      ++agents_held_[Index(holding.client)];
      by_client_[Index(holding.client)] += holding.bag.Quantity();
      const RoleNum role = ClientOf(holding).role;
      const Bag plain = NonShared(holding.bag, words_);
      held_ += plain.Quantity();
      by_role_[Index(role)] += plain.Quantity();
      Consume(role, holding.bag.Unreserved());
    }
    CountSharedHeld(agent);
    if (agent.free.plain.AnyNegative()) return Broken("agent ", id, ": negative free");
    if (!agent.overcommitted) {
      AddTo(&all, agent.free, words_);
      if (!Equal(all, NonShared(agent.total, words_), words_)) {
        return Broken("agent ", id, ": offered, used and free make ", ToString(all, words_),
                      " but the total is ", ToString(agent.total, words_));
      }
    }
    total_ += agent.total.Quantity();
    if (agent.IsOffered()) headroom_ += agent.free.Unreserved();
    if (agent.total.extras != nullptr) {
      for (const Item& item : agent.total.extras->items()) {
        const Kind& kind = words_.kind(item.kind);
        if (kind.is_scalar() && kind.is_reserved() && !kind.revocable) {
          Consume(kind.reserved_to, ReservedOf(item, kind));
        }
      }
    }
    return absl::OkStatus();
  }

  // Once for each role, and once for the agent.
  void CountSharedHeld(const Agent& agent) {
    std::set<KindNum> on_agent;
    std::set<std::pair<uint32_t, KindNum>> in_role;
    for (const Holding& holding : agent.holdings) {
      if (holding.bag.extras == nullptr || !holding.bag.extras->any_shared()) continue;
      for (const Item& item : holding.bag.extras->items()) {
        const Kind& kind = words_.kind(item.kind);
        if (!kind.shared || !kind.is_scalar()) continue;
        const uint32_t role = Index(ClientOf(holding).role);
        if (on_agent.insert(item.kind).second) held_[kind.scalar_name] += kind.piece;
        if (in_role.insert({role, item.kind}).second) {
          by_role_[role][kind.scalar_name] += kind.piece;
        }
      }
    }
  }

  absl::Status CheckSums() {
    if (known_agents_ != tables_.agents.known()) return Broken("the count of agents is wrong");
    if (total_ != tables_.totals.total) return Broken("the cluster's total is wrong");
    if (held_ != tables_.held) return Broken("the sum of what is held is wrong");
    if (headroom_ != tables_.available_headroom) {
      return Broken("the available head-room is wrong");
    }
    return absl::OkStatus();
  }

  absl::Status CheckClients() {
    size_t filters = 0;
    for (uint32_t index = 0; index < tables_.frameworks.client_slots(); ++index) {
      const ClientNum number{index};
      if (tables_.frameworks.client(number).role == kNoRole) {
        if (tables_.filters.HasAny(number)) return Broken("a filter of no client");
        continue;
      }
      if (absl::Status status = CheckClient(number); !status.ok()) return status;
      filters += tables_.filters.CountOf(number);
    }
    if (filters != tables_.filters.size()) return Broken("the count of filters is wrong");
    return absl::OkStatus();
  }

  absl::Status CheckClient(ClientNum number) {
    const Client& client = tables_.frameworks.client(number);
    const std::string who = absl::StrCat("framework ", words_.FrameworkId(client.framework),
                                         " in role ", words_.role(client.role).path);
    const Framework& framework = tables_.frameworks.at(client.framework);
    const Sorter& sorter = *tables_.roles.at(client.role).clients;
    if (!client.subscribed && client.agents_held == 0) return Broken(who, " is of no use");
    if (client.agents_held != agents_held_[Index(number)]) {
      return Broken(who, ": wrong count of agents");
    }
    const bool active = framework.known && framework.active && client.subscribed &&
                        !client.suppressed && !client.IsSated() &&
                        !framework.IsKeptFromOffers(tables_.config);
    if (client.active != active) return Broken(who, ": wrong activity");
    if (!(sorter.AllocationOf(Index(number)) == by_client_[Index(number)])) {
      return Broken(who, ": the sorter's charge is wrong");
    }
    if (!active && tables_.filters.HasAny(number) && !framework.active) {
      return Broken(who, ": an inactive framework has filters");
    }
    return absl::OkStatus();
  }

  absl::Status CheckRoles() {
    const Sorter& sorter = tables_.roles.sorter();
    for (uint32_t index = 0; index < tables_.roles.slots(); ++index) {
      const std::string& path = words_.role(RoleNum{index}).path;
      if ((tables_.roles.at(RoleNum{index}).client_count > 0) != sorter.Has(index)) {
        return Broken("role ", path, ": wrongly in or out of the role sorter");
      }
      if (sorter.Has(index) && !(sorter.AllocationOf(index) == by_role_[index])) {
        return Broken("role ", path, ": the role sorter's charge is wrong");
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckQuotas() {
    const QuotaTable& quotas = tables_.quotas;
    Amounts required;
    std::vector<Amounts> below(words_.roles());
    for (uint32_t index = static_cast<uint32_t>(words_.roles()); index-- > 1;) {
      // Parents are interned before their children.
      const RoleNum role{index};
      if (quotas.Consumed(role) != consumed_[index]) {
        return Broken("role ", words_.role(role).path, ": the quota consumption is wrong");
      }
      const Amounts missing = (quotas.Get(role).guarantee - consumed_[index]).Clip();
      const Amounts needed = Max(missing, below[index]);
      const RoleNum parent = words_.role(role).parent;
      (parent == kRootRole ? required : below[Index(parent)]) += needed;
    }
    if (required != quotas.required_headroom()) return Broken("the required head-room is wrong");
    return absl::OkStatus();
  }

  const ClusterTables& tables_;
  const Vocabulary& words_;
  Amounts total_, held_, headroom_;
  std::map<uint32_t, Amounts> by_client_, by_role_, consumed_;
  std::map<uint32_t, uint32_t> agents_held_;
  size_t known_agents_ = 0;
};

}  // namespace

absl::Status CheckInvariants(const ClusterTables& tables) { return Audit(tables).Run(); }

}  // namespace tessera::allocator
