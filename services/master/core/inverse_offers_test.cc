// Inverse offers: who is asked to leave, for how long, and what becomes of the answers.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

class InverseOffersTest : public ::testing::Test {
 protected:
  InverseOffersTest() : master_(&registry_, kStart) {
    master_.Lead();
    stream_ = master_.Subscribe(TestMaster::Info("batch"));
    framework_id_ = master_.SessionOf(stream_).framework_id();
    agent_ = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(agent_);
    Schedule(1'700'003'600);
    master_.TakeAllocatorEvents();
  }

  void Schedule(int64_t start) {
    ops::UpdateMaintenanceScheduleRequest request;
    auto* window = request.add_windows();
    window->add_machines()->set_hostname("host-1");
    window->mutable_unavailability()->mutable_start()->set_seconds(start);
    ASSERT_TRUE(master_.Operate<ops::UpdateMaintenanceScheduleResponse>(request).ok());
  }
  // All that the stream was asked so far, also what ended since.
  std::vector<pb::InverseOffer> Asked(StreamId stream) {
    std::vector<pb::InverseOffer> offers;
    for (const sched::Event& event : master_.Events(stream, sched::Event::kInverseOffers)) {
      const auto& batch = event.inverse_offers().inverse_offers();
      offers.insert(offers.end(), batch.begin(), batch.end());
    }
    return offers;
  }
  // Asks, and returns the id.
  std::string Ask() {
    master_.AllocateInverse(framework_id_, agent_id_);
    return Asked(stream_).back().id();
  }
  std::vector<std::string> Rescinded(StreamId stream) {
    std::vector<std::string> ids;
    for (const sched::Event& event : master_.Events(stream, sched::Event::kRescind)) {
      const auto& batch = event.rescind().inverse_offer_ids();
      ids.insert(ids.end(), batch.begin(), batch.end());
    }
    return ids;
  }
  // How many the allocator was told to take for ended, since the last time.
  int TakeEnded() {
    int ended = 0;
    for (const alloc::ClusterEvent& event : master_.TakeAllocatorEvents()) {
      ended += event.has_inverse_offer_ended();
    }
    return ended;
  }
  absl::StatusOr<sched::AnswerInverseOffersResponse> Answer(const std::string& id, bool accept) {
    sched::AnswerInverseOffersRequest request;
    request.add_inverse_offer_ids(id);
    request.set_accept(accept);
    return master_.Call<sched::AnswerInverseOffersResponse>(stream_, request);
  }
  google::protobuf::RepeatedPtrField<ops::GetMaintenanceStatusResponse::Answer> Answers() {
    return master_.Operate<ops::GetMaintenanceStatusResponse>(ops::GetMaintenanceStatusRequest())
        ->draining(0)
        .answers();
  }
  size_t outstanding() { return master_.core().Metrics().inverse_offers_outstanding; }

  TestRegistry registry_;
  TestMaster master_;
  StreamId stream_;
  std::string framework_id_;
  AgentStreamId agent_;
  std::string agent_id_;
};

TEST_F(InverseOffersTest, AFrameworkIsAskedInOneEvent) {
  const AgentStreamId second = master_.Register([] {
    pb::AgentInfo info = TestMaster::AgentInfo("host-1");
    info.set_address("host-1:6051");
    return info;
  }());
  AllocatorMessage message{master_.link(), {}};
  message.response.set_epoch(master_.core().epoch());
  for (const std::string& agent : {agent_id_, master_.AgentId(second)}) {
    message.response.add_inverse_allocations()->set_framework_id(framework_id_);
    message.response.mutable_inverse_allocations()->rbegin()->set_agent_id(agent);
  }
  master_.Step(message);
  ASSERT_EQ(master_.Events(stream_, sched::Event::kInverseOffers).size(), 1u);
  const auto asked = Asked(stream_);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_TRUE(asked[0].id().ends_with("-I1")) << asked[0].id();
  EXPECT_EQ(asked[0].framework_id(), framework_id_);
  EXPECT_EQ(asked[0].agent_id(), agent_id_);
  EXPECT_EQ(asked[0].unavailability().start().seconds(), 1'700'003'600);
  EXPECT_TRUE(asked[0].resources().empty());
  EXPECT_EQ(outstanding(), 2u);
  // What is outstanding is not asked again: an allocator that began anew knows no better.
  master_.BreakAllocator();
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(stream_).size(), 2u);
  EXPECT_EQ(TakeEnded(), 0);
}

TEST_F(InverseOffersTest, AnswersAreKeptAndTold) {
  const std::string id = Ask();
  ASSERT_TRUE(Answer(id, /*accept=*/true).ok());
  auto told = master_.TakeAllocatorEvents();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].inverse_offer_answered().accepted());
  EXPECT_EQ(told[0].inverse_offer_answered().framework_id(), framework_id_);
  EXPECT_EQ(told[0].inverse_offer_answered().agent_id(), agent_id_);
  EXPECT_EQ(told[0].inverse_offer_answered().refuse_duration().seconds(), 5) << "the default";
  ASSERT_EQ(Answers().size(), 1);
  EXPECT_EQ(Answers()[0].framework_id(), framework_id_);
  EXPECT_TRUE(Answers()[0].accepted());
  EXPECT_EQ(Answers()[0].time(), 1'700'000'000);

  master_.Advance(absl::Seconds(10));
  sched::AnswerInverseOffersRequest request;
  request.add_inverse_offer_ids(Ask());
  request.add_inverse_offer_ids(id);
  request.mutable_filters()->mutable_refuse_duration()->set_seconds(60);
  const auto answer = master_.Call<sched::AnswerInverseOffersResponse>(stream_, request);
  ASSERT_EQ(answer->unknown_inverse_offer_ids_size(), 1);
  EXPECT_EQ(answer->unknown_inverse_offer_ids(0), id);
  told = master_.TakeAllocatorEvents();
  EXPECT_FALSE(told[0].inverse_offer_answered().accepted());
  EXPECT_EQ(told[0].inverse_offer_answered().refuse_duration().seconds(), 60);
  ASSERT_EQ(Answers().size(), 1);
  EXPECT_FALSE(Answers()[0].accepted()) << "the newest counts";
  EXPECT_EQ(Answers()[0].time(), 1'700'000'010);
  EXPECT_TRUE(Rescinded(stream_).empty());
  const MasterCounters& counters = master_.core().Metrics().counters;
  EXPECT_EQ(counters.inverse_offers_sent, 2u);
  EXPECT_EQ(counters.inverse_offers_accepted, 1u);
  EXPECT_EQ(counters.inverse_offers_declined, 1u);

  ops::TeardownFrameworkRequest teardown;
  teardown.set_framework_id(framework_id_);
  ASSERT_TRUE(master_.Operate<ops::TeardownFrameworkResponse>(teardown).ok());
  EXPECT_TRUE(Answers().empty());
}

TEST_F(InverseOffersTest, WrongAnswersChangeNothing) {
  const std::string id = Ask();
  sched::AnswerInverseOffersRequest request;
  request.add_inverse_offer_ids(id);
  request.mutable_filters()->mutable_refuse_duration()->set_seconds(-1);
  const absl::Status status =
      master_.Call<sched::AnswerInverseOffersResponse>(stream_, request).status();
  EXPECT_EQ(rpc::ReasonOf(status), pb::ErrorDetail::INVALID_FIELD);
  const StreamId other = master_.Subscribe(TestMaster::Info("other"));
  request.clear_filters();
  const auto answer = master_.Call<sched::AnswerInverseOffersResponse>(other, request);
  EXPECT_EQ(answer->unknown_inverse_offer_ids_size(), 1) << "it is another's";
  EXPECT_EQ(outstanding(), 1u);
  EXPECT_TRUE(Answers().empty());
}

TEST_F(InverseOffersTest, SilenceEndsIt) {
  const std::string id = Ask();
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(Rescinded(stream_).empty()) << "after " << i * 15 << " s";
    master_.Pong(agent_);
    master_.Advance(absl::Seconds(15));
  }
  EXPECT_EQ(Rescinded(stream_), std::vector<std::string>{id});
  EXPECT_EQ(TakeEnded(), 1);
  EXPECT_TRUE(Answers().empty());
  EXPECT_EQ(Answer(id, true)->unknown_inverse_offer_ids_size(), 1);
  EXPECT_NE(Ask(), id);
}

TEST_F(InverseOffersTest, AnotherTimeEndsItAndItsAnswers) {
  ASSERT_TRUE(Answer(Ask(), true).ok());
  const std::string id = Ask();
  Schedule(1'700'007'200);
  EXPECT_EQ(Rescinded(stream_), std::vector<std::string>{id});
  EXPECT_TRUE(Answers().empty());
  EXPECT_EQ(TakeEnded(), 1);
  Ask();
  EXPECT_EQ(Asked(stream_).back().unavailability().start().seconds(), 1'700'007'200);
  // Nobody is asked about a machine that stays up.
  ASSERT_TRUE(
      master_
          .Operate<ops::UpdateMaintenanceScheduleResponse>(ops::UpdateMaintenanceScheduleRequest())
          .ok());
  EXPECT_EQ(Rescinded(stream_).size(), 2u);
  const size_t asked = Asked(stream_).size();
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(stream_).size(), asked);
}

TEST_F(InverseOffersTest, ItEndsWithItsAgentsPartInOffers) {
  std::string id = Ask();
  ops::DeactivateAgentRequest deactivate;
  deactivate.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::DeactivateAgentResponse>(deactivate).ok());
  EXPECT_EQ(Rescinded(stream_).back(), id);
  EXPECT_EQ(TakeEnded(), 1);
  // What was on its way meanwhile is not sent, and not outstanding for ever.
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(stream_).size(), 1u);
  EXPECT_EQ(TakeEnded(), 1);
  ops::ReactivateAgentRequest reactivate;
  reactivate.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::ReactivateAgentResponse>(reactivate).ok());
  id = Ask();
  master_.CloseAgentStream(agent_);
  EXPECT_EQ(Rescinded(stream_).back(), id);
  agent_ = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {});
  id = Ask();
  ops::MarkAgentGoneRequest gone;
  gone.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(gone).ok());
  EXPECT_EQ(Rescinded(stream_).back(), id);
  EXPECT_EQ(outstanding(), 0u);
  TakeEnded();
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(stream_).size(), 3u);
  EXPECT_EQ(TakeEnded(), 0) << "it was forgotten with the agent";
}

TEST_F(InverseOffersTest, AnAgentThatComesBackKeepsItUnlessItsTimeIsAnother) {
  ops::UpdateMaintenanceScheduleRequest request;
  for (const auto& [hostname, ip] : {std::pair("host-1", ""), std::pair("", "10.0.0.9")}) {
    auto* window = request.add_windows();
    window->add_machines()->set_hostname(hostname);
    window->mutable_machines(0)->set_ip(ip);
    window->mutable_unavailability()->mutable_start()->set_seconds(1'700'003'600 -
                                                                   request.windows_size());
  }
  ASSERT_TRUE(master_.Operate<ops::UpdateMaintenanceScheduleResponse>(request).ok());
  const std::string id = Ask();
  TakeEnded();
  // A newer stream takes over. The allocator has the question for outstanding all the while.
  master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {});
  EXPECT_TRUE(Rescinded(stream_).empty());
  EXPECT_EQ(TakeEnded(), 0);
  EXPECT_EQ(outstanding(), 1u);
  pb::AgentInfo moved = TestMaster::AgentInfo("host-1");
  moved.set_address("10.0.0.9:5051");
  master_.Reregister(moved, agent_id_, {}, {});
  EXPECT_EQ(Rescinded(stream_), std::vector<std::string>{id});
  int updated = 0;
  int ended = 0;
  for (const alloc::ClusterEvent& event : master_.TakeAllocatorEvents()) {
    updated += event.has_unavailability_updated();
    ended += event.has_inverse_offer_ended();
  }
  EXPECT_EQ(updated, 1);
  EXPECT_EQ(ended, 1);
  Ask();
  EXPECT_EQ(Asked(stream_).back().unavailability().start().seconds(), 1'700'003'598);
}

TEST_F(InverseOffersTest, ItEndsWhenTheMachineGoesDown) {
  const std::string id = Ask();
  ops::StartMaintenanceRequest start;
  start.add_machines()->set_hostname("host-1");
  ASSERT_TRUE(master_.Operate<ops::StartMaintenanceResponse>(start).ok());
  EXPECT_EQ(Rescinded(stream_), std::vector<std::string>{id});
  EXPECT_EQ(outstanding(), 0u);
}

TEST_F(InverseOffersTest, OfAFrameworkThatIsAwayItIsDropped) {
  Ask();
  pb::FrameworkInfo info = TestMaster::Info("batch");
  info.set_id(framework_id_);
  // A fail-over: the newer subscription is asked anew.
  const StreamId newer = master_.Subscribe(info);
  EXPECT_EQ(TakeEnded(), 1);
  EXPECT_TRUE(Rescinded(stream_).empty());
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(newer).size(), 1u);
  master_.CloseFrameworkStream(newer);
  EXPECT_EQ(TakeEnded(), 1);
  EXPECT_EQ(outstanding(), 0u);
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(TakeEnded(), 1) << "it cannot be sent";
  const StreamId again = master_.Subscribe(info);
  master_.AllocateInverse(framework_id_, agent_id_);
  EXPECT_EQ(Asked(again).size(), 1u);
}

TEST_F(InverseOffersTest, TheyAreBounded) {
  MasterConfig config = TestMaster::Config();
  config.inverse_offers_max = 1;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  const StreamId one = master.Subscribe(TestMaster::Info("one"));
  const StreamId two = master.Subscribe(TestMaster::Info("two"));
  const std::string agent = master.AgentId(master.Register(TestMaster::AgentInfo("host-1")));
  ops::UpdateMaintenanceScheduleRequest request;
  request.add_windows()->add_machines()->set_hostname("host-1");
  request.mutable_windows(0)->mutable_unavailability()->mutable_start()->set_seconds(7);
  ASSERT_TRUE(master.Operate<ops::UpdateMaintenanceScheduleResponse>(request).ok());
  master.AllocateInverse(master.SessionOf(one).framework_id(), agent);
  master.TakeAllocatorEvents();
  master.AllocateInverse(master.SessionOf(two).framework_id(), agent);
  EXPECT_TRUE(master.Events(two, sched::Event::kInverseOffers).empty());
  EXPECT_TRUE(master.TakeAllocatorEvents().back().has_inverse_offer_ended());
}

TEST_F(InverseOffersTest, ChangesOfSharesLeaveItAlone) {
  Ask();
  ops::UpdateWeightsRequest weights;
  weights.add_weights()->set_role("work");
  weights.mutable_weights(0)->set_weight_milli(2500);
  ASSERT_TRUE(master_.Operate<ops::UpdateWeightsResponse>(weights).ok());
  EXPECT_TRUE(Rescinded(stream_).empty());
  EXPECT_EQ(outstanding(), 1u);
}

TEST(InverseOffersBoundTest, TheStatusOfMaintenanceHasSoManyAnswers) {
  MasterConfig config = TestMaster::Config();
  config.maintenance_answers_max = 1;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  ops::UpdateMaintenanceScheduleRequest schedule;
  auto* window = schedule.add_windows();
  window->mutable_unavailability()->mutable_start()->set_seconds(1'700'003'600);
  for (const char* host : {"host-1", "host-2"}) window->add_machines()->set_hostname(host);
  ASSERT_TRUE(master.Operate<ops::UpdateMaintenanceScheduleResponse>(schedule).ok());
  sched::AnswerInverseOffersRequest answer;
  answer.set_accept(true);
  for (const char* host : {"host-1", "host-2"}) {
    const AgentStreamId agent = master.Register(TestMaster::AgentInfo(host));
    master.AllocateInverse(master.SessionOf(stream).framework_id(), master.AgentId(agent));
    const auto asked = master.Events(stream, sched::Event::kInverseOffers);
    answer.add_inverse_offer_ids(asked.back().inverse_offers().inverse_offers(0).id());
  }
  ASSERT_TRUE(master.Call<sched::AnswerInverseOffersResponse>(stream, answer).ok());
  const auto status =
      master.Operate<ops::GetMaintenanceStatusResponse>(ops::GetMaintenanceStatusRequest());
  ASSERT_EQ(status->draining_size(), 2);
  EXPECT_EQ(status->draining(0).answers_size(), 1);
  EXPECT_EQ(status->draining(1).answers_size(), 0) << "the first machine's fill the answer";
}

}  // namespace
}  // namespace tessera::master
