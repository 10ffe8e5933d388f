// What anybody may send, however large or odd: it is refused or taken within bounds, and the master
// leads on. In front of a registry that refuses what the real one refuses.
#include <gtest/gtest.h>

#include <limits>

#include "services/master/core/test_master.h"
#include "services/model/role.h"

namespace tessera::master {
namespace {

using Kind = link::MasterMessage;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

// Nearly as much as a framework may say of itself.
pb::FrameworkInfo LongInfo(const std::string& name) {
  pb::FrameworkInfo info = TestMaster::Info(name);
  info.mutable_labels()->add_label()->set_key(std::string(250 << 10, 'x'));
  return info;
}

link::TaskEntry RunningTask(const std::string& framework, const std::string& id) {
  link::TaskEntry record;
  record.set_framework_id(framework);
  record.set_task_id(id);
  *record.mutable_incarnation() = TestMaster::MadeUp();
  *record.mutable_resources() = TestMaster::Resources("cpus:1");
  record.set_state(pb::TASK_RUNNING);
  return record;
}

class BoundsTest : public ::testing::Test {
 protected:
  BoundsTest() : BoundsTest(TestMaster::Config()) {}
  explicit BoundsTest(MasterConfig config) : master_(&registry_, kStart, std::move(config)) {
    master_.Lead();
  }
  ~BoundsTest() override {
    EXPECT_TRUE(master_.core().leading()) << "somebody deposed the leader";
    EXPECT_TRUE(master_.ended().empty());
  }

  pb::ErrorDetail::Reason FrameworkClosedWith(StreamId stream) {
    const absl::Status* status = master_.FrameworkClosed(stream);
    return status == nullptr ? pb::ErrorDetail::REASON_UNSPECIFIED : rpc::ReasonOf(*status);
  }
  pb::ErrorDetail::Reason AgentClosedWith(AgentStreamId stream) {
    const absl::Status* status = master_.AgentClosed(stream);
    return status == nullptr ? pb::ErrorDetail::REASON_UNSPECIFIED : rpc::ReasonOf(*status);
  }
  // The durable writes go on.
  void ExpectWritesGoOn() {
    const StreamId stream = master_.Subscribe(TestMaster::Info("next"));
    EXPECT_EQ(master_.Events(stream, sched::Event::kSubscribed).size(), 1u);
  }

  TestRegistry registry_;
  TestMaster master_;
};

// ---- records

TEST_F(BoundsTest, ARoleIsSuppressedOnce) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("twice"), {"work", "work"});
  EXPECT_EQ(FrameworkClosedWith(stream), pb::ErrorDetail::INVALID_FIELD);
  ExpectWritesGoOn();
}

TEST_F(BoundsTest, SuppressedRolesCountAmongTheBytesOfAFramework) {
  const std::vector<std::string> suppressed(500'000, "work");
  EXPECT_EQ(FrameworkClosedWith(master_.Subscribe(TestMaster::Info("batch"), suppressed)),
            pb::ErrorDetail::MESSAGE_TOO_LARGE);
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  sched::UpdateFrameworkRequest update;
  *update.mutable_info() = TestMaster::Info("batch");
  update.mutable_info()->set_id(master_.SessionOf(stream).framework_id());
  for (const std::string& role : suppressed) update.add_suppressed_roles(role);
  const auto answer = master_.Call<sched::UpdateFrameworkResponse>(stream, update);
  EXPECT_EQ(rpc::ReasonOf(answer.status()), pb::ErrorDetail::MESSAGE_TOO_LARGE);
  ExpectWritesGoOn();
}

TEST_F(BoundsTest, AnAgentDescribesItselfShortly) {
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.add_attributes()->set_name(std::string(2 << 20, 'x'));
  EXPECT_EQ(AgentClosedWith(master_.Register(info)), pb::ErrorDetail::MESSAGE_TOO_LARGE);
  info.set_id("known-elsewhere");
  EXPECT_EQ(AgentClosedWith(master_.Register(info)), pb::ErrorDetail::MESSAGE_TOO_LARGE);
  ExpectWritesGoOn();
}

TEST_F(BoundsTest, TheNameOfARoleIsAKeyOfTheRegistry) {
  for (const std::string& role : {std::string("a\x01"), std::string(2000, 'a')}) {
    ops::UpdateWeightsRequest weights;
    weights.add_weights()->set_role(role);
    weights.mutable_weights(0)->set_weight_milli(2000);
    EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateWeightsResponse>(weights).status()),
              pb::ErrorDetail::INVALID_FIELD);
    ops::UpdateQuotaRequest quota;
    quota.add_configs()->set_role(role);
    (*quota.mutable_configs(0)->mutable_limits()->mutable_amounts())["cpus"].set_milli(1);
    EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
              pb::ErrorDetail::INVALID_FIELD);
  }
  ExpectWritesGoOn();
}

TEST_F(BoundsTest, ARecordThatIsTooLargeIsRefusedToWhoeverWritesIt) {
  ops::UpdateQuotaRequest quota;
  quota.set_force(true);
  quota.add_configs()->set_role("work");
  auto& limits = *quota.mutable_configs(0)->mutable_limits()->mutable_amounts();
  for (int i = 0; i < 600; ++i) limits[std::to_string(i) + std::string(2000, 'x')].set_milli(1);
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
            pb::ErrorDetail::MESSAGE_TOO_LARGE);
  // More records than one transaction takes: never, so it does not say `try again`.
  ops::UpdateWeightsRequest weights;
  for (size_t i = 0; i <= TestMaster::Config().commit_writes_max; ++i) {
    auto* weight = weights.add_weights();
    weight->set_role("role-" + std::to_string(i));
    weight->set_weight_milli(1);
  }
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateWeightsResponse>(weights).status()),
            pb::ErrorDetail::MESSAGE_TOO_LARGE);
  ExpectWritesGoOn();
}

TEST_F(BoundsTest, ATransactionIsBoundedByItsBytes) {
  master_.HoldCommits();
  std::vector<StreamId> streams;
  for (int i = 0; i < 80; ++i) {
    streams.push_back(master_.Subscribe(LongInfo("long-" + std::to_string(i))));
  }
  master_.ReleaseCommits();
  for (StreamId stream : streams) {
    ASSERT_EQ(master_.Events(stream, sched::Event::kSubscribed).size(), 1u);
  }
  EXPECT_GT(master_.largest_commit_bytes(), size_t{1} << 20) << "they go together all the same";
  EXPECT_LT(master_.largest_commit_bytes(), registry::RegistryConfig().commit_bytes_max);
}

TEST_F(BoundsTest, WhatWaitsForTheRegistryIsBoundedByItsBytes) {
  MasterConfig config = TestMaster::Config();
  config.registry_queue_bytes_max = 1 << 20;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  master.HoldCommits();
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    const StreamId stream = master.Subscribe(LongInfo("long-" + std::to_string(i)));
    refused += master.FrameworkClosed(stream) != nullptr;
  }
  EXPECT_EQ(refused, 5);
}

TEST_F(BoundsTest, AnEndedFrameworkKeepsItsIdOnly) {
  const StreamId stream = master_.Subscribe(LongInfo("long"));
  const std::string key = "frameworks/" + master_.SessionOf(stream).framework_id();
  ASSERT_GT(registry_.table[key].first.size(), size_t{200} << 10);
  ASSERT_TRUE(master_.Call<sched::TeardownResponse>(stream, sched::TeardownRequest()).ok());
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>(key)->has_completed_time());
  EXPECT_LT(registry_.table[key].first.size(), 400u);
}

TEST_F(BoundsTest, TheAllocatorsTreeOfRolesIsNotOverfilled) {
  MasterConfig config = TestMaster::Config();
  config.role_nodes_max = 4;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  pb::FrameworkInfo info = TestMaster::Info("deep");
  info.clear_roles();
  info.add_roles("a/b/c");
  const StreamId first = master.Subscribe(info);
  EXPECT_EQ(master.FrameworkClosed(first), nullptr);
  EXPECT_EQ(master.FrameworkClosed(master.Subscribe(info)), nullptr) << "no new role";
  info.add_roles("d/e");
  const StreamId more = master.Subscribe(info);
  ASSERT_NE(master.FrameworkClosed(more), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master.FrameworkClosed(more)), pb::ErrorDetail::OVERLOADED);
  ops::UpdateWeightsRequest weights;
  weights.add_weights()->set_role("d/e");
  weights.mutable_weights(0)->set_weight_milli(1);
  EXPECT_EQ(rpc::ReasonOf(master.Operate<ops::UpdateWeightsResponse>(weights).status()),
            pb::ErrorDetail::OVERLOADED);
  weights.mutable_weights(0)->set_role("d");
  EXPECT_TRUE(master.Operate<ops::UpdateWeightsResponse>(weights).ok());
}

TEST(RoleTableTest, WhatIsAboveSeveralRolesIsCountedOnce) {
  RoleTable roles;
  EXPECT_EQ(roles.NewNodes(std::vector<std::string>{"a/b/c", "a/b/d", "a-b"}), 5u);
  for (const char* name : {"a/b/c", "a/b/d", "a-b"}) ++roles.Get(name).frameworks;
  EXPECT_EQ(roles.nodes(), 5u);
  EXPECT_EQ(roles.NewNodes(std::vector<std::string>{"a/b", "a/b/c", "a"}), 0u);
  roles.Get("a/b").frameworks = 1;
  EXPECT_EQ(roles.nodes(), 5u);
  for (const char* name : {"a/b/c", "a-b", "a/b/d"}) {
    roles.Get(name).frameworks = 0;
    EXPECT_TRUE(roles.DropIfEmpty(name));
  }
  EXPECT_EQ(roles.nodes(), 2u) << "a and a/b";
  roles.Get("a/b").frameworks = 0;
  EXPECT_TRUE(roles.DropIfEmpty("a/b"));
  EXPECT_EQ(roles.nodes(), 0u);
}

TEST_F(BoundsTest, FrameworksWithManyDeepRolesLeaveRoomForOthers) {
  for (int framework = 0; framework < 16; ++framework) {
    pb::FrameworkInfo info = TestMaster::Info("deep");
    info.clear_roles();
    for (int i = 0; i < 100; ++i) {
      std::string role = "f" + std::to_string(framework);
      for (int level = 0; level < 31; ++level) role += "/" + std::to_string(i);
      info.add_roles(role);
    }
    EXPECT_EQ(master_.FrameworkClosed(master_.Subscribe(info)), nullptr) << framework;
  }
  ExpectWritesGoOn();
}

// ---- amounts

TEST_F(BoundsTest, WeightsAndAmountsAreWithinWhatTheAllocatorComputesWith) {
  ops::UpdateWeightsRequest weights;
  auto* weight = weights.add_weights();
  weight->set_role("work");
  for (const int64_t milli :
       {std::numeric_limits<int64_t>::max(), model::kWeightMilliMax + 1, int64_t{0}}) {
    weight->set_weight_milli(milli);
    EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateWeightsResponse>(weights).status()),
              pb::ErrorDetail::INVALID_FIELD);
  }
  weight->set_weight_milli(model::kWeightMilliMax);
  EXPECT_TRUE(master_.Operate<ops::UpdateWeightsResponse>(weights).ok());

  ops::UpdateQuotaRequest quota;
  quota.set_force(true);
  quota.add_configs()->set_role("work");
  auto& limit = (*quota.mutable_configs(0)->mutable_limits()->mutable_amounts())["cpus"];
  limit.set_milli(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
            pb::ErrorDetail::INVALID_FIELD);
  limit.set_milli(model::kQuantityThousandthsMax);
  EXPECT_TRUE(master_.Operate<ops::UpdateQuotaResponse>(quota).ok());

  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.mutable_resources(0)->mutable_scalar()->set_milli(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(AgentClosedWith(master_.Register(info)), pb::ErrorDetail::INVALID_FIELD);
}

// ---- messages

TEST_F(BoundsTest, MessagesToAnAgentAreBoundedByTheirBytes) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const StreamId stream = master_.Subscribe(LongInfo("long"));
  master_.Allocate(master_.SessionOf(stream).framework_id(), master_.AgentId(agent),
                   "cpus:4;mem:4096");
  sched::AcceptOffersRequest request;
  request.add_offer_ids(master_.TakeOffers(stream).back().id());
  auto* launch = request.add_operations()->mutable_launch();
  const auto add = [&](int count) {
    while (count-- > 0) {
      auto* task = launch->add_tasks();
      task->set_id("t" + std::to_string(launch->tasks_size()));
      task->mutable_command()->set_value("true");
      task->set_data(std::string(250 << 10, 'd'));
      *task->mutable_resources() = TestMaster::Resources("cpus:0.01;mem:1");
    }
  };
  add(200);
  // 200 descriptions of 250 KiB: refused as a whole, and the offer is there still.
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::AcceptOffersResponse>(stream, request).status()),
            pb::ErrorDetail::MESSAGE_TOO_LARGE);
  launch->clear_tasks();
  add(100);
  ASSERT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream, request).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent, Kind::kRunTask).size(), 100u);
  EXPECT_GT(master_.largest_agent_bytes(), kBatchBytesMax * 3 / 4);
  EXPECT_LE(master_.largest_agent_bytes(), kBatchBytesMax + (1 << 10));
}

TEST_F(BoundsTest, OneCallReconcilesSoManyTasks) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  sched::ReconcileTasksRequest request;
  for (size_t i = 0; i < TestMaster::Config().tasks_per_call_max; ++i) {
    request.add_tasks()->set_task_id("t");
  }
  EXPECT_TRUE(master_.Call<sched::ReconcileTasksResponse>(stream, request).ok());
  request.add_tasks()->set_task_id("t");
  const auto refused = master_.Call<sched::ReconcileTasksResponse>(stream, request);
  EXPECT_EQ(rpc::ReasonOf(refused.status()), pb::ErrorDetail::MESSAGE_TOO_LARGE);
}

TEST_F(BoundsTest, MessagesToTheAllocatorAreBoundedByTheirBytes) {
  for (int i = 0; i < 40; ++i) master_.Subscribe(LongInfo("long-" + std::to_string(i)));
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const size_t single = master_.largest_allocator_bytes();
  master_.Step(AllocatorDisconnected{master_.link(), absl::UnavailableError("gone")});
  master_.Advance(absl::Seconds(10));
  ASSERT_TRUE(master_.snapshot_complete());
  EXPECT_TRUE(master_.AllocatorKnows(master_.AgentId(agent)));
  EXPECT_GT(master_.sequence(), 2u);
  EXPECT_LE(master_.largest_allocator_bytes(), (size_t{4} << 20) + single + 100);
  // Allocations are taken from the message on that added the agent.
  const StreamId stream = master_.Subscribe(TestMaster::Info("small"));
  master_.Allocate(master_.SessionOf(stream).framework_id(), master_.AgentId(agent), "cpus:1");
  EXPECT_EQ(master_.TakeOffers(stream).size(), 1u);
}

TEST_F(BoundsTest, OffersBeforeAMalformedOneAreTold) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  AllocatorMessage message{master_.link(), {}};
  message.response.set_epoch(master_.core().epoch());
  message.response.set_through_sequence(master_.sequence());
  auto* allocation = message.response.add_allocations();
  allocation->set_framework_id(master_.SessionOf(stream).framework_id());
  allocation->set_role("work");
  allocation->set_agent_id(master_.AgentId(agent));
  model::wire::ToProto(model::ParseResources("cpus:1")->AllocatedCopy("work"),
                       allocation->mutable_resources());
  *message.response.add_allocations() = *allocation;
  message.response.mutable_allocations(1)->clear_resources();
  master_.Step(message);
  EXPECT_EQ(master_.TakeOffers(stream).size(), 1u);
  EXPECT_EQ(master_.core().Metrics().offers_outstanding, 1u);
  master_.Advance(absl::Seconds(10));
  EXPECT_TRUE(master_.snapshot_complete()) << "the allocator is told anew";
}

// ---- inventories

TEST_F(BoundsTest, WhoeverDoesNotGoOnIsSentAway) {
  const AgentStreamId silent = master_.OpenAgent();
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.set_id("lost");
  const AgentStreamId halting = master_.Register(info);
  const AgentStreamId dripping = master_.Register(info);
  link::AgentMessage part;
  part.mutable_inventory();
  for (int i = 0; i < 5; ++i) {
    master_.Advance(absl::Seconds(20));
    master_.Send(dripping, part);
  }
  ASSERT_NE(master_.AgentClosed(silent), nullptr);
  EXPECT_EQ(master_.AgentClosed(silent)->code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_NE(master_.AgentClosed(halting), nullptr);
  EXPECT_EQ(master_.AgentClosed(dripping), nullptr);
  for (int i = 0; i < 11; ++i) {
    master_.Advance(absl::Seconds(20));
    master_.Send(dripping, part);
  }
  ASSERT_NE(master_.AgentClosed(dripping), nullptr) << "an inventory has an end";
  // One that goes on is not sent away by the timers of its beginning.
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-2"));
  for (int i = 0; i < 5; ++i) {
    master_.Advance(absl::Seconds(14));
    master_.Pong(agent);
  }
  EXPECT_EQ(master_.AgentClosed(agent), nullptr);
}

TEST_F(BoundsTest, UnknownAgentsTakeNoPlaceOfKnownOnes) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const std::string id = master_.AgentId(agent);
  master_.CloseAgentStream(agent);
  pb::AgentInfo info = TestMaster::AgentInfo("host-x");
  size_t waiting = 0;
  for (size_t i = 0; i < TestMaster::Config().reregistrations_max + 10; ++i) {
    info.set_id("x" + std::to_string(i));
    waiting += master_.AgentClosed(master_.Register(info)) == nullptr;
  }
  EXPECT_EQ(waiting, TestMaster::Config().unknown_reregistrations_max);
  const AgentStreamId again = master_.Reregister(TestMaster::AgentInfo("host-1"), id, {}, {});
  EXPECT_EQ(master_.AgentId(again), id);
  // Their places are free again when their time is over.
  master_.Advance(absl::Seconds(31));
  info.set_id("y");
  EXPECT_EQ(master_.AgentClosed(master_.Register(info)), nullptr);
}

TEST_F(BoundsTest, AnInventoryIsBoundedByItsBytes) {
  MasterConfig config = TestMaster::Config();
  config.inventory_bytes_max = 3 << 20;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.set_id("elsewhere");
  const AgentStreamId stream = master.Register(info);
  link::AgentMessage part;
  *part.mutable_inventory()->add_tasks() = RunningTask("own", "t");
  part.mutable_inventory()->mutable_tasks(0)->set_info(std::string(2 << 20, 'x'));
  master.Send(stream, part);
  EXPECT_EQ(master.AgentClosed(stream), nullptr);
  part.mutable_inventory()->mutable_tasks(0)->set_task_id("t2");
  master.Send(stream, part);
  ASSERT_NE(master.AgentClosed(stream), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master.AgentClosed(stream)), pb::ErrorDetail::MESSAGE_TOO_LARGE);
}

TEST_F(BoundsTest, WhatIsLaunchedOnAnAgentCanComeBackInItsInventory) {
  MasterConfig config = TestMaster::Config();
  config.agent_tasks_bytes_max = 3 << 20;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  AgentStreamId agent = master.Register(TestMaster::AgentInfo("host-1"));
  const std::string agent_id = master.AgentId(agent);
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  const std::string framework = master.SessionOf(stream).framework_id();
  const auto describe = [&](const std::string& id, size_t bytes) {
    pb::TaskInfo task;
    task.set_id(id);
    task.mutable_command()->set_value("true");
    *task.mutable_resources() = TestMaster::Resources("cpus:0.01;mem:1");
    task.mutable_labels()->add_label()->set_key(std::string(bytes, 'x'));
    return task;
  };
  const auto refused = [&](const std::vector<std::string>& large, bool group = false) {
    master.Allocate(framework, agent_id, "cpus:1;mem:1024;disk:64");
    sched::AcceptOffersRequest request;
    request.add_offer_ids(master.TakeOffers(stream).back().id());
    auto* launch = request.add_operations();
    if (group) {
      auto* executor = launch->mutable_launch_group()->mutable_executor();
      executor->set_type(pb::ExecutorInfo::DEFAULT);
      executor->set_id("own");
      *executor->mutable_resources() = TestMaster::Resources("cpus:0.1;mem:32;disk:1");
    }
    for (const std::string& id : large) {
      *(group ? launch->mutable_launch_group()->mutable_group()->add_tasks()
              : launch->mutable_launch()->add_tasks()) = describe(id, 900 << 10);
    }
    *request.add_operations()->mutable_launch()->add_tasks() = describe(large[0] + "s", 1);
    const auto ids = master.Call<sched::AcceptOffersResponse>(stream, request)->refused_task_ids();
    return std::vector<std::string>(ids.begin(), ids.end());
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(refused({"t1", "t2", "t3", "t4", "t5"}), (Ids{"t4", "t5"})) << "but t1s is launched";
  const pb::TaskStatus status = master.TakeStatuses(stream).back();
  EXPECT_EQ(status.state(), pb::TASK_ERROR);
  EXPECT_NE(status.message().find("Launch it on another agent"), std::string::npos);
  // One that ended and was acknowledged does not come back.
  master.Update(agent, framework, "t1", pb::TASK_FINISHED, std::string(16, 'u'));
  EXPECT_EQ(refused({"t6"}), Ids{"t6"});
  sched::AcknowledgeRequest acknowledge;
  auto* update = acknowledge.add_updates();
  update->set_agent_id(agent_id);
  update->set_task_id("t1");
  update->set_uuid(std::string(16, 'u'));
  ASSERT_TRUE(master.Call<sched::AcknowledgeResponse>(stream, acknowledge).ok());
  EXPECT_EQ(refused({"t7", "t8"}, /*group=*/true), (Ids{"t7", "t8"})) << "a group is one";
  EXPECT_EQ(refused({"t9"}, /*group=*/true), Ids{});
  // Lost, and back with one of them.
  master.CloseAgentStream(agent);
  master.Advance(absl::Minutes(10));
  link::TaskEntry back = RunningTask(framework, "t2");
  back.set_info(model::wire::Describe(describe("t2", 900 << 10)).bytes());
  agent = master.Reregister(TestMaster::AgentInfo("host-1"), agent_id, {}, {back});
  EXPECT_EQ(refused({"u1", "u2", "u3"}), Ids{"u3"});
}

TEST_F(BoundsTest, InventoriesUnderWayAreBoundedByTheirBytes) {
  MasterConfig config = TestMaster::Config();
  config.inventory_bytes_max = 3 << 20;
  config.inventories_bytes_max = 6 << 20;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  link::AgentMessage part;
  *part.mutable_inventory()->add_tasks() = RunningTask("own", "t");
  part.mutable_inventory()->mutable_tasks(0)->set_info(std::string(1 << 20, 'x'));
  const auto reason = [&master](AgentStreamId stream) {
    const absl::Status* status = master.AgentClosed(stream);
    return status == nullptr ? pb::ErrorDetail::REASON_UNSPECIFIED : rpc::ReasonOf(*status);
  };
  pb::AgentInfo info = TestMaster::AgentInfo("host-x");
  const AgentStreamId known = master.Register(TestMaster::AgentInfo("host-1"));
  const std::string id = master.AgentId(known);
  master.CloseAgentStream(known);
  std::vector<AgentStreamId> unknown;
  for (int i = 0; i < 3; ++i) {
    info.set_id("x" + std::to_string(i));
    unknown.push_back(master.Register(info));
    master.Send(unknown.back(), part);
  }
  EXPECT_EQ(reason(unknown[0]), pb::ErrorDetail::REASON_UNSPECIFIED);
  EXPECT_EQ(reason(unknown[1]), pb::ErrorDetail::REASON_UNSPECIFIED);
  EXPECT_EQ(reason(unknown[2]), pb::ErrorDetail::OVERLOADED) << "it may try again";
  pb::AgentInfo back = TestMaster::AgentInfo("host-1");
  back.set_id(id);
  const AgentStreamId again = master.Register(back);
  master.Send(again, part);
  EXPECT_EQ(reason(again), pb::ErrorDetail::REASON_UNSPECIFIED);
  master.CloseAgentStream(unknown[0]);
  link::AgentMessage last;
  last.mutable_inventory()->set_last(true);
  pb::FrameworkInfo own = TestMaster::Info("own");
  own.set_id("own");
  last.mutable_inventory()->add_frameworks(own.SerializeAsString());
  master.Send(again, last);
  EXPECT_EQ(master.AgentId(again), id);
  info.set_id("x9");
  const AgentStreamId later = master.Register(info);
  master.Send(later, part);
  EXPECT_EQ(reason(later), pb::ErrorDetail::REASON_UNSPECIFIED);
}

TEST_F(BoundsTest, TheTasksOfAFrameworkComeBackWhateverTheirAgentSaysOfIt) {
  pb::FrameworkInfo info = TestMaster::Info("odd");
  info.set_id("odd");
  info.set_principal("somebody");
  info.clear_roles();
  for (const char* role : {"a", "a", "/bad", "b"}) info.add_roles(role);
  info.mutable_failover_timeout()->set_seconds(-5);
  auto& filters = *info.mutable_offer_filters();
  (*filters["a"].add_min_allocatable()->mutable_amounts())["cpus"].set_milli(-1);
  (*filters["b"].add_min_allocatable()->mutable_amounts())["cpus"].set_milli(100);
  // Larger than its record may be.
  pb::FrameworkInfo huge = TestMaster::Info(std::string(2 << 20, 'n'));
  huge.set_id("huge");
  const AgentStreamId agent =
      master_.Reregister(TestMaster::AgentInfo("host-1"), "from-elsewhere", {info, huge},
                         {RunningTask("odd", "t1"), RunningTask("huge", "t2")});
  EXPECT_EQ(master_.AgentId(agent), "from-elsewhere");

  std::map<std::string, pb::FrameworkInfo> told;
  for (const alloc::ClusterEvent& event : master_.TakeAllocatorEvents()) {
    if (event.has_framework_added()) {
      told[event.framework_added().info().id()] = event.framework_added().info();
    }
  }
  ASSERT_EQ(told.size(), 2u);
  const pb::FrameworkInfo& odd = told["odd"];
  EXPECT_EQ((std::vector<std::string>{odd.roles().begin(), odd.roles().end()}),
            (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(odd.has_failover_timeout());
  EXPECT_EQ(odd.offer_filters().count("a"), 0u);
  EXPECT_EQ(odd.offer_filters().count("b"), 1u);
  EXPECT_EQ(odd.name(), "odd");
  EXPECT_EQ(odd.principal(), "somebody");
  EXPECT_EQ(told["huge"].name(), "");
  EXPECT_EQ(told["huge"].user(), "nobody");
  EXPECT_TRUE(told["huge"].checkpoint());
  for (const char* framework : {"odd", "huge"}) {
    EXPECT_FALSE(master_.Held("from-elsewhere", framework).empty()) << framework;
    EXPECT_TRUE(registry_.table.contains(std::string("frameworks/") + framework));
  }
  // It takes its tasks over as what it says itself.
  huge = TestMaster::Info("huge");
  huge.set_id("huge");
  const StreamId stream = master_.Subscribe(huge);
  EXPECT_EQ(master_.FrameworkClosed(stream), nullptr);
}

TEST_F(BoundsTest, AnAgentBringsNoMoreFrameworksThanThereAreRowsFor) {
  MasterConfig config = TestMaster::Config();
  config.frameworks_max = 1;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  pb::FrameworkInfo one = TestMaster::Info("one");
  one.set_id("one");
  pb::FrameworkInfo two = TestMaster::Info("two");
  two.set_id("two");
  const AgentStreamId full =
      master.Reregister(TestMaster::AgentInfo("host-1"), "a", {one, two},
                        {RunningTask("one", "t1"), RunningTask("two", "t2")});
  ASSERT_NE(master.AgentClosed(full), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master.AgentClosed(full)), pb::ErrorDetail::OVERLOADED);
  const AgentStreamId fits = master.Reregister(TestMaster::AgentInfo("host-1"), "a", {one, two},
                                               {RunningTask("one", "t1")});
  EXPECT_EQ(master.AgentId(fits), "a");
}

TEST(MasterConfigTest, RecordsFitIntoTheRegistry) {
  const MasterConfig config = TestMaster::Config();
  const registry::RegistryConfig registry;
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  EXPECT_LE(config.record_key_bytes_max, registry.key_bytes_max);
  EXPECT_LE(config.record_bytes_max, registry.value_bytes_max);
  EXPECT_LE(config.commit_bytes_max, registry.commit_bytes_max / 2);
  EXPECT_LE(config.commit_writes_max, registry.writes_per_commit_max);
  EXPECT_LT(model::kRoleBytesMax + sizeof("weights/"), config.record_key_bytes_max);
  MasterConfig wrong = config;
  wrong.framework_bytes_max = wrong.record_bytes_max;
  EXPECT_FALSE(Validate(wrong).ok());
  wrong = config;
  wrong.commit_bytes_max = wrong.record_bytes_max;
  EXPECT_FALSE(Validate(wrong).ok());
  wrong = config;
  wrong.agent_tasks_bytes_max = wrong.inventory_bytes_max;
  EXPECT_FALSE(Validate(wrong).ok());
  wrong = config;
  wrong.inventory_timeout = absl::ZeroDuration();
  EXPECT_FALSE(Validate(wrong).ok());
}

}  // namespace
}  // namespace tessera::master
