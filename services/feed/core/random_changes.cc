#include "services/feed/core/random_changes.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "services/feed/core/kinds.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {
namespace {

// Launches of one id of a task, and lives of one of an executor.
constexpr int kLaunches = 2;

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

// One of the launches that a task of this id may have: some ids are used again.
int RandomLaunch(base::Rng& rng) { return static_cast<int>(rng.Between(1, kLaunches)); }

// A number that no other launch of the framework's tasks, and no executor, has.
void FillIncarnation(int kind, int number, int launch, pb::Incarnation* incarnation) {
  incarnation->set_epoch(1 + launch / 2);
  incarnation->set_number(kind * 1'000'000 + number * kLaunches + launch);
}

void FillTask(base::Rng& rng, const RandomWorld& world, int framework, int task,
              v1::Change::TaskSet* set) {
  pb::TaskRecord* record = set->mutable_task();
  const int launch = RandomLaunch(rng);
  record->set_framework_id(Id("framework", framework));
  record->mutable_info()->set_id(Id("task", task));
  record->mutable_info()->set_name(Id("name", task));
  FillIncarnation(1, task, launch, record->mutable_incarnation());
  if (rng.Chance(0.95)) record->set_agent_id(Id("agent", rng.Below(world.agents)));
  if (rng.Chance(0.2)) {
    record->set_executor_id(Id("executor", rng.Below(4)));
    FillIncarnation(2, 0, launch, record->mutable_executor());
  }
  const int number = framework * world.tasks_per_framework + task;
  FillResources(rng, number * kLaunches + launch - 1, RandomRole(rng), record->mutable_resources());
  record->set_state(RandomState(rng));
  if (rng.Chance(0.5)) FillStatus(rng, Id("task", task), record->add_statuses());
  set->set_place(RandomPlace(rng));
}

// First number of the slots of ports that tasks do not have.
int SlotsOfTasks(const RandomWorld& world) {
  return world.frameworks * world.tasks_per_framework * kLaunches;
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
  FillResources(rng, SlotsOfTasks(world) + offer, record->role(), record->mutable_resources());
}

void FillExecutor(base::Rng& rng, const RandomWorld& world, int framework,
                  pb::ExecutorRecord* record) {
  const int executor = static_cast<int>(rng.Below(4));
  const int launch = RandomLaunch(rng);
  record->set_framework_id(Id("framework", framework));
  record->set_agent_id(Id("agent", rng.Below(world.agents)));
  record->set_executor_id(Id("executor", executor));
  FillIncarnation(2, executor, launch, record->mutable_incarnation());
  record->mutable_info()->set_id(Id("executor", executor));
  const int number = (framework * 4 + executor) * kLaunches + launch;
  FillResources(rng, SlotsOfTasks(world) + world.offers + number, RandomRole(rng),
                record->mutable_resources());
}

// Names a launch of a task.
template <typename Named>
void NameTask(base::Rng& rng, int framework, int task, Named* named) {
  named->set_framework_id(Id("framework", framework));
  named->set_task_id(Id("task", task));
  FillIncarnation(1, task, RandomLaunch(rng), named->mutable_incarnation());
}

// ---- one of each kind of row --------------------------------------------------------------------

// How often changes of a kind come, in percent, and one of them.
template <typename Row>
struct Random;

struct Draw {
  base::Rng& rng;
  const RandomWorld& world;
  v1::Change* change;
  int framework() const { return static_cast<int>(rng.Below(world.frameworks)); }
  int agent() const { return static_cast<int>(rng.Below(world.agents)); }
  int task() const { return static_cast<int>(rng.Below(world.tasks_per_framework)); }
};

template <>
struct Random<ClusterPtr> {
  static constexpr int kWeight = 1;
  static void Make(const Draw& draw) {
    draw.change->mutable_cluster_set()->mutable_cluster()->set_master_id(
        Id("m", static_cast<int>(draw.rng.Between(0, 3))));
  }
};

template <>
struct Random<RolePtr> {
  static constexpr int kWeight = 3;
  static void Make(const Draw& draw) {
    if (draw.rng.Chance(0.3)) {
      draw.change->mutable_role_removed()->set_role(RandomRole(draw.rng));
      return;
    }
    auto* role = draw.change->mutable_role_set()->mutable_role();
    role->set_name(RandomRole(draw.rng));
    role->set_weight_milli(draw.rng.Between(1, 5000));
  }
};

template <>
struct Random<AgentPtr> {
  static constexpr int kWeight = 8;
  static void Make(const Draw& draw) {
    if (draw.rng.Chance(0.25)) {
      draw.change->mutable_agent_removed()->set_agent_id(Id("agent", draw.agent()));
      return;
    }
    FillAgent(draw.rng, draw.agent(), draw.change->mutable_agent_set()->mutable_agent());
  }
};

template <>
struct Random<FrameworkPtr> {
  static constexpr int kWeight = 6;
  static void Make(const Draw& draw) {
    if (draw.rng.Chance(0.17)) {
      draw.change->mutable_framework_removed()->set_framework_id(Id("framework", draw.framework()));
      return;
    }
    FillFramework(draw.rng, draw.framework(),
                  draw.change->mutable_framework_set()->mutable_framework());
  }
};

template <>
struct Random<TaskRow> {
  static constexpr int kWeight = 60;
  static void Make(const Draw& draw) {
    const int framework = draw.framework();
    const int task = draw.task();
    const uint64_t kind = draw.rng.Below(12);
    if (kind < 6) {
      FillTask(draw.rng, draw.world, framework, task, draw.change->mutable_task_set());
    } else if (kind < 9) {
      auto* added = draw.change->mutable_task_status_added();
      NameTask(draw.rng, framework, task, added);
      FillStatus(draw.rng, Id("task", task), added->mutable_status());
      added->set_state(added->status().state());
    } else if (kind < 11) {
      NameTask(draw.rng, framework, task, draw.change->mutable_task_moved());
      draw.change->mutable_task_moved()->set_place(RandomPlace(draw.rng));
    } else {
      NameTask(draw.rng, framework, task, draw.change->mutable_task_removed());
    }
  }
};

template <>
struct Random<ExecutorPtr> {
  static constexpr int kWeight = 7;
  static void Make(const Draw& draw) {
    const int framework = draw.framework();
    if (draw.rng.Chance(0.6)) {
      FillExecutor(draw.rng, draw.world, framework,
                   draw.change->mutable_executor_set()->mutable_executor());
      return;
    }
    auto* removed = draw.change->mutable_executor_removed();
    const int executor = static_cast<int>(draw.rng.Below(4));
    removed->set_framework_id(Id("framework", framework));
    removed->set_executor_id(Id("executor", executor));
    FillIncarnation(2, executor, RandomLaunch(draw.rng), removed->mutable_incarnation());
  }
};

template <>
struct Random<OfferPtr> {
  static constexpr int kWeight = 15;
  static void Make(const Draw& draw) {
    const int offer = static_cast<int>(draw.rng.Below(draw.world.offers));
    if (draw.rng.Chance(0.33)) {
      draw.change->mutable_offer_removed()->set_offer_id(Id("offer", offer));
      return;
    }
    FillOffer(draw.rng, draw.world, offer, draw.change->mutable_offer_set()->mutable_offer());
  }
};

}  // namespace

Change RandomChange(base::Rng& rng, const RandomWorld& world) {
  v1::Change change;
  int weights = 0;
  Kinds::ForEach([&](const auto& kind) {
    weights += Random<typename std::decay_t<decltype(kind)>::Row>::kWeight;
  });
  int draw = static_cast<int>(rng.Below(weights));
  Kinds::ForEach([&](const auto& kind) {
    using Kind = Random<typename std::decay_t<decltype(kind)>::Row>;
    if (draw >= 0 && draw < Kind::kWeight) Kind::Make({rng, world, &change});
    draw -= Kind::kWeight;
  });
  return *FromPublic(change);
}

}  // namespace tessera::feed
