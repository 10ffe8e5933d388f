#include "services/allocator/core/explain.h"

#include <algorithm>
#include <tuple>

#include "services/allocator/core/offer_checks.h"

namespace tessera::allocator {
namespace {

// One question, asked of agent after agent.
class Inquiry {
 public:
  Inquiry(const Question& question, const ClusterTables& tables)
      : question_(question),
        tables_(tables),
        client_(tables.frameworks.client(question.client)),
        framework_(*tables.frameworks.Find(client_.framework)),
        of_client_(ObstacleOfClient()) {}

  Explanation Answer() {
    Explanation answer;
    for (uint32_t index = 0; index < tables_.agents.slots(); ++index) {
      const AgentNum number{index};
      const Agent& agent = tables_.agents.at(number);
      if (!agent.known) continue;
      const Found found = Look(number, agent);
      ++answer.agents;
      ++answer.counts[static_cast<size_t>(found.obstacle)];
      if (found.obstacle == Obstacle::kTooLittleLeft) CountHolders(agent);
      NoteNear(number, found);
    }
    std::sort_heap(nearest_.begin(), nearest_.end());
    for (const Near& near : nearest_) {
      answer.nearest.push_back({near.agent, near.obstacle, near.available, MissingOf(near)});
    }
    answer.holders = LargestHolders();
    return answer;
  }

 private:
  struct Found {
    Obstacle obstacle;
    Bag available;
  };
  struct Near {
    int64_t distance;
    Obstacle obstacle;
    AgentNum agent;
    Bag available;
    // Of those that lack as much, the ones that will be offered first.
    friend bool operator<(const Near& left, const Near& right) {
      return std::tuple(left.distance, left.obstacle != Obstacle::kNone, Index(left.agent)) <
             std::tuple(right.distance, right.obstacle != Obstacle::kNone, Index(right.agent));
    }
  };

  // Runs visit clients that are active in their sorter, and no others.
  Obstacle ObstacleOfClient() const {
    if (question_.paused) return Obstacle::kPaused;
    if (client_.active) return Obstacle::kNone;
    if (!framework_.active) return Obstacle::kFrameworkInactive;
    if (client_.suppressed) return Obstacle::kSuppressed;
    if (framework_.IsAtOfferCap(tables_.config)) return Obstacle::kOfferCap;
    return framework_.IsQuiet() ? Obstacle::kSilence : Obstacle::kNoDemand;
  }

  bool IsOfUse(const Bag& bag) const {
    return IsEnough(client_, bag, tables_) &&
           (!question_.needed || question_.needed->Admits(bag, tables_.words));
  }

  Found Look(AgentNum number, const Agent& agent) {
    Found found = LookAtWhatIsThere(number, agent);
    if (of_client_ != Obstacle::kNone) {
      found.obstacle = of_client_;
    } else if (!agent.IsOffered()) {
      found.obstacle = agent.active ? Obstacle::kNotWhitelisted : Obstacle::kAgentInactive;
    } else {
      switch (GateBetween(client_, framework_, agent, tables_.config)) {
        case Gate::kNone:
          break;
        case Gate::kConstraint:
          found.obstacle = Obstacle::kConstraint;
          break;
        case Gate::kRegion:
          found.obstacle = Obstacle::kRegion;
          break;
        case Gate::kGpu:
          found.obstacle = Obstacle::kGpu;
          break;
      }
    }
    return found;
  }

  // As if client and agent were fit for each other.
  Found LookAtWhatIsThere(AgentNum number, const Agent& agent) {
    const FrameworkCapabilities& can = framework_.capabilities;
    Candidate all{.bag = SuitablePart(agent.free, client_.role, can, tables_.words)};
    if (!IsOfUse(all.bag)) return {WhyTooLittle(agent, all.bag), all.bag};

    Obstacle obstacle = Obstacle::kHeadroomHeld;
    Candidate offered = all;
    for (const bool for_guarantee : {true, false}) {
      if (for_guarantee && !ServesGuarantees()) continue;
      offered = all;
      CutAsARunDoes(agent, for_guarantee, &offered);
      if (for_guarantee && !offered.contributes) continue;
      if (!IsOfUse(offered.bag)) continue;
      if (Judge(question_.client, number, offered.bag, tables_) == Verdict::kOffer) {
        return {Obstacle::kNone, offered.bag};
      }
      obstacle = Obstacle::kFiltered;
    }
    if (obstacle == Obstacle::kFiltered) return {obstacle, offered.bag};
    Candidate limited = all;
    CutToRoom({.guaranteed = {}, .room = tables_.quotas.LimitRoom(client_.role)}, tables_.words,
              &random_, &limited);
    if (!IsOfUse(limited.bag)) return {Obstacle::kOverLimit, limited.bag};
    return {obstacle, offered.bag};
  }

  bool ServesGuarantees() const {
    const QuotaTable& quotas = tables_.quotas;
    return quotas.AnyQuota() && quotas.required_headroom().AnyPositive() &&
           quotas.GuaranteeRoom(client_.role).AnyPositive();
  }

  void CutAsARunDoes(const Agent& agent, bool for_guarantee, Candidate* candidate) {
    if (tables_.quotas.AnyQuota()) {
      CutToRoom(QuotaRoomOf(client_.role, for_guarantee, tables_), tables_.words, &random_,
                candidate);
    }
    if (tables_.config.share_ranges_and_sets) {
      ShareValues(agent.free, tables_.words, candidate);
    }
  }

  Obstacle WhyTooLittle(const Agent& agent, const Bag& suitable) const {
    const Vocabulary& words = tables_.words;
    const FrameworkCapabilities& can = framework_.capabilities;
    if (agent.free.extras != nullptr) {
      Bag of_role = agent.free;
      of_role.extras = Select(agent.free.extras, words, [&](const Kind& kind) {
        return SuitsRole(kind, client_.role, words);
      });
      if (IsOfUse(of_role)) return Obstacle::kCapability;
      if (IsOfUse(agent.free)) return Obstacle::kReservedForOthers;
    }
    for (const Holding& holding : agent.holdings) {
      if (holding.client != question_.client) continue;
      Bag with_own = suitable;
      AddTo(&with_own, holding.bag, words);
      if (IsOfUse(with_own)) return Obstacle::kHeldByItself;
    }
    return IsOfUse(SuitablePart(agent.total, client_.role, can, words)) ? Obstacle::kTooLittleLeft
                                                                        : Obstacle::kTooSmall;
  }

  // What an offer is measured by, all at once.
  std::array<const Minimum*, 3> Measures() const {
    static const Minimum kAnything;
    return {client_.min_allocatable ? &*client_.min_allocatable : &tables_.config.min_allocatable,
            &client_.smallest, question_.needed ? &*question_.needed : &kAnything};
  }

  void NoteNear(AgentNum number, const Found& found) {
    if (question_.nearest_max == 0) return;
    int64_t distance = 0;
    for (const Minimum* measure : Measures()) {
      distance = std::max(distance, measure->DistanceFrom(found.available, tables_.words));
    }
    Near near{distance, found.obstacle, number, found.available};
    if (nearest_.size() == question_.nearest_max) {
      if (!(near < nearest_.front())) return;
      std::pop_heap(nearest_.begin(), nearest_.end());
      nearest_.pop_back();
    }
    nearest_.push_back(std::move(near));
    std::push_heap(nearest_.begin(), nearest_.end());
  }

  std::vector<std::pair<std::string, int64_t>> MissingOf(const Near& near) const {
    std::vector<std::pair<std::string, int64_t>> all;
    for (const Minimum* measure : Measures()) {
      for (auto& [name, amount] : measure->MissingFrom(near.available, tables_.words)) {
        const auto known = std::find_if(all.begin(), all.end(),
                                        [&](const auto& one) { return one.first == name; });
        if (known == all.end()) {
          all.emplace_back(name, amount);
        } else {
          known->second = std::max(known->second, amount);
        }
      }
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  void CountHolders(const Agent& agent) {
    for (const Holding& holding : agent.holdings) {
      if (Index(holding.client) >= held_.size()) held_.resize(Index(holding.client) + 1);
      Explanation::Holder& holder = held_[Index(holding.client)];
      holder.client = holding.client;
      ++holder.agents;
      holder.held += holding.bag.Quantity();
    }
  }

  std::vector<Explanation::Holder> LargestHolders() {
    std::erase_if(held_, [](const Explanation::Holder& holder) { return holder.agents == 0; });
    // Between those on as many agents the dominant share decides, in billionths.
    const Amounts& total = tables_.totals.total;
    const auto share = [&total](const Explanation::Holder& holder) {
      __int128 largest = 0;
      for (size_t name = 0; name < kScalarNamesMax; ++name) {
        if (total[name] <= 0) continue;
        largest = std::max(largest,
                           static_cast<__int128>(holder.held[name]) * 1'000'000'000 / total[name]);
      }
      return largest;
    };
    std::stable_sort(held_.begin(), held_.end(), [&](const auto& left, const auto& right) {
      if (left.agents != right.agents) return left.agents > right.agents;
      return share(left) > share(right);
    });
    if (held_.size() > question_.holders_max) held_.resize(question_.holders_max);
    return std::move(held_);
  }

  const Question& question_;
  const ClusterTables& tables_;
  const Client& client_;
  const Framework& framework_;
  const Obstacle of_client_;
  // Its own, so that asking changes no run.
  base::Rng random_{1};
  std::vector<Near> nearest_;              // a heap, the farthest on top
  std::vector<Explanation::Holder> held_;  // by client
};

}  // namespace

Explanation Explain(const Question& question, const ClusterTables& tables) {
  return Inquiry(question, tables).Answer();
}

}  // namespace tessera::allocator
