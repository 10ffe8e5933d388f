#include "services/allocator/core/offer_checks.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace tessera::allocator {

Gate GateBetween(const Client& client, const Framework& framework, const Agent& agent,
                 const AllocatorConfig& config) {
  if (client.constraints != nullptr && !client.constraints->Hold(agent.spec.attributes)) {
    return Gate::kConstraint;
  }
  if (agent.spec.remote && !framework.capabilities.region_aware) return Gate::kRegion;
  if (!config.filter_gpu_resources || framework.capabilities.gpu_resources) return Gate::kNone;
  const bool has_gpus =
      agent.total.plain[kGpus] != 0 ||
      (agent.total.extras != nullptr && agent.total.extras->quantity()[kGpus] != 0);
  return has_gpus ? Gate::kGpu : Gate::kNone;
}

bool SuitsCapabilities(const Kind& kind, const FrameworkCapabilities& can) {
  if (kind.revocable && !can.revocable_resources) return false;
  if (kind.shared && !can.shared_resources) return false;
  return !kind.refined || can.reservation_refinement;
}

bool SuitsRole(const Kind& kind, RoleNum role, const Vocabulary& words) {
  return !kind.is_reserved() || words.IsWithin(role, kind.reserved_to);
}

Bag SuitablePart(const Bag& from, RoleNum role, const FrameworkCapabilities& can,
                 const Vocabulary& words) {
  Bag part;
  part.plain = from.plain;
  if (from.extras != nullptr && from.extras->SuitsAll()) {
    part.extras = from.extras;
  } else if (from.extras != nullptr) {
    part.extras = Select(from.extras, words, [&](const Kind& kind) {
      return SuitsCapabilities(kind, can) && SuitsRole(kind, role, words);
    });
  }
  return part;
}

QuotaRoom QuotaRoomOf(RoleNum role, bool for_guarantee, const ClusterTables& tables) {
  const QuotaTable& quotas = tables.quotas;
  const Amounts surplus = (tables.available_headroom - quotas.required_headroom()).Clip();
  const Amounts limit_room = quotas.LimitRoom(role);
  QuotaRoom left;
  if (for_guarantee) left.guaranteed = Min(quotas.GuaranteeRoom(role), limit_room);
  left.room = Min(left.guaranteed + surplus, limit_room);
  return left;
}

void CutToRoom(QuotaRoom left, const Vocabulary& words, base::Rng* random, Candidate* candidate) {
  Amounts& room = left.room;
  Amounts& guaranteed = left.guaranteed;
  Bag& bag = candidate->bag;
  for (size_t name = 0; name < kScalarNamesMax; ++name) {
    if (bag.plain[name] > 0 && guaranteed[name] > 0) candidate->contributes = true;
    if (bag.plain[name] > room[name]) {
      bag.plain[name] = room[name];
      candidate->cut = true;
    }
    room[name] -= bag.plain[name];
    guaranteed[name] -= bag.plain[name];
  }
  if (bag.extras == nullptr || bag.extras->unreserved().IsZero()) return;

  std::vector<Item> kept;
  std::vector<Item> limited;
  for (const Item& item : bag.extras->items()) {
    const Kind& kind = words.kind(item.kind);
    const bool counts = kind.is_scalar() && !kind.is_reserved() && !kind.revocable;
    (counts ? limited : kept).push_back(item);
  }
  random->Shuffle(limited);
  for (Item& item : limited) {
    const Kind& kind = words.kind(item.kind);
    const size_t name = kind.scalar_name;
    const int64_t unit = kind.piece == 0 ? 1 : kind.piece;
    const int64_t allowed = std::max<int64_t>(0, room[name]) / unit;
    if (guaranteed[name] >= unit) candidate->contributes = true;
    if (item.amount > allowed) {
      item.amount = allowed;
      candidate->cut = true;
    }
    room[name] -= item.amount * unit;
    guaranteed[name] -= item.amount * unit;
    if (item.amount > 0) kept.push_back(std::move(item));
  }
  bag.extras = Extras::Make(std::move(kept), words);
}

namespace {

// Cpus and memory that are not revocable.
std::array<int64_t, 2> CpusAndMem(const Bag& bag, const Vocabulary& words) {
  std::array<int64_t, 2> sum = {bag.plain[kCpus], bag.plain[kMem]};
  if (bag.extras == nullptr) return sum;
  for (const Item& item : bag.extras->items()) {
    const Kind& kind = words.kind(item.kind);
    if (kind.revocable || (kind.scalar_name != kCpus && kind.scalar_name != kMem)) continue;
    sum[kind.scalar_name] += kind.piece == 0 ? item.amount : kind.piece * item.amount;
  }
  return sum;
}

// The first `count` elements of ranges or a set.
model::Resource FirstOf(model::Resource resource, uint64_t count) {
  if (resource.kind() == model::ResourceKind::kRanges) {
    std::vector<model::Interval> first;
    for (model::Interval interval : resource.ranges().intervals()) {
      if (count == 0) break;
      if (interval.end - interval.begin >= count) interval.end = interval.begin + count - 1;
      count -= interval.end - interval.begin + 1;
      first.push_back(interval);
    }
    resource.set_ranges(model::Ranges::UnionOf(std::move(first)));
  } else {
    const auto& items = resource.set().items();
    const size_t kept = std::min<uint64_t>(count, items.size());
    resource.set_set(
        *model::StringSet::FromItems({items.begin(), items.begin() + static_cast<long>(kept)}));
  }
  return resource;
}

}  // namespace

void ShareValues(const Bag& free, const Vocabulary& words, Candidate* candidate) {
  using Wide = unsigned __int128;
  Bag& bag = candidate->bag;
  if (bag.extras == nullptr || !bag.extras->any_open_values()) return;
  if (bag.extras == free.extras && bag.plain == free.plain) return;
  const auto given = CpusAndMem(bag, words);
  const auto there = CpusAndMem(free, words);
  uint64_t part = 1, whole = 1;
  bool any = false;
  for (size_t i = 0; i < there.size(); ++i) {
    if (there[i] <= 0) continue;
    const uint64_t of = static_cast<uint64_t>(there[i]);
    const uint64_t mine = static_cast<uint64_t>(std::min(std::max<int64_t>(given[i], 0), there[i]));
    if (!any || static_cast<Wide>(mine) * whole > static_cast<Wide>(part) * of) {
      part = mine;
      whole = of;
    }
    any = true;
  }
  if (part == whole) return;
  std::vector<Item> items = bag.extras->items();
  for (Item& item : items) {
    if (item.value == nullptr || words.kind(item.kind).is_reserved()) continue;
    const uint64_t all = item.value->kind() == model::ResourceKind::kRanges
                             ? item.value->ranges().Count()
                             : item.value->set().Count();
    const Wide exact = static_cast<Wide>(all) * part;
    const uint64_t share = static_cast<uint64_t>((exact + whole - 1) / whole);
    if (share >= all) continue;
    item.value = std::make_shared<const model::Resource>(FirstOf(*item.value, share));
    candidate->cut = true;
    candidate->may_differ = true;
  }
  bag.extras = Extras::Make(std::move(items), words);
}

bool IsEnough(const Client& client, const Bag& bag, const ClusterTables& tables) {
  const Minimum& minimum =
      client.min_allocatable ? *client.min_allocatable : tables.config.min_allocatable;
  return minimum.Admits(bag, tables.words) && client.smallest.Admits(bag, tables.words);
}

Verdict Judge(ClientNum client, AgentNum agent, const Bag& bag, const ClusterTables& tables) {
  if (!IsEnough(tables.frameworks.client(client), bag, tables)) return Verdict::kTooLittle;
  if (tables.filters.IsFiltered(client, agent, bag, tables.words)) return Verdict::kFiltered;
  return Verdict::kOffer;
}

}  // namespace tessera::allocator
