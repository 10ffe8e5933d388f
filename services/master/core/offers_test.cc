// From allocations to the ends of offers, on a leading master, and what the allocator hears of
// them.
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "services/master/core/test_tasks.h"

namespace tessera::master {
namespace {

class OffersTest : public TestTasks {};

TEST_F(OffersTest, DeclineGivesBackWithItsFilter) {
  const std::string offer = Offer();
  master_.TakeAllocatorEvents();
  sched::DeclineOffersRequest request;
  request.add_offer_ids(offer);
  request.add_offer_ids("no-such-offer");
  request.mutable_filters()->mutable_refuse_duration()->set_seconds(60);
  const auto answer = master_.Call<sched::DeclineOffersResponse>(stream_, request);
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->unknown_offer_ids_size(), 1);
  EXPECT_EQ(answer->unknown_offer_ids(0), "no-such-offer");
  const auto events = master_.TakeAllocatorEvents();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].recovered().refuse_duration().seconds(), 60);
  EXPECT_EQ(events[1].offers_ended().framework_id(), framework_id_);
  EXPECT_EQ(events[1].offers_ended().offers(), 1u);
  EXPECT_EQ(events[1].offers_ended().accepted(), 0u);
  EXPECT_TRUE(master_.Events(stream_, sched::Event::kRescind).empty());
}

TEST_F(OffersTest, DeclineForNoTimeIsARefusalAllTheSame) {
  const std::string offer = Offer();
  master_.TakeAllocatorEvents();
  sched::DeclineOffersRequest request;
  request.add_offer_ids(offer);
  request.mutable_filters()->mutable_refuse_duration();
  ASSERT_TRUE(master_.Call<sched::DeclineOffersResponse>(stream_, request).ok());
  const auto events = master_.TakeAllocatorEvents();
  ASSERT_FALSE(events.empty());
  ASSERT_TRUE(events[0].recovered().has_refuse_duration());
  EXPECT_EQ(events[0].recovered().refuse_duration().seconds(), 0);
}

TEST_F(OffersTest, TheAllocatorHearsOfTheEndOfEveryOffer) {
  const std::string offer = Offer();
  master_.TakeAllocatorEvents();
  ASSERT_TRUE(Launch({offer}, {Task("t1")}).ok());
  uint32_t accepted = 0;
  for (const auto& event : master_.TakeAllocatorEvents()) {
    accepted += event.offers_ended().accepted();
  }
  EXPECT_EQ(accepted, 1u);
  // An allocation that cannot become an offer ends at once.
  master_.Allocate("nobody", agent_id_, "cpus:1");
  const auto ended = EndsOfOffers();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].withdrawn(), 1u);
}

// What the end of an offer says of its framework.
TEST_F(OffersTest, OnlyWhoTakesSomethingHasAccepted) {
  ASSERT_TRUE(Launch({Offer()}, {}).ok());
  ASSERT_TRUE(Launch({Offer()}, {Task("t1", "cpus:1000")}).ok());
  for (const auto& ended : EndsOfOffers()) {
    EXPECT_EQ(ended.accepted() + ended.withdrawn(), 0u) << "nothing was taken";
  }
  Offer();
  master_.Advance(absl::Seconds(10));
  master_.CloseFrameworkStream(stream_);
  const auto ended = EndsOfOffers();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].withdrawn(), 1u);
}

TEST_F(OffersTest, AnOfferSaysHowLongItLay) {
  const std::string offer = Offer();
  master_.Advance(absl::Seconds(11));
  sched::DeclineOffersRequest request;
  request.add_offer_ids(offer);
  ASSERT_TRUE(master_.Call<sched::DeclineOffersResponse>(stream_, request).ok());
  const auto ended = EndsOfOffers();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].lay().seconds(), 11);
  EXPECT_EQ(ended[0].withdrawn(), 0u);
}

// A stated demand is lowered by offers, and raised by what of them is not taken. The allocator that
// begins anew is told what is left.
TEST_F(OffersTest, DemandComesBackWithWhatIsNotTaken) {
  sched::SetDemandRequest request;
  auto* demand = request.add_demands();
  demand->set_role("work");
  (*demand->mutable_wanted()->mutable_amounts())["cpus"].set_milli(4000);
  ASSERT_TRUE(master_.Call<sched::SetDemandResponse>(stream_, request).ok());
  const auto left = [&] {
    master_.TakeAllocatorEvents();
    master_.Step(AllocatorDisconnected{master_.link(), absl::UnavailableError("crashed")});
    master_.Advance(absl::Seconds(1));
    for (const auto& event : master_.TakeAllocatorEvents()) {
      if (!event.has_demand_stated()) continue;
      EXPECT_EQ(event.demand_stated().wanted().amounts().at("cpus").milli(), 4000);
      const auto& amounts = event.demand_stated().left().amounts();
      return amounts.contains("cpus") ? amounts.at("cpus").milli() : int64_t{0};
    }
    return int64_t{-1};
  };
  EXPECT_EQ(left(), 4000);
  const std::string declined = Offer("cpus:1;mem:100");
  const std::string taken = Offer("cpus:2;mem:100");
  EXPECT_EQ(left(), 1000);
  sched::DeclineOffersRequest decline;
  decline.add_offer_ids(declined);
  ASSERT_TRUE(master_.Call<sched::DeclineOffersResponse>(stream_, decline).ok());
  EXPECT_EQ(left(), 2000);
  // Half a cpu is taken; the rest of the offer goes back.
  ASSERT_TRUE(Launch({taken}, {Task("t1", "cpus:0.5;mem:10")}).ok());
  EXPECT_EQ(left(), 3500);
  Offer("cpus:1;mem:100");
  master_.CloseFrameworkStream(stream_);
  EXPECT_EQ(left(), 3500) << "what was taken back is wanted still";
}

// The allocator that forgets an allocation with its agent does not hear that it comes back.
TEST_F(OffersTest, DemandIsStatedAgainWhenAnAgentTakesAllocationsAlong) {
  sched::SetDemandRequest request;
  auto* demand = request.add_demands();
  demand->set_role("work");
  (*demand->mutable_wanted()->mutable_amounts())["cpus"].set_milli(4000);
  ASSERT_TRUE(master_.Call<sched::SetDemandResponse>(stream_, request).ok());
  const auto left = [&] {
    int64_t milli = -1;
    for (const auto& event : master_.TakeAllocatorEvents()) {
      if (!event.has_demand_stated()) continue;
      const auto& amounts = event.demand_stated().left().amounts();
      milli = amounts.contains("cpus") ? amounts.at("cpus").milli() : 0;
    }
    return milli;
  };
  Offer("cpus:3;mem:100");
  left();
  // It comes back smaller than what is offered of it.
  pb::AgentInfo smaller = TestMaster::AgentInfo("host-1");
  *smaller.mutable_resources() = TestMaster::Resources("cpus:1;mem:4096");
  agent_ = master_.Reregister(smaller, agent_id_, {}, {});
  EXPECT_EQ(left(), 4000);
  // What was decided before is dropped.
  master_.Allocate(framework_id_, agent_id_, "cpus:1", "work", /*through=*/1);
  EXPECT_EQ(left(), 4000);
}

TEST_F(OffersTest, FiltersOutsideTheirBoundsAreRefused) {
  for (int64_t seconds : {int64_t{-1}, int64_t{366} * 24 * 3600}) {
    sched::DeclineOffersRequest request;
    request.mutable_filters()->mutable_refuse_duration()->set_seconds(seconds);
    const auto answer = master_.Call<sched::DeclineOffersResponse>(stream_, request);
    EXPECT_EQ(rpc::ReasonOf(answer.status()), pb::ErrorDetail::INVALID_FIELD) << seconds;
  }
}

TEST_F(OffersTest, AnOfferWithoutAnAnswerIsTakenBack) {
  const std::string offer = Offer();
  for (int i = 0; i < 7; ++i) {
    master_.Advance(absl::Seconds(17));
    master_.Pong(agent_);
  }
  EXPECT_TRUE(master_.Events(stream_, sched::Event::kRescind).empty());
  master_.Advance(absl::Seconds(2));
  const auto rescinds = master_.Events(stream_, sched::Event::kRescind);
  ASSERT_EQ(rescinds.size(), 1u);
  EXPECT_EQ(rescinds[0].rescind().offer_ids(0), offer);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(rpc::ReasonOf(Launch({offer}, {Task("t1")}).status()), pb::ErrorDetail::INVALID_OFFER);
}

TEST_F(OffersTest, InvalidOffersAreUsedUpAndTheirTasksDropped) {
  const std::string first = Offer("cpus:1;mem:100");
  const AgentStreamId other_agent = master_.Register(TestMaster::AgentInfo("host-2"));
  master_.Allocate(framework_id_, master_.AgentId(other_agent), "cpus:1;mem:100");
  const std::string elsewhere = master_.TakeOffers(stream_).back().id();
  const auto answer = Launch({first, elsewhere}, {Task("t1")});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rpc::ReasonOf(answer.status()), pb::ErrorDetail::INVALID_OFFER);
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_DROPPED);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_INVALID_OFFERS);
  EXPECT_TRUE(statuses[0].uuid().empty());
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(rpc::ReasonOf(Launch({first}, {}).status()), pb::ErrorDetail::INVALID_OFFER);
}

TEST_F(OffersTest, OffersOfOthersAreSpared) {
  const StreamId other = master_.Subscribe(TestMaster::Info("other"));
  master_.Allocate(master_.SessionOf(other).framework_id(), agent_id_, "cpus:1");
  const std::string foreign = master_.TakeOffers(other).back().id();
  EXPECT_EQ(rpc::ReasonOf(Launch({foreign}, {}).status()), pb::ErrorDetail::INVALID_OFFER);
  sched::DeclineOffersRequest decline;
  decline.add_offer_ids(foreign);
  EXPECT_EQ(master_.Call<sched::DeclineOffersResponse>(stream_, decline)->unknown_offer_ids_size(),
            1);
  decline.clear_session();
  EXPECT_EQ(master_.Call<sched::DeclineOffersResponse>(other, decline)->unknown_offer_ids_size(),
            0);
}

TEST_F(OffersTest, AllocationsThatCameTooLateAreGivenBackOrDropped) {
  // The framework left while the allocator decided.
  master_.CloseFrameworkStream(stream_);
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_TRUE(master_.TakeOffers(stream_).empty());
  // A role that it is not subscribed to.
  const StreamId other = master_.Subscribe(TestMaster::Info("other"));
  const std::string other_id = master_.SessionOf(other).framework_id();
  master_.Allocate(other_id, agent_id_, "cpus:1", "elsewhere");
  EXPECT_TRUE(master_.Held(agent_id_, other_id).empty());
  // More than the agent has.
  master_.Allocate(other_id, agent_id_, "cpus:400");
  EXPECT_TRUE(master_.Held(agent_id_, other_id).empty());
  // An agent of another life: the allocator forgot everything with it.
  const uint64_t before = master_.sequence();
  link::AgentMessage leave;
  leave.mutable_unregister();
  master_.Send(agent_, leave);
  EXPECT_FALSE(master_.AllocatorKnows(agent_id_));
  master_.Allocate(other_id, agent_id_, "cpus:1", "work", before);
  EXPECT_TRUE(master_.TakeOffers(other).empty());
}

TEST_F(OffersTest, ALostAllocatorGetsASnapshotWithEverythingHeld) {
  Run("t1");
  const std::string offer = Offer("cpus:2;mem:100");
  master_.Step(AllocatorDisconnected{master_.link(), absl::UnavailableError("crashed")});
  EXPECT_FALSE(master_.AllocatorKnows("nobody"));
  master_.Advance(absl::Seconds(1));
  EXPECT_TRUE(master_.snapshot_complete());
  EXPECT_EQ(master_.Held(agent_id_, framework_id_),
            model::ParseResources("cpus:3;mem:164")->AllocatedCopy("work"));
  // The offer is as good as before.
  EXPECT_TRUE(Launch({offer}, {Task("t2")}).ok());
}

TEST_F(OffersTest, TheWhitelistIsToldAndIsPartOfEverySnapshot) {
  const auto told = [&] {
    std::vector<std::string> lists;
    for (const auto& event : master_.TakeAllocatorEvents()) {
      if (!event.has_whitelist_set()) continue;
      const auto& set = event.whitelist_set();
      lists.push_back(set.all() ? "all" : absl::StrJoin(set.hostnames(), ","));
    }
    return lists;
  };
  told();
  master_.Step(WhitelistRead{{{"host-1", "host-2"}}});
  master_.Step(WhitelistRead{{{"host-1", "host-2"}}});
  EXPECT_EQ(told(), std::vector<std::string>({"host-1,host-2"}));
  master_.Step(AllocatorDisconnected{master_.link(), absl::UnavailableError("crashed")});
  master_.Step(WhitelistRead{std::vector<std::string>()});
  master_.Advance(absl::Seconds(1));
  EXPECT_EQ(told(), std::vector<std::string>({""})) << "of nobody";
  master_.Step(WhitelistRead{});
  EXPECT_EQ(told(), std::vector<std::string>({"all"}));
}

}  // namespace
}  // namespace tessera::master
