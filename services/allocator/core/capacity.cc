#include "services/allocator/core/capacity.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace tessera::allocator {

void Capacity::CountReservations(const Bag& total, int sign) {
  if (total.extras == nullptr || !total.extras->any_reserved()) return;
  for (const Item& item : total.extras->items()) {
    const Kind& kind = tables_.words.kind(item.kind);
    if (!kind.is_scalar() || !kind.is_reserved() || kind.revocable) continue;
    Amounts reserved;
    reserved[kind.scalar_name] = kind.piece == 0 ? item.amount
                                 : kind.shared   ? kind.piece
                                                 : kind.piece * item.amount;
    if (sign > 0) {
      tables_.quotas.Consume(kind.reserved_to, reserved);
    } else {
      tables_.quotas.Release(kind.reserved_to, reserved);
    }
  }
}

void Capacity::CountTotals(const Bag& before, const Bag& after) {
  CountReservations(before, -1);
  CountReservations(after, 1);
  const Amounts quantity_before = before.Quantity();
  const Amounts quantity_after = after.Quantity();
  if (quantity_before == quantity_after) return;
  ClusterTotals& totals = tables_.totals;
  totals.total -= quantity_before;
  totals.total += quantity_after;
  for (const std::string& name : tables_.config.fair_sharing_excluded_names) {
    if (const std::optional<uint32_t> scalar = tables_.words.FindScalarName(name)) {
      totals.excluded_names |= 1u << *scalar;
    }
  }
  ++totals.version;
}

void Capacity::CountHeadroom(const Agent& agent, bool counts) {
  if (counts) {
    tables_.available_headroom += agent.free.Unreserved();
  } else {
    tables_.available_headroom -= agent.free.Unreserved();
  }
}

void Capacity::SetFree(Agent* agent, Bag free) {
  if (agent->IsOffered()) CountHeadroom(*agent, false);
  agent->free = std::move(free);
  if (agent->IsOffered()) CountHeadroom(*agent, true);
}

void Capacity::RecomputeFree(Agent* agent) {
  const Vocabulary& words = tables_.words;
  Bag free = NonShared(agent->total, words);
  agent->shared = OnlyShared(agent->total, words);
  agent->shared_run = 0;
  agent->overcommitted = false;
  for (const Holding& holding : agent->holdings) {
    agent->overcommitted |= !TakeFrom(&free, NonShared(holding.bag, words), words);
  }
  SetFree(agent, std::move(free));
}

void Capacity::SetTotal(Agent* agent, const Bag& total) {
  agent->total = total;
  CountTotals(Bag(), total);
}

bool Capacity::ChangeTotal(Agent* agent, const Bag& total) {
  const Vocabulary& words = tables_.words;
  if (Equal(agent->total, total, words)) return false;
  CountTotals(agent->total, total);
  Bag more = total;
  const bool only_more = TakeFrom(&more, agent->total, words);
  agent->total = total;
  if (only_more && !agent->overcommitted && agent->shared == nullptr &&
      OnlyShared(total, words) == nullptr) {
    // Nobody holds any of what is new.
    AddTo(&more, agent->free, words);
    SetFree(agent, std::move(more));
  } else {
    RecomputeFree(agent);
  }
  return true;
}

void Capacity::Convert(Agent* agent, const Bag& consumed, const Bag& converted) {
  Bag total = agent->total;
  TakeFrom(&total, consumed, tables_.words);
  AddTo(&total, converted, tables_.words);
  CountTotals(agent->total, total);
  agent->total = std::move(total);
  RecomputeFree(agent);
}

void Capacity::TakeOut(Agent* agent) {
  SetFree(agent, Bag());
  CountTotals(agent->total, Bag());
}

void Capacity::NoteOffered(const Agent& agent, bool was_offered) {
  const bool is_offered = agent.IsOffered();
  if (is_offered == was_offered) return;
  CountHeadroom(agent, is_offered);
  // Others have more room, or less, than at the last look.
  AnnounceRoom();
}

}  // namespace tessera::allocator
