#include "sdk/cpp/core/scheduler_core.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/rpc/error.h"

namespace tessera::sdk {
namespace {

using model::v1::ErrorDetail;
using scheduler::v1::AcceptOffersRequest;
using scheduler::v1::AcknowledgeRequest;
using scheduler::v1::KillTaskRequest;
using scheduler::v1::ReconcileTasksRequest;
using scheduler::v1::TeardownRequest;

// A framework that talks to a master played by the test.
class SchedulerCoreTest : public testing::Test {
 protected:
  SchedulerCoreTest() : core_(Config(), 7) {}

  static SchedulerConfig Config() {
    SchedulerConfig config;
    config.masters = {"a:1", "b:1"};
    config.info.set_name("test");
    config.info.add_roles("r");
    return config;
  }

  Effects Step(const Event& event) {
    Effects effects;
    core_.Step(now_, event, &effects);
    return effects;
  }

  // Moves the clock to the core's deadline and wakes it.
  Effects WakeUp() {
    EXPECT_NE(core_.NextDeadline(), absl::InfiniteFuture());
    now_ = std::max(now_, core_.NextDeadline());
    return Step(Wake{});
  }

  template <typename T>
  static std::vector<T> All(const Effects& effects) {
    std::vector<T> found;
    for (const Effect& effect : effects) {
      if (const T* e = std::get_if<T>(&effect)) found.push_back(*e);
    }
    return found;
  }

  template <typename T>
  static std::vector<std::pair<uint64_t, T>> Calls(const Effects& effects) {
    std::vector<std::pair<uint64_t, T>> found;
    for (const SendCall& call : All<SendCall>(effects)) {
      if (const T* request = std::get_if<T>(&call.request)) found.emplace_back(call.id, *request);
    }
    return found;
  }

  Effects Subscribed(uint64_t attempt, const std::string& subscription) {
    scheduler::v1::Event event;
    event.mutable_subscribed()->set_framework_id("f-1");
    event.mutable_subscribed()->set_subscription_id(subscription);
    event.mutable_subscribed()->mutable_heartbeat_interval()->set_seconds(15);
    return Step(StreamEvents{attempt, {event}});
  }

  uint64_t Start() {
    const auto opens = All<OpenStream>(Step(sdk::Start{}));
    EXPECT_EQ(opens.size(), 1);
    return opens.at(0).attempt;
  }

  uint64_t StartSubscribed() {
    const uint64_t attempt = Start();
    Subscribed(attempt, "s-1");
    return attempt;
  }

  static Event Launch(const std::string& task, const std::string& offer = "o-1") {
    AcceptOffersRequest request;
    request.add_offer_ids(offer);
    auto* info = request.add_operations()->mutable_launch()->add_tasks();
    info->set_id(task);
    info->set_agent_id("agent-1");
    return MakeCall{request};
  }

  Effects Update(uint64_t attempt, const std::string& task, model::v1::TaskState state,
                 const std::string& uuid,
                 model::v1::TaskStatusReason reason = model::v1::TASK_STATUS_REASON_UNSPECIFIED,
                 const std::string& container = "") {
    scheduler::v1::Event event;
    auto* status = event.mutable_update()->mutable_status();
    status->set_task_id(task);
    status->set_agent_id("agent-1");
    status->set_state(state);
    status->set_uuid(uuid);
    status->set_reason(reason);
    if (!container.empty()) status->mutable_container_status()->set_container_id(container);
    return Step(StreamEvents{attempt, {event}});
  }

  static Event Handled(const Effects& delivered) {
    const auto events = All<Deliver>(delivered);
    EXPECT_EQ(events.size(), 1);
    return UpdateHandled{events.at(0).event.update().status()};
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  SchedulerCore core_;
};

TEST_F(SchedulerCoreTest, SubscribesWithoutAnIdAndKeepsTheOneItGets) {
  const auto opens = All<OpenStream>(Step(sdk::Start{}));
  ASSERT_EQ(opens.size(), 1);
  EXPECT_EQ(opens[0].address, "a:1");
  EXPECT_EQ(opens[0].request.info().id(), "");
  const auto delivered = All<Deliver>(Subscribed(opens[0].attempt, "s-1"));
  ASSERT_EQ(delivered.size(), 1);
  EXPECT_EQ(core_.framework_id(), "f-1");

  Step(StreamEnded{opens[0].attempt, absl::UnavailableError("gone")});
  const auto again = All<OpenStream>(WakeUp());
  ASSERT_EQ(again.size(), 1);
  EXPECT_EQ(again[0].request.info().id(), "f-1");
}

TEST_F(SchedulerCoreTest, FollowsTheLeaderAtOnceAndBacksOffOtherwise) {
  const uint64_t attempt = Start();
  const auto hinted = All<OpenStream>(Step(StreamEnded{attempt, rpc::NotLeader("c:9")}));
  ASSERT_EQ(hinted.size(), 1);
  EXPECT_EQ(hinted[0].address, "c:9");

  EXPECT_TRUE(
      All<OpenStream>(Step(StreamEnded{hinted[0].attempt, absl::UnavailableError("")})).empty());
  EXPECT_GT(core_.NextDeadline(), now_);
  EXPECT_LE(core_.NextDeadline(), now_ + absl::Seconds(15));
  EXPECT_EQ(All<OpenStream>(WakeUp()).size(), 1);
}

TEST_F(SchedulerCoreTest, IgnoresWhatAnOlderStreamSays) {
  const uint64_t old_attempt = StartSubscribed();
  Step(StreamEnded{old_attempt, absl::UnavailableError("")});
  WakeUp();
  EXPECT_TRUE(Subscribed(old_attempt, "s-old").empty());
  EXPECT_FALSE(core_.subscribed());
  EXPECT_TRUE(Step(StreamEnded{old_attempt, absl::UnavailableError("")}).empty());
}

TEST_F(SchedulerCoreTest, DropsASilentStream) {
  const uint64_t attempt = StartSubscribed();
  scheduler::v1::Event heartbeat;
  heartbeat.mutable_heartbeat();
  now_ += absl::Seconds(70);
  EXPECT_TRUE(Step(StreamEvents{attempt, {heartbeat}}).empty());
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(75));
  const Effects effects = WakeUp();
  EXPECT_EQ(All<CancelStream>(effects).size(), 1);
  EXPECT_EQ(All<Disconnected>(effects).size(), 1);
}

TEST_F(SchedulerCoreTest, AcknowledgesHandledUpdatesInOneCallAndDeliversEachOnce) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  const Effects first = Update(attempt, "t-1", model::v1::TASK_RUNNING, "u-1");
  const Event handled = Handled(first);
  // Comes again before it was handled: nothing to do yet.
  EXPECT_TRUE(Update(attempt, "t-1", model::v1::TASK_RUNNING, "u-1").empty());

  Effects effects;
  core_.Step(now_, handled, &effects);
  model::v1::TaskStatus other;
  other.set_task_id("t-2");
  other.set_uuid("u-9");
  core_.Step(now_, UpdateHandled{other}, &effects);
  const auto acks = Calls<AcknowledgeRequest>(effects);
  ASSERT_EQ(acks.size(), 1);
  ASSERT_EQ(acks[0].second.updates_size(), 2);
  EXPECT_EQ(acks[0].second.updates(0).uuid(), "u-1");
  EXPECT_EQ(acks[0].second.session().subscription_id(), "s-1");

  const Effects repeated = Update(attempt, "t-1", model::v1::TASK_RUNNING, "u-1");
  EXPECT_TRUE(All<Deliver>(repeated).empty());
  EXPECT_EQ(Calls<AcknowledgeRequest>(repeated).size(), 1);
}

TEST_F(SchedulerCoreTest, ManyAcknowledgementsGoInCallsOfBoundedSize) {
  StartSubscribed();
  Effects effects;
  for (int i = 0; i < 2500; ++i) {
    model::v1::TaskStatus status;
    status.set_task_id("t-" + std::to_string(i));
    status.set_uuid("u");
    core_.Step(now_, UpdateHandled{status}, &effects);
  }
  const auto acks = Calls<AcknowledgeRequest>(effects);
  ASSERT_EQ(acks.size(), 3);
  int next = 0;
  for (const auto& [id, request] : acks) {
    EXPECT_LE(request.updates_size(), 1000);
    for (const auto& update : request.updates()) {
      EXPECT_EQ(update.task_id(), "t-" + std::to_string(next++));
    }
    EXPECT_TRUE(Step(CallAnswered{id, absl::OkStatus()}).empty());
  }
  EXPECT_EQ(next, 2500);
}

TEST_F(SchedulerCoreTest, ThePeriodicRoundDoesNotOvertakeALaunch) {
  const uint64_t attempt = StartSubscribed();
  const auto known = Calls<AcceptOffersRequest>(Step(Launch("known")));
  Step(CallAnswered{known.at(0).first, absl::OkStatus()});
  Step(Handled(Update(attempt, "known", model::v1::TASK_RUNNING, "u-1")));
  now_ += absl::Minutes(15);
  const auto launch = Calls<AcceptOffersRequest>(Step(Launch("new", "o-2")));
  ASSERT_EQ(launch.size(), 1);
  scheduler::v1::Event heartbeat;
  heartbeat.mutable_heartbeat();
  Step(StreamEvents{attempt, {heartbeat}});
  auto asked = Calls<ReconcileTasksRequest>(Step(Wake{}));
  ASSERT_EQ(asked.size(), 1);
  ASSERT_EQ(asked[0].second.tasks_size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "known");
  Update(attempt, "known", model::v1::TASK_RUNNING, "", model::v1::REASON_RECONCILIATION);
  // Still on its way in the next round: nothing is asked.
  EXPECT_TRUE(Calls<ReconcileTasksRequest>(WakeUp()).empty());
  // Once the master has booked it, the round is made up for.
  Step(CallAnswered{launch[0].first, absl::OkStatus()});
  asked = Calls<ReconcileTasksRequest>(WakeUp());
  ASSERT_EQ(asked.size(), 1);
  ASSERT_EQ(asked[0].second.tasks_size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "new");
}

TEST_F(SchedulerCoreTest, ALaunchOfAnOlderSessionIsAskedForAtOnce) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(StreamEnded{attempt, absl::UnavailableError("")});
  const auto open = All<OpenStream>(WakeUp());
  const auto asked = Calls<ReconcileTasksRequest>(Subscribed(open.at(0).attempt, "s-2"));
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "t-1");
}

TEST_F(SchedulerCoreTest, RecognisesARepeatedLastUpdate) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(Handled(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1")));
  EXPECT_EQ(core_.tracked_tasks(), 0);
  const Effects repeated = Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1");
  EXPECT_TRUE(All<Deliver>(repeated).empty());
  EXPECT_EQ(Calls<AcknowledgeRequest>(repeated).size(), 1);
}

TEST_F(SchedulerCoreTest, AnAnswerToReconciliationDoesNotEndATaskTwice) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(Handled(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1")));
  EXPECT_TRUE(Update(attempt, "t-1", model::v1::TASK_FINISHED, "", model::v1::REASON_RECONCILIATION)
                  .empty());
  EXPECT_TRUE(
      Update(attempt, "t-1", model::v1::TASK_GONE, "", model::v1::REASON_RECONCILIATION).empty());
  // Another end, told by an agent, is news that must not be hidden.
  EXPECT_EQ(All<Deliver>(Update(attempt, "t-1", model::v1::TASK_FAILED, "u-2")).size(), 1);
}

TEST_F(SchedulerCoreTest, WhatIsSaidOfAnEarlierLaunchDoesNotEndTheNextOne) {
  const uint64_t attempt = StartSubscribed();
  constexpr auto kNone = model::v1::TASK_STATUS_REASON_UNSPECIFIED;
  Step(Launch("t-1"));
  Step(Handled(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1", kNone, "c-1")));
  const auto again = Calls<AcceptOffersRequest>(Step(Launch("t-1", "o-2")));
  // The answer to a question that was asked before it ended.
  EXPECT_TRUE(
      Update(attempt, "t-1", model::v1::TASK_FINISHED, "", model::v1::REASON_RECONCILIATION, "c-1")
          .empty());
  Step(CallAnswered{again.at(0).first, absl::OkStatus()});
  // The agent has not got the acknowledgement: once more, and the master is asked for the new one.
  const Effects repeated = Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1", kNone, "c-1");
  EXPECT_TRUE(All<Deliver>(repeated).empty());
  EXPECT_EQ(Calls<AcknowledgeRequest>(repeated).size(), 1);
  EXPECT_EQ(core_.tracked_tasks(), 1);
  const auto asked = Calls<ReconcileTasksRequest>(WakeUp());
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "t-1");
  EXPECT_EQ(
      All<Deliver>(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-2", kNone, "c-2")).size(),
      1);
}

TEST_F(SchedulerCoreTest, ALaunchUnderAnIdInUseIsDroppedOnTheSpot) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  const Event handled = Handled(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1"));
  Step(handled);
  const auto again = Calls<AcceptOffersRequest>(Step(Launch("t-1", "o-2")));
  const Effects refused =
      Step(CallAnswered{again.at(0).first, absl::OkStatus(), /*ids_in_use=*/{"t-1"}});
  const auto told = All<Deliver>(refused);
  ASSERT_EQ(told.size(), 1);
  EXPECT_EQ(told[0].event.update().status().state(), model::v1::TASK_DROPPED);
  EXPECT_TRUE(Calls<AcknowledgeRequest>(Step(Handled(refused))).empty());
  EXPECT_EQ(core_.tracked_tasks(), 0);
  // The agent says the end of the earlier launch once more.
  const Effects repeated = Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1");
  EXPECT_TRUE(All<Deliver>(repeated).empty());
  EXPECT_EQ(Calls<AcknowledgeRequest>(repeated).size(), 1);
}

TEST_F(SchedulerCoreTest, ASecondLaunchOfATaskThatLivesChangesNothing) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(Handled(Update(attempt, "t-1", model::v1::TASK_RUNNING, "u-1")));
  const auto again = Calls<AcceptOffersRequest>(Step(Launch("t-1", "o-2")));
  EXPECT_TRUE(Step(CallAnswered{again.at(0).first, absl::OkStatus(), {"t-1"}}).empty());
  EXPECT_EQ(core_.tracked_tasks(), 1);
}

TEST_F(SchedulerCoreTest, DoubtfulAcceptOpensTheSessionAnewBeforeItAsks) {
  StartSubscribed();
  const auto accept = Calls<AcceptOffersRequest>(Step(Launch("t-1")));
  ASSERT_EQ(accept.size(), 1);
  const Effects doubt = Step(CallAnswered{accept[0].first, absl::DeadlineExceededError("")});
  EXPECT_EQ(All<CallFailed>(doubt).size(), 1);
  EXPECT_EQ(All<CancelStream>(doubt).size(), 1);
  EXPECT_TRUE(Calls<ReconcileTasksRequest>(doubt).empty());

  const auto open = All<OpenStream>(WakeUp());
  ASSERT_EQ(open.size(), 1);
  const auto asked = Calls<ReconcileTasksRequest>(Subscribed(open[0].attempt, "s-2"));
  ASSERT_EQ(asked.size(), 1);
  ASSERT_EQ(asked[0].second.tasks_size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "t-1");
  EXPECT_EQ(asked[0].second.tasks(0).agent_id(), "agent-1");
  EXPECT_EQ(asked[0].second.session().subscription_id(), "s-2");

  // No answer: asked again, later and later. An answer ends it.
  const absl::Time first_wait = core_.NextDeadline();
  EXPECT_EQ(Calls<ReconcileTasksRequest>(WakeUp()).size(), 1);
  EXPECT_GT(core_.NextDeadline() - now_, first_wait - (now_ - absl::Seconds(1)) - absl::Seconds(1));
  const Effects answer =
      Update(open[0].attempt, "t-1", model::v1::TASK_UNKNOWN, "", model::v1::REASON_RECONCILIATION);
  Step(Handled(answer));
  EXPECT_EQ(core_.tracked_tasks(), 0);
  now_ += absl::Minutes(1);
  scheduler::v1::Event heartbeat;
  heartbeat.mutable_heartbeat();
  Step(StreamEvents{open[0].attempt, {heartbeat}});
  EXPECT_TRUE(Calls<ReconcileTasksRequest>(Step(Wake{})).empty());
}

TEST_F(SchedulerCoreTest, RefusedAcceptIsNotTracked) {
  StartSubscribed();
  const auto accept = Calls<AcceptOffersRequest>(Step(Launch("t-1")));
  const Effects effects =
      Step(CallAnswered{accept.at(0).first, rpc::InvalidField("operations[0]", "wrong")});
  EXPECT_EQ(All<CallFailed>(effects).size(), 1);
  EXPECT_TRUE(All<CancelStream>(effects).empty());
  EXPECT_EQ(core_.tracked_tasks(), 0);
}

TEST_F(SchedulerCoreTest, ReconciliationThatTellsNothingNewIsNotDelivered) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(Handled(Update(attempt, "t-1", model::v1::TASK_RUNNING, "u-1")));
  EXPECT_TRUE(Update(attempt, "t-1", model::v1::TASK_RUNNING, "", model::v1::REASON_RECONCILIATION)
                  .empty());
  EXPECT_EQ(All<Deliver>(
                Update(attempt, "t-1", model::v1::TASK_GONE, "", model::v1::REASON_RECONCILIATION))
                .size(),
            1);
}

TEST_F(SchedulerCoreTest, KillIsRepeatedAfterAReconnection) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  Step(CallAnswered{1, absl::OkStatus()});
  KillTaskRequest kill;
  kill.set_task_id("t-1");
  kill.mutable_kill_policy()->mutable_grace_period()->set_seconds(4);
  EXPECT_EQ(Calls<KillTaskRequest>(Step(MakeCall{kill})).size(), 1);
  Step(StreamEnded{attempt, absl::UnavailableError("")});
  const auto open = All<OpenStream>(WakeUp());
  const auto kills = Calls<KillTaskRequest>(Subscribed(open.at(0).attempt, "s-2"));
  ASSERT_EQ(kills.size(), 1);
  EXPECT_EQ(kills[0].second.kill_policy().grace_period().seconds(), 4);
  EXPECT_EQ(kills[0].second.session().subscription_id(), "s-2");
}

TEST_F(SchedulerCoreTest, AKillDoesNotOvertakeTheLaunch) {
  StartSubscribed();
  const auto launch = Calls<AcceptOffersRequest>(Step(Launch("t-1")));
  KillTaskRequest kill;
  kill.set_task_id("t-1");
  kill.mutable_kill_policy()->mutable_grace_period()->set_seconds(4);
  EXPECT_TRUE(Step(MakeCall{kill}).empty());
  const auto kills =
      Calls<KillTaskRequest>(Step(CallAnswered{launch.at(0).first, absl::OkStatus()}));
  ASSERT_EQ(kills.size(), 1);
  EXPECT_EQ(kills[0].second.task_id(), "t-1");
  EXPECT_EQ(kills[0].second.kill_policy().grace_period().seconds(), 4);
  // A refused launch leaves nothing to kill.
  const auto refused = Calls<AcceptOffersRequest>(Step(Launch("t-2")));
  kill.set_task_id("t-2");
  EXPECT_TRUE(Step(MakeCall{kill}).empty());
  EXPECT_TRUE(Calls<KillTaskRequest>(
                  Step(CallAnswered{refused.at(0).first, rpc::InvalidField("operations[0]", "no")}))
                  .empty());
}

TEST_F(SchedulerCoreTest, CallsWithoutASessionFailAtOnce) {
  Start();
  const auto failed = All<CallFailed>(Step(Launch("t-1")));
  ASSERT_EQ(failed.size(), 1);
  EXPECT_EQ(failed[0].status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(core_.tracked_tasks(), 0);
}

TEST_F(SchedulerCoreTest, InverseOffersAreDeliveredAndAnsweredInTheSession) {
  const uint64_t attempt = StartSubscribed();
  scheduler::v1::Event asked;
  asked.mutable_inverse_offers()->add_inverse_offers()->set_id("i-1");
  scheduler::v1::Event rescinded;
  rescinded.mutable_rescind()->add_inverse_offer_ids("i-0");
  const auto delivered = All<Deliver>(Step(StreamEvents{attempt, {asked, rescinded}}));
  ASSERT_EQ(delivered.size(), 2);
  EXPECT_EQ(delivered[0].event.inverse_offers().inverse_offers(0).id(), "i-1");
  EXPECT_EQ(delivered[1].event.rescind().inverse_offer_ids(0), "i-0");
  scheduler::v1::AnswerInverseOffersRequest answer;
  answer.add_inverse_offer_ids("i-1");
  answer.set_accept(true);
  const auto calls = Calls<scheduler::v1::AnswerInverseOffersRequest>(Step(MakeCall{answer}));
  ASSERT_EQ(calls.size(), 1);
  EXPECT_EQ(calls[0].second.session().subscription_id(), "s-1");
  EXPECT_TRUE(calls[0].second.accept());
}

TEST_F(SchedulerCoreTest, ARemovedFrameworkEnds) {
  const uint64_t attempt = StartSubscribed();
  const auto ended = All<Ended>(
      Step(StreamEnded{attempt, rpc::Error(absl::StatusCode::kPermissionDenied,
                                           ErrorDetail::FRAMEWORK_REMOVED, "torn down")}));
  ASSERT_EQ(ended.size(), 1);
  EXPECT_EQ(ended[0].status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(core_.NextDeadline(), absl::InfiniteFuture());
}

TEST_F(SchedulerCoreTest, StopWaitsForAnswersAndTeardownSurvivesALossOfTheSession) {
  const uint64_t attempt = StartSubscribed();
  const auto teardown = Calls<TeardownRequest>(Step(sdk::Stop{.teardown = true}));
  ASSERT_EQ(teardown.size(), 1);
  Step(CallAnswered{teardown[0].first, absl::UnavailableError("")});
  Effects effects = WakeUp();
  const auto open = All<OpenStream>(effects);
  ASSERT_EQ(open.size(), 1);
  EXPECT_GT(open[0].attempt, attempt);
  const auto again = Calls<TeardownRequest>(Subscribed(open[0].attempt, "s-2"));
  ASSERT_EQ(again.size(), 1);
  const auto ended = All<Ended>(Step(CallAnswered{again[0].first, absl::OkStatus()}));
  ASSERT_EQ(ended.size(), 1);
  EXPECT_TRUE(ended[0].status.ok());
}

TEST_F(SchedulerCoreTest, StopFlushesAcknowledgements) {
  const uint64_t attempt = StartSubscribed();
  Step(Launch("t-1"));
  // The launch is answered, its update handled; the acknowledgement is on its way.
  Step(CallAnswered{1, absl::OkStatus()});
  const auto acks = Calls<AcknowledgeRequest>(
      Step(Handled(Update(attempt, "t-1", model::v1::TASK_FINISHED, "u-1"))));
  ASSERT_EQ(acks.size(), 1);
  EXPECT_TRUE(All<Ended>(Step(sdk::Stop{})).empty());
  EXPECT_EQ(All<Ended>(Step(CallAnswered{acks[0].first, absl::OkStatus()})).size(), 1);
}

TEST_F(SchedulerCoreTest, AdoptedTasksAreReconciled) {
  StartSubscribed();
  Step(AdoptTasks{{{"old-1", "agent-7"}}});
  const auto asked = Calls<ReconcileTasksRequest>(Step(Wake{}));
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0].second.tasks(0).task_id(), "old-1");
  EXPECT_EQ(asked[0].second.tasks(0).agent_id(), "agent-7");
}

TEST(SchedulerConfigTest, SaysWhatIsWrong) {
  SchedulerConfig config;
  EXPECT_EQ(ValidateConfig(config).code(), absl::StatusCode::kInvalidArgument);
  config.masters = {"nohost"};
  EXPECT_NE(ValidateConfig(config).message().find("nohost"), absl::string_view::npos);
  config.masters = {"a:1"};
  config.info.set_name("x");
  EXPECT_TRUE(ValidateConfig(config).ok());
}

}  // namespace
}  // namespace tessera::sdk
