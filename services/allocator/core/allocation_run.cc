#include "services/allocator/core/allocation_run.h"

#include <utility>

namespace tessera::allocator {

bool AllocationRun::IsDue(const Agent& agent) const {
  return agent.known && agent.active && agent.whitelisted && agent.settled_at != tables_.news() &&
         !agent.free.IsEmpty();
}

void AllocationRun::Run(const std::vector<AgentNum>& agents, AllocationBatch* batch) {
  batch_ = batch;
  any_quota_ = tables_.quotas().AnyQuota();
  due_.clear();
  for (AgentNum number : agents) {
    if (IsDue(tables_.agent(number))) due_.push_back(number);
  }
  batch->agents_considered = static_cast<uint32_t>(due_.size());
  if (tables_.role_sorter().active_clients() == 0) return;
  if (any_quota_) {
    no_guarantee_room_.assign(tables_.role_slots(), 0);
    no_limit_room_.assign(tables_.role_slots(), 0);
    random_.Shuffle(due_);
    for (AgentNum number : due_) {
      if (!tables_.quotas().required_headroom().AnyPositive()) break;
      ServeGuarantees(number);
    }
  }
  random_.Shuffle(due_);
  for (AgentNum number : due_) ServeAll(number);
  batch_ = nullptr;
}

void AllocationRun::EndTurn() {
  const size_t first = batch_->allocations.size() - takers_.size();
  for (size_t i = 0; i < takers_.size(); ++i) {
    const Bag& bag = batch_->allocations[first + i].bag;
    tables_.ChargeSorters(takers_[i], bag);
    tables_.LowerDemand(takers_[i], bag);
  }
  takers_.clear();
}

void AllocationRun::ServeGuarantees(AgentNum number) {
  const Agent& agent = tables_.agent(number);
  tables_.role_sorter().Visit(&random_, [&](uint32_t role_index) {
    if (no_guarantee_room_[role_index] != 0) return true;
    const RoleNum role{role_index};
    if (!tables_.quotas().GuaranteeRoom(role).AnyPositive()) {
      no_guarantee_room_[role_index] = 1;
      return true;
    }
    tables_.role(role).clients->Visit(&random_, [&](uint32_t client) {
      if (Offer(number, ClientNum{client}, /*for_guarantee=*/true)) {
        return !agent.free.IsEmpty() && tables_.quotas().GuaranteeRoom(role).AnyPositive();
      }
      return true;
    });
    return !agent.free.IsEmpty();
  });
  EndTurn();
}

void AllocationRun::ServeAll(AgentNum number) {
  Agent& agent = tables_.agent(number);
  tables_.role_sorter().Visit(&random_, [&](uint32_t role_index) {
    const RoleNum role{role_index};
    if (any_quota_ && agent.free.extras == nullptr) {
      // Nothing but unreserved scalars: a role at its limits needs no closer look.
      if (no_limit_room_[role_index] == 0 &&
          !Min(tables_.quotas().LimitRoom(role), tables_.totals().total).AnyPositive()) {
        no_limit_room_[role_index] = 1;
      }
      if (no_limit_room_[role_index] != 0) return true;
    }
    tables_.role(role).clients->Visit(&random_, [&](uint32_t client) {
      Offer(number, ClientNum{client}, /*for_guarantee=*/false);
      return !agent.free.IsEmpty();
    });
    return !agent.free.IsEmpty();
  });
  EndTurn();
  // Also when quota kept something back: within a run the room for anybody only shrinks, and
  // whatever makes it grow is news.
  agent.settled_at = tables_.news();
}

bool AllocationRun::MayReceive(const Client& client, const Framework& framework,
                               const Agent& agent) const {
  if (client.constraints != nullptr && !client.constraints->Hold(agent.spec.attributes)) {
    return false;
  }
  if (agent.spec.remote && !framework.capabilities.region_aware) return false;
  if (!tables_.config().filter_gpu_resources || framework.capabilities.gpu_resources) return true;
  return agent.total.plain[kGpus] == 0 &&
         (agent.total.extras == nullptr || agent.total.extras->quantity()[kGpus] == 0);
}

bool AllocationRun::Offer(AgentNum number, ClientNum client_number, bool for_guarantee) {
  Agent& agent = tables_.agent(number);
  ++batch_->pairs_considered;
  if (agent.IsClosed(client_number)) return false;
  const Client& client = tables_.client(client_number);
  const Framework& framework = *tables_.FindFramework(client.framework);
  if (!MayReceive(client, framework, agent)) {
    tables_.Close(client_number, &agent);
    return false;
  }
  Candidate candidate = MakeCandidate(agent, client, framework, for_guarantee);
  if (for_guarantee && !candidate.contributes) return false;
  const Minimum& minimum =
      client.min_allocatable ? *client.min_allocatable : tables_.config().min_allocatable;
  if (!minimum.Admits(candidate.bag, tables_.words()) ||
      !client.smallest.Admits(candidate.bag, tables_.words()) ||
      tables_.filters().IsFiltered(client_number, number, candidate.bag, tables_.words())) {
    // What was kept back may be given later, and be more than is refused now.
    if (!candidate.cut) tables_.Close(client_number, &agent);
    return false;
  }
  tables_.Take(number, client_number, candidate.bag);
  takers_.push_back(client_number);
  batch_->allocations.push_back({client.framework, client.role, number, std::move(candidate.bag)});
  return true;
}

AllocationRun::Candidate AllocationRun::MakeCandidate(const Agent& agent, const Client& client,
                                                      const Framework& framework,
                                                      bool for_guarantee) {
  Candidate candidate;
  candidate.bag.plain = agent.free.plain;
  if (agent.free.extras != nullptr) {
    const Vocabulary& words = tables_.words();
    const FrameworkCapabilities& can = framework.capabilities;
    candidate.bag.extras = Select(agent.free.extras, words, [&](const Kind& kind) {
      if (kind.revocable && !can.revocable_resources) return false;
      if (kind.shared && !can.shared_resources) return false;
      if (kind.refined && !can.reservation_refinement) return false;
      return !kind.is_reserved() || words.IsWithin(client.role, kind.reserved_to);
    });
  }
  if (any_quota_) CutUnreserved(&candidate, client.role, for_guarantee);
  return candidate;
}

void AllocationRun::CutUnreserved(Candidate* candidate, RoleNum role, bool for_guarantee) {
  const QuotaTable& quotas = tables_.quotas();
  const Amounts surplus = (tables_.available_headroom() - quotas.required_headroom()).Clip();
  const Amounts limit_room = quotas.LimitRoom(role);
  Amounts guaranteed;
  if (for_guarantee) guaranteed = Min(quotas.GuaranteeRoom(role), limit_room);
  Amounts room = Min(guaranteed + surplus, limit_room);

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
  if (bag.extras == nullptr) return;
  const Amounts& unreserved = bag.extras->unreserved();
  if (unreserved.IsZero()) return;

  // Disks and the like: in random order, each as far as there is room, pieces whole or not at all.
  const Vocabulary& words = tables_.words();
  std::vector<Item> kept;
  std::vector<Item> limited;
  for (const Item& item : bag.extras->items()) {
    const Kind& kind = words.kind(item.kind);
    const bool counts = kind.is_scalar() && !kind.is_reserved() && !kind.revocable;
    (counts ? limited : kept).push_back(item);
  }
  random_.Shuffle(limited);
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

}  // namespace tessera::allocator
