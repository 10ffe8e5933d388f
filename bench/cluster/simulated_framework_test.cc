#include "bench/cluster/simulated_framework.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tessera::bench {
namespace {

using Answer = SimulatedFramework::Answer;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

model::v1::Offer OfferOf(int64_t cpus_milli, int64_t mem_milli) {
  model::v1::Offer offer;
  offer.set_id("O1");
  offer.set_agent_id("A1");
  offer.set_role("*");
  for (const auto& [name, milli] : {std::pair("cpus", cpus_milli), std::pair("mem", mem_milli)}) {
    auto* resource = offer.add_resources();
    resource->set_name(name);
    resource->mutable_scalar()->set_milli(milli);
  }
  return offer;
}

SimulatedFramework Make(const FrameworkDemand* demand) {
  model::v1::FrameworkInfo info;
  info.set_name("sim");
  SimulatedFramework framework(info, demand);
  scheduler::v1::Event::Subscribed subscribed;
  subscribed.set_framework_id("F1");
  subscribed.set_subscription_id("S1");
  framework.Subscribed(subscribed);
  return framework;
}

model::v1::TaskStatus Status(const std::string& task_id, model::v1::TaskState state) {
  model::v1::TaskStatus status;
  status.set_task_id(task_id);
  status.set_agent_id("A1");
  status.set_state(state);
  status.set_uuid(std::string(16, 'u'));
  return status;
}

TEST(SimulatedFramework, LaunchesWhatFits) {
  FrameworkDemand demand;
  demand.cpus_milli = 100;
  demand.mem_milli = 10'000;
  SimulatedFramework framework = Make(&demand);
  scheduler::v1::AcceptOffersRequest accept;
  scheduler::v1::DeclineOffersRequest decline;
  ASSERT_EQ(framework.Use(kStart, OfferOf(450, 1'000'000), &accept, &decline), Answer::kAccept);
  EXPECT_EQ(accept.session().subscription_id(), "S1");
  ASSERT_EQ(accept.operations_size(), 1);
  EXPECT_EQ(accept.operations(0).launch().tasks_size(), 4);
  EXPECT_EQ(accept.filters().refuse_duration().seconds(), 0);
  EXPECT_EQ(framework.Use(kStart, OfferOf(99, 1'000'000), &accept, &decline), Answer::kDecline);
  EXPECT_EQ(decline.offer_ids_size(), 1);
}

TEST(SimulatedFramework, StopsAtWhatItWantsOfAnAgent) {
  FrameworkDemand demand;
  demand.tasks_per_agent = 3;
  SimulatedFramework framework = Make(&demand);
  scheduler::v1::AcceptOffersRequest accept;
  scheduler::v1::DeclineOffersRequest decline;
  ASSERT_EQ(framework.Use(kStart, OfferOf(1000, 1'000'000), &accept, &decline), Answer::kAccept);
  EXPECT_EQ(accept.operations(0).launch().tasks_size(), 3);
  EXPECT_GT(accept.filters().refuse_duration().seconds(), 3600);
  EXPECT_EQ(framework.Use(kStart, OfferOf(1000, 1'000'000), &accept, &decline), Answer::kDecline);
  EXPECT_GT(decline.filters().refuse_duration().seconds(), 3600);
}

TEST(SimulatedFramework, KeepsOffersBeyondItsBoundUntilTasksEnd) {
  FrameworkDemand demand;
  demand.tasks_per_offer_max = 2;
  demand.live_max = 2;
  SimulatedFramework framework = Make(&demand);
  scheduler::v1::AcceptOffersRequest accept;
  scheduler::v1::DeclineOffersRequest decline;
  const model::v1::Offer offer = OfferOf(1000, 1'000'000);
  ASSERT_EQ(framework.Use(kStart, offer, &accept, &decline), Answer::kAccept);
  EXPECT_EQ(framework.Use(kStart, offer, &accept, &decline), Answer::kKeep);
  EXPECT_FALSE(framework.TakeKept().has_value());
  scheduler::v1::AcknowledgeRequest acknowledge;
  for (const auto& task : accept.operations(0).launch().tasks()) {
    framework.Note(kStart, Status(task.id(), model::v1::TASK_FINISHED), &acknowledge);
  }
  EXPECT_TRUE(framework.TakeKept().has_value());
  EXPECT_FALSE(framework.TakeKept().has_value());

  ASSERT_EQ(framework.Use(kStart, offer, &accept, &decline), Answer::kAccept);
  EXPECT_EQ(framework.Use(kStart, offer, &accept, &decline), Answer::kKeep);
  scheduler::v1::Event::Rescind rescind;
  rescind.add_offer_ids(offer.id());
  framework.Rescind(rescind);
  const auto& launched = accept.operations(1).launch();
  for (const auto& task : launched.tasks()) {
    framework.Note(kStart, Status(task.id(), model::v1::TASK_FINISHED), &acknowledge);
  }
  EXPECT_FALSE(framework.TakeKept().has_value());
}

TEST(SimulatedFramework, CountsTasksOnceAndAcknowledgesEveryStatus) {
  FrameworkDemand demand;
  demand.tasks_per_agent = 1;
  SimulatedFramework framework = Make(&demand);
  scheduler::v1::AcceptOffersRequest accept;
  scheduler::v1::DeclineOffersRequest decline;
  ASSERT_EQ(framework.Use(kStart, OfferOf(1000, 1'000'000), &accept, &decline), Answer::kAccept);
  const std::string id = accept.operations(0).launch().tasks(0).id();

  scheduler::v1::AcknowledgeRequest acknowledge;
  const absl::Time later = kStart + absl::Seconds(2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(framework.Note(later, Status(id, model::v1::TASK_RUNNING), &acknowledge));
  }
  EXPECT_EQ(acknowledge.updates_size(), 2);
  EXPECT_EQ(framework.counts().running_heard, 1);
  EXPECT_EQ(framework.counts().running_now, 1);
  const std::vector<float> latencies = framework.TakeLatencies();
  ASSERT_EQ(latencies.size(), 1);
  EXPECT_FLOAT_EQ(latencies[0], 2.0f);

  EXPECT_TRUE(framework.Note(later, Status(id, model::v1::TASK_LOST), &acknowledge));
  EXPECT_FALSE(framework.Note(later, Status(id, model::v1::TASK_LOST), &acknowledge));
  EXPECT_EQ(framework.counts().lost, 1);
  EXPECT_EQ(framework.counts().running_now, 0);
  EXPECT_EQ(framework.TasksByAgent().at("A1"), 0);
  EXPECT_FALSE(
      framework.Note(later, Status("someone-else", model::v1::TASK_RUNNING), &acknowledge));
}

TEST(SimulatedFramework, LearnsStatesAnew) {
  FrameworkDemand demand;
  demand.tasks_per_agent = 2;
  SimulatedFramework framework = Make(&demand);
  scheduler::v1::AcceptOffersRequest accept;
  scheduler::v1::DeclineOffersRequest decline;
  ASSERT_EQ(framework.Use(kStart, OfferOf(1000, 1'000'000), &accept, &decline), Answer::kAccept);
  scheduler::v1::AcknowledgeRequest acknowledge;
  for (const auto& task : accept.operations(0).launch().tasks()) {
    framework.Note(kStart, Status(task.id(), model::v1::TASK_RUNNING), &acknowledge);
  }
  EXPECT_EQ(framework.counts().running_now, 2);
  framework.ForgetStates();
  EXPECT_EQ(framework.counts().running_now, 0);
  framework.Note(kStart,
                 Status(accept.operations(0).launch().tasks(0).id(), model::v1::TASK_RUNNING),
                 &acknowledge);
  EXPECT_EQ(framework.counts().running_now, 1);
  EXPECT_EQ(framework.counts().running_heard, 2);
}

}  // namespace
}  // namespace tessera::bench
