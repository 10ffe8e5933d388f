// The maintenance schedule, machines that are taken down, and their agents.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

using Kind = link::MasterMessage;
using Reason = pb::ErrorDetail;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
constexpr int64_t kSoon = 1'700'003'600;

std::string Uuid(char c) { return std::string(16, c); }

// One window with these machines.
void AddWindow(ops::UpdateMaintenanceScheduleRequest& request,
               const std::vector<std::string>& hostnames, int64_t start = kSoon) {
  auto* window = request.add_windows();
  for (const std::string& hostname : hostnames) window->add_machines()->set_hostname(hostname);
  window->mutable_unavailability()->mutable_start()->set_seconds(start);
}

ops::UpdateMaintenanceScheduleRequest Schedule(const std::vector<std::string>& hostnames,
                                               int64_t start = kSoon) {
  ops::UpdateMaintenanceScheduleRequest request;
  if (!hostnames.empty()) AddWindow(request, hostnames, start);
  return request;
}

template <typename Request>
Request Naming(const std::vector<std::string>& hostnames) {
  Request request;
  for (const std::string& hostname : hostnames) request.add_machines()->set_hostname(hostname);
  return request;
}

class MaintenanceTest : public ::testing::Test {
 protected:
  MaintenanceTest() : master_(&registry_, kStart) {
    master_.Lead();
    stream_ = master_.Subscribe(TestMaster::Info("batch"));
    framework_id_ = master_.SessionOf(stream_).framework_id();
    agent_ = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(agent_);
  }

  static absl::Status Update(TestMaster& master, const ops::UpdateMaintenanceScheduleRequest& r) {
    return master.Operate<ops::UpdateMaintenanceScheduleResponse>(r).status();
  }
  static absl::Status Start(TestMaster& master, const std::vector<std::string>& hostnames) {
    return master
        .Operate<ops::StartMaintenanceResponse>(Naming<ops::StartMaintenanceRequest>(hostnames))
        .status();
  }
  static absl::Status Stop(TestMaster& master, const std::vector<std::string>& hostnames) {
    return master
        .Operate<ops::StopMaintenanceResponse>(Naming<ops::StopMaintenanceRequest>(hostnames))
        .status();
  }
  static ops::GetMaintenanceScheduleResponse ScheduleOf(TestMaster& master) {
    return *master.Operate<ops::GetMaintenanceScheduleResponse>(
        ops::GetMaintenanceScheduleRequest());
  }
  static ops::GetMaintenanceStatusResponse StatusOf(TestMaster& master) {
    return *master.Operate<ops::GetMaintenanceStatusResponse>(ops::GetMaintenanceStatusRequest());
  }
  absl::Status Update(const ops::UpdateMaintenanceScheduleRequest& r) { return Update(master_, r); }
  absl::Status Start(const std::vector<std::string>& hosts) { return Start(master_, hosts); }
  absl::Status Stop(const std::vector<std::string>& hosts) { return Stop(master_, hosts); }
  // The field that a schedule is refused for.
  std::string FieldOf(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return rpc::ReasonOf(status) == Reason::INVALID_FIELD ? rpc::DetailOf(status)->field() : "";
  }

  void Launch(const std::string& task_id) {
    master_.Allocate(framework_id_, agent_id_, "cpus:1;mem:64");
    sched::AcceptOffersRequest request;
    request.add_offer_ids(master_.TakeOffers(stream_).back().id());
    auto* task = request.add_operations()->mutable_launch()->add_tasks();
    task->set_id(task_id);
    task->mutable_command()->set_value("true");
    *task->mutable_resources() = TestMaster::Resources("cpus:1;mem:64");
    ASSERT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream_, request).ok());
    const auto runs = master_.TakeAgentMessages(agent_, Kind::kRunTask);
    record_ = TestMaster::EntryOf(runs.back().run_task());
    master_.Update(agent_, framework_id_, task_id, pb::TASK_RUNNING, Uuid('r'));
    master_.TakeStatuses(stream_);
  }
  bool IsGone(const std::string& id) {
    return registry_.Get<reg::GoneAgent>("agents/gone/" + id).has_value() &&
           !registry_.Get<reg::AdmittedAgent>("agents/admitted/" + id).has_value() &&
           !registry_.Get<reg::UnreachableAgent>("agents/unreachable/" + id).has_value();
  }
  // The newest that readers know of the agent.
  std::optional<pb::AgentRecord> Shown(const std::string& id) {
    std::optional<pb::AgentRecord> shown;
    for (const feed::Change& change : master_.feed_changes()) {
      const auto* set = std::get_if<feed::AgentSet>(&change);
      if (set != nullptr && set->agent->info().id() == id) shown = *set->agent;
    }
    return shown;
  }

  TestRegistry registry_;
  TestMaster master_;
  StreamId stream_;
  std::string framework_id_;
  AgentStreamId agent_;
  std::string agent_id_;
  // The task launched last, as its agent would report it.
  link::TaskEntry record_;
};

// ---- the schedule -------------------------------------------------------------------------------

TEST_F(MaintenanceTest, AScheduleIsDurableBeforeItIsAnswered) {
  master_.HoldCommits();
  EXPECT_EQ(Update(Schedule({"Host-1"})).message(), "no answer yet");
  EXPECT_TRUE(ScheduleOf(master_).windows().empty());
  EXPECT_FALSE(Shown(agent_id_)->has_unavailability());
  const absl::Status second = Update(Schedule({"host-2"}));
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rpc::ReasonOf(second), Reason::CONFLICTING_TRANSITION);
  master_.ReleaseCommits();
  const auto machine = registry_.Get<reg::Machine>("machines/host-1,");
  ASSERT_TRUE(machine.has_value());
  EXPECT_EQ(machine->mode(), reg::Machine::DRAINING);
  EXPECT_EQ(machine->unavailability().start().seconds(), kSoon);
  EXPECT_EQ(Shown(agent_id_)->unavailability().start().seconds(), kSoon);
  EXPECT_EQ(StatusOf(master_).draining_size(), 1);
  EXPECT_EQ(master_.core().Metrics().machines_draining, 1u);
}

TEST_F(MaintenanceTest, OffersComeAgainWithTheUnavailability) {
  const AgentStreamId other = master_.Register(TestMaster::AgentInfo("host-2"));
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  master_.Allocate(framework_id_, master_.AgentId(other), "cpus:1");
  const auto offers = master_.TakeOffers(stream_);
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_FALSE(offers[0].has_unavailability());
  master_.TakeAllocatorEvents();

  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  const auto rescinded = master_.Events(stream_, sched::Event::kRescind);
  ASSERT_EQ(rescinded.size(), 1u) << "those of the other machine stay";
  EXPECT_EQ(rescinded[0].rescind().offer_ids(0), offers[0].id());
  const auto told = master_.TakeAllocatorEvents();
  ASSERT_TRUE(told.back().has_unavailability_updated());
  EXPECT_EQ(told.back().unavailability_updated().agent_id(), agent_id_);
  EXPECT_EQ(told.back().unavailability_updated().unavailability().start().seconds(), kSoon);
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  EXPECT_EQ(master_.TakeOffers(stream_)[0].unavailability().start().seconds(), kSoon);

  // The same again, in other words: nothing happens to anybody.
  master_.HoldCommits();
  EXPECT_TRUE(Update(Schedule({"HOST-1"})).ok());
  EXPECT_EQ(master_.held_commits(), 0u);
  EXPECT_EQ(master_.Events(stream_, sched::Event::kRescind).size(), 1u);
  EXPECT_TRUE(master_.TakeAllocatorEvents().empty());
  master_.ReleaseCommits();

  // Cancelled.
  ASSERT_TRUE(Update(Schedule({})).ok());
  EXPECT_EQ(master_.Events(stream_, sched::Event::kRescind).size(), 2u);
  EXPECT_FALSE(registry_.Get<reg::Machine>("machines/host-1,").has_value());
  EXPECT_FALSE(Shown(agent_id_)->has_unavailability());
  EXPECT_FALSE(master_.TakeAllocatorEvents().back().unavailability_updated().has_unavailability());
}

TEST_F(MaintenanceTest, AgentsAreAddedToTheAllocatorWithIt) {
  ASSERT_TRUE(Update(Schedule({"host-2"})).ok());
  master_.TakeAllocatorEvents();
  master_.Register(TestMaster::AgentInfo("host-2"));
  EXPECT_TRUE(master_.TakeAllocatorEvents().back().agent_added().has_unavailability());
  master_.BreakAllocator();
  int with = 0;
  for (const auto& event : master_.TakeAllocatorEvents()) {
    with += event.has_agent_added() && event.agent_added().has_unavailability();
  }
  EXPECT_EQ(with, 1);
}

TEST_F(MaintenanceTest, AnAgentThatMovesIsOnAnotherMachine) {
  ops::UpdateMaintenanceScheduleRequest request;
  auto* window = request.add_windows();
  window->add_machines()->set_ip("10.0.0.2");
  window->mutable_unavailability()->mutable_start()->set_seconds(kSoon);
  ASSERT_TRUE(Update(request).ok());
  EXPECT_FALSE(Shown(agent_id_)->has_unavailability());
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.set_address("10.0.0.2:5051");
  master_.Reregister(info, agent_id_, {}, {});
  EXPECT_TRUE(Shown(agent_id_)->has_unavailability());
}

TEST_F(MaintenanceTest, WrongSchedulesAreRefusedWhole) {
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  auto request = Schedule({"host-2"});
  request.add_windows();
  EXPECT_EQ(FieldOf(Update(request)), "windows[1].machines");
  request = Schedule({"host-2", "host-3"});
  AddWindow(request, {"HOST-3"}, kSoon + 1);
  EXPECT_EQ(FieldOf(Update(request)), "windows[1].machines[0]");
  request = Schedule({"host-2", ""});
  EXPECT_EQ(FieldOf(Update(request)), "windows[0].machines[1]");
  request = Schedule({"host-2"});
  request.mutable_windows(0)->mutable_machines(0)->set_ip("10.0.0");
  EXPECT_EQ(FieldOf(Update(request)), "windows[0].machines[0]");
  request = Schedule({"host-2"});
  request.mutable_windows(0)->mutable_unavailability()->mutable_duration()->set_seconds(-1);
  EXPECT_EQ(FieldOf(Update(request)), "windows[0].unavailability.duration");
  request = Schedule({"host-2"});
  request.mutable_windows(0)->mutable_unavailability()->mutable_start()->set_nanos(-1);
  EXPECT_EQ(FieldOf(Update(request)), "windows[0].unavailability.start");
  request.mutable_windows(0)->clear_unavailability();
  EXPECT_EQ(FieldOf(Update(request)), "windows[0].unavailability.start");
  ASSERT_EQ(ScheduleOf(master_).windows_size(), 1);
  EXPECT_EQ(ScheduleOf(master_).windows(0).machines(0).hostname(), "host-1");
}

TEST_F(MaintenanceTest, SchedulesAreBounded) {
  MasterConfig config = TestMaster::Config();
  config.commit_writes_max = 2;
  config.maintenance_machines_max = 3;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  const absl::Status many = Update(master, Schedule({"a", "b", "c"}));
  EXPECT_EQ(many.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(rpc::ReasonOf(many), Reason::MESSAGE_TOO_LARGE);
  ASSERT_TRUE(Update(master, Schedule({"a", "b"})).ok());
  ASSERT_TRUE(Update(master, Schedule({"a", "b", "c"})).ok()) << "in steps";
  EXPECT_EQ(rpc::ReasonOf(Update(master, Schedule({"a", "b", "c", "d"}))),
            Reason::MESSAGE_TOO_LARGE);
}

TEST_F(MaintenanceTest, MachinesOfOneTimeAreOneWindow) {
  auto request = Schedule({"c"}, kSoon + 10);
  AddWindow(request, {"a"}, kSoon);
  AddWindow(request, {"b"}, kSoon + 10);
  AddWindow(request, {"d"}, kSoon);
  request.mutable_windows(3)->mutable_unavailability()->mutable_duration()->set_seconds(60);
  ASSERT_TRUE(Update(request).ok());
  const auto schedule = ScheduleOf(master_);
  ASSERT_EQ(schedule.windows_size(), 3);
  EXPECT_EQ(schedule.windows(0).machines(0).hostname(), "d") << "for ever comes last";
  EXPECT_EQ(schedule.windows(1).machines(0).hostname(), "a");
  EXPECT_EQ(schedule.windows(2).machines_size(), 2);
}

TEST_F(MaintenanceTest, AScheduleMayBeReplacedOnlyIfItIsTheOneThatWasRead) {
  ASSERT_TRUE(Update(Schedule({"a"})).ok());
  auto request = Schedule({"a", "b"});
  request.set_expected_etag(ScheduleOf(master_).etag());
  ASSERT_TRUE(Update(request).ok());
  const absl::Status stale = Update(request);
  EXPECT_EQ(stale.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(rpc::ReasonOf(stale), Reason::VERSION_CONFLICT);
  // It is the content that counts, in whatever words and under whatever leader.
  const std::string etag = ScheduleOf(master_).etag();
  TestMaster next(&registry_, master_.now());
  next.Lead();
  EXPECT_EQ(ScheduleOf(next).etag(), etag);
  ASSERT_TRUE(Start(next, {"a"}).ok());
  EXPECT_EQ(ScheduleOf(next).etag(), etag);
}

TEST_F(MaintenanceTest, ADryRunChecksAndChangesNothing) {
  auto request = Schedule({"host-1"});
  request.set_dry_run(true);
  EXPECT_TRUE(Update(request).ok());
  EXPECT_TRUE(ScheduleOf(master_).windows().empty());
  request.add_windows();
  EXPECT_FALSE(Update(request).ok());
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  auto start = Naming<ops::StartMaintenanceRequest>({"host-1"});
  start.set_dry_run(true);
  EXPECT_TRUE(master_.Operate<ops::StartMaintenanceResponse>(start).ok());
  EXPECT_EQ(StatusOf(master_).down_size(), 0);
  ASSERT_TRUE(Start({"host-1"}).ok());
  auto stop = Naming<ops::StopMaintenanceRequest>({"host-1"});
  stop.set_dry_run(true);
  EXPECT_TRUE(master_.Operate<ops::StopMaintenanceResponse>(stop).ok());
  EXPECT_EQ(StatusOf(master_).down_size(), 1);
}

TEST_F(MaintenanceTest, ADrainWaitsForTheEndOfTheMaintenance) {
  ops::DrainAgentRequest drain;
  drain.set_agent_id(agent_id_);
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  const absl::Status refused = master_.Operate<ops::DrainAgentResponse>(drain).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(rpc::ReasonOf(refused), Reason::CONFLICTING_TRANSITION);
  ASSERT_TRUE(Update(Schedule({})).ok());
  EXPECT_TRUE(master_.Operate<ops::DrainAgentResponse>(drain).ok());
}

// ---- down and up --------------------------------------------------------------------------------

TEST_F(MaintenanceTest, DownItsAgentIsShutDownAndItsTasksEnd) {
  const StreamId old = master_.Subscribe(TestMaster::Info("old", /*partition_aware=*/false));
  Launch("t1");
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  master_.HoldCommits();
  EXPECT_EQ(Start({"host-1"}).message(), "no answer yet");
  EXPECT_EQ(master_.AgentClosed(agent_), nullptr) << "nothing happens before it is durable";
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  master_.ReleaseCommits();
  EXPECT_EQ(registry_.Get<reg::Machine>("machines/host-1,")->mode(), reg::Machine::DOWN);
  // What is down takes no part in offers, even before its end is durable.
  master_.ReleaseCommits();
  ASSERT_NE(master_.AgentClosed(agent_), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(agent_)), Reason::AGENT_GONE);
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kShutdown).size(), 1u);
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE_BY_OPERATOR);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_AGENT_REMOVED_BY_OPERATOR);
  for (const StreamId stream : {stream_, old}) {
    EXPECT_EQ(master_.Events(stream, sched::Event::kFailure).size(), 1u);
  }
  EXPECT_FALSE(master_.AllocatorKnows(agent_id_));
  EXPECT_TRUE(IsGone(agent_id_));
  EXPECT_EQ(StatusOf(master_).down(0).hostname(), "host-1");
  const MasterMetrics metrics = master_.core().Metrics();
  EXPECT_EQ(metrics.machines_down, 1u);
  EXPECT_EQ(metrics.counters.agent_removals[static_cast<int>(AgentRemoval::kMaintenance)], 1u);
}

TEST_F(MaintenanceTest, WhileItIsDownNoAgentOfItIsAdmitted) {
  Launch("t1");
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  ASSERT_TRUE(Start({"host-1"}).ok());
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(again)), Reason::AGENT_GONE)
      << "first of all it must end its tasks";
  for (const char* id : {"", "of-another-cell"}) {
    pb::AgentInfo info = TestMaster::AgentInfo("HOST-1");
    info.set_id(id);
    const AgentStreamId fresh = master_.Register(info);
    ASSERT_NE(master_.AgentClosed(fresh), nullptr);
    EXPECT_EQ(master_.AgentClosed(fresh)->code(), absl::StatusCode::kUnavailable);
    const auto detail = rpc::DetailOf(*master_.AgentClosed(fresh));
    EXPECT_EQ(detail->reason(), Reason::MACHINE_DOWN);
    EXPECT_TRUE(detail->has_retry_after());
  }
  EXPECT_EQ(master_.AgentClosed(master_.Register(TestMaster::AgentInfo("host-2"))), nullptr);

  ASSERT_TRUE(Stop({"host-1"}).ok());
  EXPECT_TRUE(ScheduleOf(master_).windows().empty());
  EXPECT_FALSE(registry_.Get<reg::Machine>("machines/host-1,").has_value());
  const AgentStreamId back = master_.Register(TestMaster::AgentInfo("host-1"));
  EXPECT_NE(master_.AgentId(back), "");
  EXPECT_NE(master_.AgentId(back), agent_id_);
}

// One that is cut off must not come back with tasks whose ends were told.
TEST_F(MaintenanceTest, AnUnreachableAgentNeverBringsItsTasksBack) {
  Launch("t1");
  master_.Advance(absl::Seconds(80));
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_UNREACHABLE);
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  ASSERT_TRUE(Start({"host-1"}).ok());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE_BY_OPERATOR);
  EXPECT_TRUE(IsGone(agent_id_));
  ASSERT_TRUE(Stop({"host-1"}).ok());
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(again)), Reason::AGENT_GONE);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
}

TEST_F(MaintenanceTest, ADisconnectedAgentIsTakenDownToo) {
  Launch("t1");
  master_.CloseAgentStream(agent_);
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  ASSERT_TRUE(Start({"host-1"}).ok());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE_BY_OPERATOR);
  EXPECT_TRUE(IsGone(agent_id_));
}

TEST_F(MaintenanceTest, OnesInTheMiddleOfAChangeAreTakenDownAfterIt) {
  Launch("t1");
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  ASSERT_TRUE(Update(Schedule({"host-1", "host-2", "host-3"})).ok());
  pb::AgentInfo moved = TestMaster::AgentInfo("host-3");
  const AgentStreamId third = master_.Register(moved);
  const std::string third_id = master_.AgentId(third);
  master_.Pong(agent_);
  // All of these are in one transaction after the first: a deactivation, an admission, a return.
  master_.HoldCommits();
  EXPECT_EQ(Start({"host-1", "host-2", "host-3"}).message(), "no answer yet");
  ops::DeactivateAgentRequest deactivate;
  deactivate.set_agent_id(agent_id_);
  (void)master_.Operate<ops::DeactivateAgentResponse>(deactivate);
  const AgentStreamId second = master_.Register(TestMaster::AgentInfo("host-2"));
  moved.set_address("host-3:6051");
  const AgentStreamId third_again = master_.Reregister(moved, third_id, {}, {});
  while (master_.held_commits() > 0) {
    master_.ReleaseCommits();
  }
  EXPECT_TRUE(IsGone(agent_id_));
  EXPECT_TRUE(IsGone(third_id));
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(second)), Reason::AGENT_GONE);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(third_again)), Reason::AGENT_GONE);
  EXPECT_EQ(registry_.table.lower_bound("agents/admitted/")->first.find("agents/admitted/"),
            std::string::npos);
}

// Its return is on the way to the registry when its machine goes down.
TEST_F(MaintenanceTest, AReturningUnreachableAgentIsTakenDownAfterItsReturn) {
  Launch("t1");
  master_.Advance(absl::Seconds(80));
  master_.TakeStatuses(stream_);
  ASSERT_TRUE(Update(Schedule({"host-1"})).ok());
  master_.HoldCommits();
  EXPECT_EQ(Start({"host-1"}).message(), "no answer yet");
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  ASSERT_EQ(master_.AgentClosed(again), nullptr);
  while (master_.held_commits() > 0) {
    master_.ReleaseCommits();
  }
  EXPECT_TRUE(IsGone(agent_id_));
  ASSERT_NE(master_.AgentClosed(again), nullptr);
  EXPECT_EQ(master_.TakeStatuses(stream_).back().state(), pb::TASK_GONE_BY_OPERATOR);
}

TEST_F(MaintenanceTest, OnlyDrainingMachinesAreStartedAndOnlyDownOnesStopped) {
  EXPECT_EQ(FieldOf(Start({})), "machines");
  EXPECT_EQ(FieldOf(Stop({})), "machines");
  EXPECT_EQ(FieldOf(Start({"a", "A"})), "machines[1]");
  EXPECT_EQ(FieldOf(Stop({"a b"})), "machines[0]");
  const auto conflicting = [](const absl::Status& status) {
    return status.code() == absl::StatusCode::kFailedPrecondition &&
           rpc::ReasonOf(status) == Reason::CONFLICTING_TRANSITION;
  };
  ASSERT_TRUE(Update(Schedule({"a", "b"})).ok());
  EXPECT_TRUE(conflicting(Start({"a", "c"}))) << "c is up";
  EXPECT_TRUE(conflicting(Stop({"a"}))) << "a is draining";
  EXPECT_EQ(StatusOf(master_).down_size(), 0);
  ASSERT_TRUE(Start({"a"}).ok());
  EXPECT_TRUE(Start({"a"}).ok()) << "a repeat";
  EXPECT_TRUE(conflicting(Start({"a", "b"})));
  EXPECT_TRUE(conflicting(Stop({"a", "b"})));
  // A machine that is down stays in the schedule; its time may change.
  EXPECT_EQ(FieldOf(Update(Schedule({"b"}))), "windows");
  EXPECT_TRUE(Update(Schedule({"a"}, kSoon + 7)).ok());
  EXPECT_EQ(StatusOf(master_).down_size(), 1);
  EXPECT_EQ(StatusOf(master_).draining_size(), 0);
  ASSERT_TRUE(Stop({"a"}).ok());
  EXPECT_TRUE(conflicting(Stop({"a"})));
}

// ---- fail-over ----------------------------------------------------------------------------------

TEST_F(MaintenanceTest, ANewLeaderKnowsTheSchedule) {
  Launch("t1");
  auto request = Schedule({"host-1"});
  request.mutable_windows(0)->mutable_unavailability()->mutable_duration()->set_seconds(60);
  AddWindow(request, {"host-2"});
  ASSERT_TRUE(Update(request).ok());
  ASSERT_TRUE(Start({"host-2"}).ok());
  TestMaster next(&registry_, master_.now());
  next.Lead();
  EXPECT_EQ(ScheduleOf(next).SerializeAsString(), ScheduleOf(master_).SerializeAsString());
  EXPECT_EQ(StatusOf(next).down(0).hostname(), "host-2");
  EXPECT_EQ(rpc::ReasonOf(*next.AgentClosed(next.Register(TestMaster::AgentInfo("host-2")))),
            Reason::MACHINE_DOWN);
  // An agent of a draining machine comes back with its task.
  pb::FrameworkInfo info = TestMaster::Info("batch");
  info.set_id(framework_id_);
  const StreamId stream = next.Subscribe(info);
  const AgentStreamId again =
      next.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(next.AgentId(again), agent_id_);
  EXPECT_TRUE(next.TakeAllocatorEvents().back().agent_added().has_unavailability());
  next.Allocate(framework_id_, agent_id_, "cpus:1");
  EXPECT_EQ(next.TakeOffers(stream)[0].unavailability().duration().seconds(), 60);
}

// The leader ended after the machine's record and before its agents'.
TEST_F(MaintenanceTest, ANewLeaderFinishesWhatWasBegun) {
  Launch("t1");
  const AgentStreamId lost = master_.Register(TestMaster::AgentInfo("host-2"));
  const std::string lost_id = master_.AgentId(lost);
  for (int i = 0; i < 6; ++i) {
    master_.Pong(agent_);
    master_.Advance(absl::Seconds(15));
  }
  ASSERT_TRUE(registry_.Get<reg::UnreachableAgent>("agents/unreachable/" + lost_id).has_value());
  for (const char* hostname : {"host-1", "host-2"}) {
    reg::Machine machine;
    machine.set_hostname(hostname);
    machine.set_mode(reg::Machine::DOWN);
    machine.mutable_unavailability()->mutable_start()->set_seconds(kSoon);
    registry_.table[std::string("machines/") + hostname + ","] = {machine.SerializeAsString(), 1};
  }
  TestMaster next(&registry_, master_.now());
  next.Lead();
  EXPECT_TRUE(IsGone(agent_id_));
  EXPECT_TRUE(IsGone(lost_id));
  EXPECT_EQ(next.core().Metrics().agents_recovered, 0u);
  const AgentStreamId again =
      next.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(rpc::ReasonOf(*next.AgentClosed(again)), Reason::AGENT_GONE);
}

TEST_F(MaintenanceTest, ALeaderThatEndsAnswersWhoWaits) {
  master_.HoldCommits();
  EXPECT_EQ(Update(Schedule({"host-1"})).message(), "no answer yet");
  master_.Step(StopRequested{});
  TestMaster next(&registry_, master_.now());
  next.Lead();
  EXPECT_TRUE(ScheduleOf(next).windows().empty());
  EXPECT_TRUE(Update(next, Schedule({"host-1"})).ok());
}

}  // namespace
}  // namespace tessera::master
