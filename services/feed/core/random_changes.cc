#include "services/feed/core/random_changes.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace tessera::feed {
namespace {

namespace pb = tessera::model::v1;

std::string Id(const char* kind, int number) { return absl::StrCat(kind, "-", number); }

void AddScalar(const char* name, int64_t milli, const std::string& role,
               google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  pb::Resource* resource = resources->Add();
  resource->set_name(name);
  resource->mutable_scalar()->set_milli(milli);
  if (!role.empty()) resource->set_allocation_role(role);
}

// `slot` is a number that no other user of ports has.
void FillResources(base::Rng& rng, int slot, const std::string& role,
                   google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  AddScalar("cpus", rng.Between(1, 4000), role, resources);
  if (rng.Chance(0.7)) AddScalar("mem", 1000 * rng.Between(1, 512), role, resources);
  if (rng.Chance(0.2)) {
    AddScalar("cpus", rng.Between(1, 500), role, resources);
    resources->rbegin()->set_revocable(true);
  }
  if (rng.Chance(0.2)) {
    AddScalar("disk", 1000 * rng.Between(1, 64), role, resources);
    auto* reservation = resources->rbegin()->add_reservations();
    reservation->set_type(pb::Resource::Reservation::DYNAMIC);
    reservation->set_role(role);
  }
  if (rng.Chance(0.4)) {
    pb::Resource* ports = resources->Add();
    ports->set_name("ports");
    if (!role.empty()) ports->set_allocation_role(role);
    auto* range = ports->mutable_ranges()->add_range();
    range->set_begin(1000 + 10 * slot);
    range->set_end(1000 + 10 * slot + rng.Between(0, 9));
  }
}

std::string RandomRole(base::Rng& rng) { return Id("role", rng.Between(0, 2)); }

pb::TaskState RandomState(base::Rng& rng) {
  return static_cast<pb::TaskState>(rng.Between(1, pb::TaskState_MAX));
}

v1::TaskPlace RandomPlace(base::Rng& rng) {
  return static_cast<v1::TaskPlace>(rng.Between(1, v1::TaskPlace_MAX));
}

void FillStatus(base::Rng& rng, const std::string& task_id, pb::TaskStatus* status) {
  status->set_task_id(task_id);
  status->set_state(RandomState(rng));
  status->mutable_timestamp()->set_seconds(1'700'000'000 + rng.Between(0, 100000));
  if (rng.Chance(0.8)) status->set_uuid(absl::StrCat("uuid", rng.Below(1 << 20)));
  if (rng.Chance(0.2)) status->set_healthy(rng.Chance(0.5));
}

void FillTask(base::Rng& rng, const RandomWorld& world, int framework, int task,
              v1::Change::TaskSet* set) {
  pb::TaskRecord* record = set->mutable_task();
  record->set_framework_id(Id("framework", framework));
  record->mutable_info()->set_id(Id("task", task));
  record->mutable_info()->set_name(Id("name", task));
  if (rng.Chance(0.95)) {
    record->mutable_info()->set_agent_id(Id("agent", rng.Below(world.agents)));
  }
  FillResources(rng, framework * world.tasks_per_framework + task, RandomRole(rng),
                record->mutable_info()->mutable_resources());
  record->set_state(RandomState(rng));
  if (rng.Chance(0.5)) FillStatus(rng, Id("task", task), record->add_statuses());
  set->set_place(RandomPlace(rng));
}

void FillFramework(base::Rng& rng, int framework, pb::FrameworkRecord* record) {
  record->mutable_info()->set_id(Id("framework", framework));
  record->mutable_info()->set_name(Id("name", rng.Between(0, 99)));
  for (int role = 0; role < 3; ++role) {
    if (rng.Chance(0.5)) record->mutable_info()->add_roles(Id("role", role));
  }
  record->set_state(static_cast<pb::FrameworkState>(rng.Between(1, pb::FrameworkState_MAX)));
}

void FillAgent(base::Rng& rng, int agent, pb::AgentRecord* record) {
  record->mutable_info()->set_id(Id("agent", agent));
  record->mutable_info()->set_hostname(Id("host", agent));
  FillResources(rng, 0, "", record->mutable_total_resources());
  record->mutable_total_resources()->DeleteSubrange(1, record->total_resources_size() - 1);
  record->set_state(rng.Chance(0.7)
                        ? pb::AGENT_STATE_CONNECTED
                        : static_cast<pb::AgentState>(rng.Between(1, pb::AgentState_MAX)));
  record->set_active(rng.Chance(0.9));
}

void FillOffer(base::Rng& rng, const RandomWorld& world, int offer, pb::Offer* record) {
  record->set_id(Id("offer", offer));
  record->set_framework_id(Id("framework", rng.Below(world.frameworks)));
  record->set_agent_id(Id("agent", rng.Below(world.agents)));
  record->set_role(RandomRole(rng));
  FillResources(rng, world.frameworks * world.tasks_per_framework + offer, record->role(),
                record->mutable_resources());
}

}  // namespace

v1::Change RandomChange(base::Rng& rng, const RandomWorld& world) {
  v1::Change change;
  const int framework = rng.Below(world.frameworks);
  const int agent = rng.Below(world.agents);
  const int task = rng.Below(world.tasks_per_framework);
  const uint64_t draw = rng.Below(100);
  if (draw < 30) {
    FillTask(rng, world, framework, task, change.mutable_task_set());
  } else if (draw < 45) {
    auto* added = change.mutable_task_status_added();
    added->set_framework_id(Id("framework", framework));
    added->set_task_id(Id("task", task));
    FillStatus(rng, Id("task", task), added->mutable_status());
    added->set_state(added->status().state());
  } else if (draw < 55) {
    auto* moved = change.mutable_task_moved();
    moved->set_framework_id(Id("framework", framework));
    moved->set_task_id(Id("task", task));
    moved->set_place(RandomPlace(rng));
  } else if (draw < 60) {
    change.mutable_task_removed()->set_framework_id(Id("framework", framework));
    change.mutable_task_removed()->set_task_id(Id("task", task));
  } else if (draw < 70) {
    FillOffer(rng, world, rng.Below(world.offers), change.mutable_offer_set()->mutable_offer());
  } else if (draw < 75) {
    change.mutable_offer_removed()->set_offer_id(Id("offer", rng.Below(world.offers)));
  } else if (draw < 81) {
    FillAgent(rng, agent, change.mutable_agent_set()->mutable_agent());
  } else if (draw < 83) {
    change.mutable_agent_removed()->set_agent_id(Id("agent", agent));
  } else if (draw < 88) {
    FillFramework(rng, framework, change.mutable_framework_set()->mutable_framework());
  } else if (draw < 89) {
    change.mutable_framework_removed()->set_framework_id(Id("framework", framework));
  } else if (draw < 93) {
    auto* set = change.mutable_executor_set();
    const int executor = rng.Below(4);
    set->set_agent_id(Id("agent", agent));
    set->mutable_executor()->set_id(Id("executor", executor));
    set->mutable_executor()->set_framework_id(Id("framework", framework));
    // Ports of its own for each framework and executor, whichever agent it is on.
    FillResources(rng, 500 + 10 * framework + executor, RandomRole(rng),
                  set->mutable_executor()->mutable_resources());
  } else if (draw < 96) {
    auto* removed = change.mutable_executor_removed();
    removed->set_agent_id(Id("agent", agent));
    removed->set_framework_id(Id("framework", framework));
    removed->set_executor_id(Id("executor", rng.Below(4)));
  } else if (draw < 98) {
    auto* role = change.mutable_role_set()->mutable_role();
    role->set_name(RandomRole(rng));
    role->set_weight_milli(rng.Between(1, 5000));
  } else if (draw < 99) {
    change.mutable_role_removed()->set_role(RandomRole(rng));
  } else {
    change.mutable_cluster_set()->mutable_cluster()->set_master_id(Id("m", rng.Below(3)));
  }
  return change;
}

}  // namespace tessera::feed
