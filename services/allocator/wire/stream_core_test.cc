#include "services/allocator/wire/stream_core.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

using model::v1::ErrorDetail;

class StreamCoreTest : public testing::Test {
 protected:
  // A request in the making; sequence numbers follow by themselves.
  struct Draft {
    v1::AllocateRequest request;
    v1::ClusterEvent* Event() { return request.add_events(); }
  };

  void Send(uint64_t stream, Draft draft, uint64_t epoch = 7) {
    if (stream != stream_) {
      stream_ = stream;
      sequence_ = 0;
    }
    draft.request.set_epoch(epoch);
    draft.request.set_sequence(++sequence_);
    Step(RequestArrived{stream, std::make_shared<v1::AllocateRequest>(std::move(draft.request))});
  }
  void Step(const StreamEvent& event) {
    std::vector<StreamEffect> effects;
    core_->Step(now_, event, &effects);
    for (StreamEffect& effect : effects) {
      if (auto* send = std::get_if<SendResponse>(&effect)) sent_.push_back(*send);
      if (auto* end = std::get_if<EndStream>(&effect)) ended_.push_back(*end);
    }
    if (core_->allocator() != nullptr) {
      EXPECT_TRUE(core_->allocator()->CheckInvariants().ok());
    }
  }
  void Advance(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (core_->NextDeadline() <= end) {
      now_ = std::max(now_, core_->NextDeadline());
      Step(StreamWake{});
    }
    now_ = end;
  }

  static void Resources(const char* text, const char* role,
                        google::protobuf::RepeatedPtrField<model::v1::Resource>* messages) {
    model::Resources resources = *model::ParseResources(text);
    if (*role != '\0') resources = resources.AllocatedCopy(role);
    model::wire::ToProto(resources, messages);
  }
  static void AddFramework(Draft* draft, const char* id, std::vector<const char*> roles) {
    auto* added = draft->Event()->mutable_framework_added();
    added->mutable_info()->set_id(id);
    added->set_active(true);
    for (const char* role : roles) added->mutable_info()->add_roles(role);
  }
  static v1::ClusterEvent::AgentAdded* AddAgent(Draft* draft, const char* id, const char* total) {
    auto* added = draft->Event()->mutable_agent_added();
    added->mutable_info()->set_id(id);
    added->mutable_info()->set_hostname(id);
    added->set_active(true);
    Resources(total, "", added->mutable_total());
    return added;
  }
  // A cluster of one framework and one agent.
  static Draft Snapshot() {
    Draft draft;
    AddFramework(&draft, "f", {"eng"});
    AddAgent(&draft, "a", "cpus:4;mem:1024;ports:[1-10];cpus(eng):1");
    draft.request.set_snapshot_complete(true);
    return draft;
  }
  void ExpectEnded(uint64_t stream, absl::StatusCode code, ErrorDetail::Reason reason) {
    ASSERT_FALSE(ended_.empty());
    EXPECT_EQ(ended_.back().stream, stream);
    EXPECT_EQ(ended_.back().status.code(), code) << ended_.back().status;
    EXPECT_EQ(rpc::ReasonOf(ended_.back().status), reason) << ended_.back().status;
  }
  // One more event after a snapshot must end the stream so.
  void ExpectRefused(const v1::ClusterEvent& event, absl::StatusCode code,
                     ErrorDetail::Reason reason) {
    const uint64_t stream = stream_ + 1;
    Send(stream, Snapshot());
    const size_t before = ended_.size();
    Draft draft;
    *draft.Event() = event;
    Send(stream, std::move(draft));
    ASSERT_EQ(ended_.size(), before + 1) << event.DebugString();
    ExpectEnded(stream, code, reason);
    EXPECT_EQ(core_->allocator(), nullptr);
  }

  std::unique_ptr<StreamCore> core_ = std::make_unique<StreamCore>(StreamCoreConfig{}, 1);
  absl::Time now_ = absl::UnixEpoch();
  std::vector<SendResponse> sent_;
  std::vector<EndStream> ended_;
  uint64_t stream_ = 0;
  uint64_t sequence_ = 0;
};

TEST_F(StreamCoreTest, SnapshotThenAllocations) {
  Draft first;
  AddFramework(&first, "f", {"eng"});
  Send(1, std::move(first));
  Advance(absl::Seconds(5));
  EXPECT_TRUE(sent_.empty());
  Draft second;
  AddAgent(&second, "a", "cpus:4;ports:[1-10];cpus(eng):1");
  second.request.set_snapshot_complete(true);
  Send(1, std::move(second));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  const v1::AllocateResponse& response = sent_[0].response;
  EXPECT_EQ(response.epoch(), 7u);
  EXPECT_EQ(response.through_sequence(), 2u);
  ASSERT_EQ(response.allocations_size(), 1);
  const v1::Allocation& allocation = response.allocations(0);
  EXPECT_EQ(allocation.framework_id(), "f");
  EXPECT_EQ(allocation.agent_id(), "a");
  EXPECT_EQ(allocation.role(), "eng");
  EXPECT_EQ(*model::wire::FromProto(allocation.resources()),
            model::ParseResources("cpus:4;ports:[1-10];cpus(eng):1")->AllocatedCopy("eng"));
}

TEST_F(StreamCoreTest, APingIsAnsweredWhateverIsAllocated) {
  for (const bool ping : {false, true}) {
    Draft draft;
    draft.request.set_ping(ping);
    Send(1, std::move(draft));
    EXPECT_EQ(sent_.size(), ping ? 1u : 0u);
  }
  EXPECT_EQ(sent_[0].stream, 1u);
  EXPECT_EQ(sent_[0].response.epoch(), 7u);
  EXPECT_EQ(sent_[0].response.through_sequence(), 2u);
}

TEST_F(StreamCoreTest, DeclinedResourcesComeBackToAnother) {
  Draft draft = Snapshot();
  draft.request.set_snapshot_complete(false);
  AddFramework(&draft, "g", {"eng"});
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  const v1::Allocation given = sent_[0].response.allocations(0);
  EXPECT_EQ(given.framework_id(), "f");
  Draft decline;
  auto* recovered = decline.Event()->mutable_recovered();
  recovered->set_framework_id(given.framework_id());
  recovered->set_agent_id(given.agent_id());
  *recovered->mutable_resources() = given.resources();
  recovered->mutable_refuse_duration()->set_seconds(5);
  Send(1, std::move(decline));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[1].response.allocations(0).framework_id(), "g");
  EXPECT_EQ(sent_[1].response.through_sequence(), 2u);
}

TEST_F(StreamCoreTest, HoldingsOfASnapshotAreNotOffered) {
  Draft draft;
  AddFramework(&draft, "f", {"eng"});
  auto* agent = AddAgent(&draft, "a", "cpus:4;ports:[1-10]");
  auto* holding = agent->add_holdings();
  holding->set_framework_id("f");
  Resources("cpus:3;ports:[1-4]", "eng", holding->mutable_resources());
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(*model::wire::FromProto(sent_[0].response.allocations(0).resources()),
            model::ParseResources("cpus:1;ports:[5-10]")->AllocatedCopy("eng"));
}

TEST_F(StreamCoreTest, LongBatchesAreCut) {
  Draft draft;
  AddFramework(&draft, "f", {"eng"});
  for (int i = 0; i < 2500; ++i) AddAgent(&draft, ("a" + std::to_string(i)).c_str(), "cpus:1");
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 3u);
  EXPECT_EQ(sent_[2].response.allocations_size(), 500);
}

TEST_F(StreamCoreTest, NewerStreamOfTheSameEpochTakesOver) {
  Send(1, Snapshot());
  Send(2, Snapshot());
  ExpectEnded(1, absl::StatusCode::kAborted, ErrorDetail::STALE_SUBSCRIPTION);
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].stream, 2u);
  // The end of the old one is no news.
  Step(StreamEnded{1});
  EXPECT_NE(core_->allocator(), nullptr);
  Step(StreamEnded{2});
  EXPECT_EQ(core_->allocator(), nullptr);
  EXPECT_EQ(core_->NextDeadline(), absl::InfiniteFuture());
}

TEST_F(StreamCoreTest, LowerEpochIsRefusedForEver) {
  Send(1, Snapshot(), 7);
  Send(2, Snapshot(), 9);
  ExpectEnded(1, absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH);
  Send(3, Snapshot(), 8);
  ExpectEnded(3, absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH);
  EXPECT_NE(core_->allocator(), nullptr);
  Step(StreamEnded{2});
  Send(4, Snapshot(), 8);
  ExpectEnded(4, absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH);
  EXPECT_EQ(core_->highest_epoch(), 9u);
}

TEST_F(StreamCoreTest, EpochZeroIsMalformed) {
  Send(1, Snapshot(), 0);
  ExpectEnded(1, absl::StatusCode::kInvalidArgument, ErrorDetail::INVALID_FIELD);
}

TEST_F(StreamCoreTest, GapInTheSequenceNeedsASnapshot) {
  Send(1, Snapshot());
  ++sequence_;
  Send(1, Draft());
  ExpectEnded(1, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);
  // What follows on the ended stream is not heard.
  Send(1, Draft());
  EXPECT_EQ(ended_.size(), 1u);
  Send(2, Snapshot());
  Advance(absl::Milliseconds(10));
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(StreamCoreTest, ReplayedRequestNeedsASnapshot) {
  Send(1, Snapshot());
  sequence_ = 0;
  Send(1, Snapshot());
  ExpectEnded(1, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);
}

TEST_F(StreamCoreTest, EpochOfAStreamDoesNotChange) {
  Send(1, Snapshot(), 7);
  Send(1, Draft(), 8);
  ExpectEnded(1, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);
}

TEST_F(StreamCoreTest, GarbageIsRefusedWithAReason) {
  const auto snapshot_required = [&](const v1::ClusterEvent& event) {
    ExpectRefused(event, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);
  };
  const auto invalid = [&](const v1::ClusterEvent& event) {
    ExpectRefused(event, absl::StatusCode::kInvalidArgument, ErrorDetail::INVALID_FIELD);
  };
  v1::ClusterEvent event;
  invalid(event);

  event.mutable_framework_removed()->set_framework_id("nobody");
  snapshot_required(event);
  event.mutable_revived()->set_framework_id("nobody");
  snapshot_required(event);
  event.mutable_agent_removed()->set_agent_id("nobody");
  snapshot_required(event);
  event.mutable_agent_updated()->mutable_info()->set_id("nobody");
  snapshot_required(event);

  Draft draft;
  AddAgent(&draft, "a", "cpus:1");  // known already
  snapshot_required(draft.request.events(0));
  draft = Draft();
  AddFramework(&draft, "f", {"eng"});  // known already
  snapshot_required(draft.request.events(0));
  draft = Draft();
  AddFramework(&draft, "g", {"bad//role"});
  invalid(draft.request.events(0));
  draft = Draft();
  AddFramework(&draft, "a/b", {"eng"});
  invalid(draft.request.events(0));
  draft = Draft();
  AddFramework(&draft, "g", {"eng"});
  draft.request.mutable_events(0)->mutable_framework_added()->add_suppressed_roles("other");
  invalid(draft.request.events(0));
  draft = Draft();
  AddAgent(&draft, "b", "cpus:1")->mutable_total(0)->mutable_scalar()->set_milli(-1);
  snapshot_required(draft.request.events(0));
  draft = Draft();
  AddAgent(&draft, "b", "ports:[5-9]")
      ->mutable_total(0)
      ->mutable_ranges()
      ->mutable_range(0)
      ->set_end(3);
  invalid(draft.request.events(0));
  draft = Draft();
  Resources("cpus:1", "", AddAgent(&draft, "b", "cpus:1")->add_holdings()->mutable_resources());
  invalid(draft.request.events(0));

  // More than is held.
  event = v1::ClusterEvent();
  event.mutable_recovered()->set_framework_id("f");
  event.mutable_recovered()->set_agent_id("a");
  Resources("cpus:400", "eng", event.mutable_recovered()->mutable_resources());
  Send(stream_ + 1, Snapshot());
  Advance(absl::Milliseconds(10));
  draft = Draft();
  *draft.Event() = event;
  Send(stream_, std::move(draft));
  ExpectEnded(stream_, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);

  event = v1::ClusterEvent();
  event.mutable_quota_set()->set_role("eng");
  (*event.mutable_quota_set()->mutable_limits()->mutable_amounts())["cpus"].set_milli(-5);
  invalid(event);
  event.mutable_whitelist_set()->set_all(true);
  event.mutable_whitelist_set()->add_hostnames("h");
  invalid(event);
}

TEST_F(StreamCoreTest, WhatIsBeyondTheBoundsIsCutWhereRefusingItWouldLastForEver) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Draft draft;
  auto* weight = draft.Event()->mutable_weight_set();
  weight->set_role("eng");
  weight->set_weight_milli(kMost);
  weight = draft.Event()->mutable_weight_set();
  weight->set_role("ops");
  weight->set_weight_milli(-5);
  auto* quota = draft.Event()->mutable_quota_set();
  quota->set_role("eng");
  (*quota->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(kMost);
  AddFramework(&draft, "f", {"eng"});
  AddFramework(&draft, "g", {"ops"});
  auto* agent = AddAgent(&draft, "a", "cpus:4;cpus(eng):4");
  for (auto& total : *agent->mutable_total()) total.mutable_scalar()->set_milli(kMost);
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  EXPECT_TRUE(ended_.empty()) << ended_.back().status;
  EXPECT_FALSE(sent_.empty());
}

TEST_F(StreamCoreTest, FrameworksAreAskedToLeaveAnAgent) {
  Send(1, Snapshot());
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  Draft draft;
  auto* updated = draft.Event()->mutable_unavailability_updated();
  updated->set_agent_id("a");
  updated->mutable_unavailability();
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 2u);
  ASSERT_EQ(sent_[1].response.inverse_allocations_size(), 1);
  EXPECT_EQ(sent_[1].response.inverse_allocations(0).framework_id(), "f");
  EXPECT_EQ(sent_[1].response.inverse_allocations(0).agent_id(), "a");
  // Answered: asked again. Ended without an answer: asked again, too.
  draft = Draft();
  draft.Event()->mutable_inverse_offer_answered()->set_framework_id("f");
  draft.request.mutable_events(0)->mutable_inverse_offer_answered()->set_agent_id("a");
  Send(1, std::move(draft));
  Advance(absl::Seconds(1));
  ASSERT_EQ(sent_.size(), 3u);
  draft = Draft();
  draft.Event()->mutable_inverse_offer_ended()->set_framework_id("f");
  draft.request.mutable_events(0)->mutable_inverse_offer_ended()->set_agent_id("a");
  Send(1, std::move(draft));
  Advance(absl::Seconds(1));
  ASSERT_EQ(sent_.size(), 4u);
  // No longer unavailable; and what is said of those who are gone is let pass.
  draft = Draft();
  draft.Event()->mutable_unavailability_updated()->set_agent_id("a");
  draft.Event()->mutable_inverse_offer_answered()->set_framework_id("gone");
  draft.Event()->mutable_inverse_offer_ended()->set_agent_id("gone");
  Send(1, std::move(draft));
  Advance(absl::Seconds(5));
  EXPECT_EQ(sent_.size(), 4u);
  EXPECT_TRUE(ended_.empty());
}

TEST_F(StreamCoreTest, OffersEndedMakeRoomBeneathTheCap) {
  StreamCoreConfig config;
  config.allocator.outstanding_offers_max = 1;
  core_ = std::make_unique<StreamCore>(config, 1);
  Draft snapshot = Snapshot();
  snapshot.request.mutable_events(0)->mutable_framework_added()->set_outstanding_offers(1);
  Send(1, std::move(snapshot));
  Advance(absl::Seconds(2));
  EXPECT_TRUE(sent_.empty());
  Draft draft;
  draft.Event()->mutable_offers_ended()->set_framework_id("f");
  draft.request.mutable_events(0)->mutable_offers_ended()->set_offers(1);
  draft.Event()->mutable_offers_ended()->set_framework_id("gone");
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  EXPECT_EQ(sent_.size(), 1u);
  EXPECT_TRUE(ended_.empty());
}

TEST_F(StreamCoreTest, NamesOfQuotasComeFirst) {
  // An agent has taken all numbers for names when a quota brings one of its own.
  Draft snapshot = Snapshot();
  snapshot.request.set_snapshot_complete(true);
  auto* odd = AddAgent(&snapshot, "odd", "cpus:2;mem:64");
  for (int i = 0; i < 40; ++i) {
    auto* resource = odd->add_total();
    resource->set_name("custom" + std::to_string(i));
    resource->mutable_scalar()->set_milli(1000);
  }
  v1::ClusterEvent quota;
  quota.mutable_quota_set()->set_role("eng");
  (*quota.mutable_quota_set()->mutable_limits()->mutable_amounts())["custom39"].set_milli(0);
  Send(1, snapshot);
  Draft late;
  *late.Event() = quota;
  Send(1, late);
  ExpectEnded(1, absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED);
  EXPECT_THAT(std::string(ended_.back().status.message()), testing::HasSubstr("custom39"));
  // In the next snapshot it comes first, and counts.
  Draft again;
  *again.Event() = quota;
  again.request.MergeFrom(snapshot.request);
  Send(2, std::move(again));
  Advance(absl::Milliseconds(10));
  EXPECT_EQ(ended_.size(), 1u);
  ASSERT_EQ(sent_.size(), 1u);
  int custom = 0;
  for (const auto& allocation : sent_[0].response.allocations()) {
    for (const auto& resource : allocation.resources()) {
      custom += resource.name().substr(0, 6) == "custom";
      EXPECT_NE(resource.name(), "custom39");
    }
  }
  EXPECT_EQ(custom, 39);
}

TEST_F(StreamCoreTest, AgentsOfOtherRegionsNeedTheCapability) {
  StreamCoreConfig config;
  config.region = "here";
  core_ = std::make_unique<StreamCore>(config, 1);
  Draft draft;
  AddFramework(&draft, "local", {"eng"});
  AddAgent(&draft, "without-domain", "cpus:1");
  AddAgent(&draft, "near", "cpus:1")->mutable_info()->mutable_domain()->set_region("here");
  AddAgent(&draft, "far", "cpus:1")->mutable_info()->mutable_domain()->set_region("there");
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Seconds(1));
  ASSERT_FALSE(sent_.empty());
  std::vector<std::string> agents;
  for (const SendResponse& sent : sent_) {
    for (const v1::Allocation& one : sent.response.allocations()) agents.push_back(one.agent_id());
  }
  EXPECT_THAT(agents, testing::UnorderedElementsAre("near", "without-domain"));
  sent_.clear();
  Draft another;
  AddFramework(&another, "wide", {"eng"});
  another.request.mutable_events(0)->mutable_framework_added()->mutable_info()->add_capabilities(
      model::v1::FrameworkInfo::REGION_AWARE);
  Send(1, std::move(another));
  Advance(absl::Seconds(1));
  ASSERT_EQ(sent_.size(), 1u);
  ASSERT_EQ(sent_[0].response.allocations_size(), 1);
  EXPECT_EQ(sent_[0].response.allocations(0).agent_id(), "far");
}

TEST_F(StreamCoreTest, DemandAndConstraintsOfASnapshot) {
  Draft draft;
  AddFramework(&draft, "f", {"eng", "ops"});
  auto* framework = draft.request.mutable_events(0)->mutable_framework_added();
  auto& by_role = *framework->mutable_offer_constraints()->mutable_by_role();
  for (const char* role : {"eng", "ops"}) {
    auto* constraint = by_role[role].add_groups()->add_constraints();
    constraint->set_attribute("rack");
    constraint->set_matches("r[12]");
  }
  auto* demand = draft.Event()->mutable_demand_stated();
  demand->set_framework_id("f");
  demand->set_role("ops");
  demand->mutable_wanted();  // nothing at all
  // A role that the framework has left meanwhile.
  demand = draft.Event()->mutable_demand_stated();
  demand->set_framework_id("f");
  demand->set_role("left");
  for (const char* rack : {"r1", "r2", "r3"}) {
    auto* attribute = AddAgent(&draft, rack, "cpus:1")->mutable_info()->add_attributes();
    attribute->set_name("rack");
    attribute->set_text(rack);
  }
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  EXPECT_TRUE(ended_.empty());
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  ASSERT_EQ(sent_[0].response.allocations_size(), 2);
  for (const auto& allocation : sent_[0].response.allocations()) {
    EXPECT_EQ(allocation.role(), "eng");
    EXPECT_NE(allocation.agent_id(), "r3");
  }
}

TEST_F(StreamCoreTest, WhatOneAgentOrFrameworkBringsDoesNotStopTheOthers) {
  Draft draft = Snapshot();
  draft.request.set_snapshot_complete(false);
  AddFramework(&draft, "bad", {"eng"});
  auto& by_role = *draft.request.mutable_events(2)
                       ->mutable_framework_added()
                       ->mutable_offer_constraints()
                       ->mutable_by_role();
  auto* constraint = by_role["eng"].add_groups()->add_constraints();
  constraint->set_attribute("rack");
  constraint->set_not_matches("(");
  auto* odd = AddAgent(&draft, "odd", "cpus:2;mem:64");
  for (int i = 0; i < 40; ++i) {
    auto* resource = odd->add_total();
    resource->set_name("custom" + std::to_string(i));
    resource->mutable_scalar()->set_milli(1000);
  }
  auto* volume = odd->add_total();
  volume->set_name("disk");
  volume->mutable_scalar()->set_milli(64'000);
  volume->set_shared(true);
  auto* reservation = volume->add_reservations();
  reservation->set_type(model::v1::Resource::Reservation::STATIC);
  reservation->set_role("eng");
  volume->mutable_disk()->mutable_persistence()->set_id("v");
  volume->mutable_disk()->set_container_path("data");
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  EXPECT_TRUE(ended_.empty()) << ended_.back().status;
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].response.allocations_size(), 2);
  for (const auto& allocation : sent_[0].response.allocations()) {
    EXPECT_EQ(allocation.framework_id(), "f");
  }
  // 16 names count, of which 4 are there anyway; the others are offered all the same.
  EXPECT_EQ(core_->words()->uncounted_names().size(), 40u - 12u);
  EXPECT_EQ(core_->resources_left_out(), 0u);
  int custom = 0;
  for (const auto& allocation : sent_[0].response.allocations()) {
    for (const auto& resource : allocation.resources()) {
      custom += resource.name().substr(0, 6) == "custom";
      // The framework cannot handle it.
      EXPECT_FALSE(resource.shared());
    }
  }
  EXPECT_EQ(custom, 40);
  EXPECT_EQ(core_->bad_expressions(), 1u);
}

TEST_F(StreamCoreTest, RecoveredForSomethingGoneIsLetPass) {
  Send(1, Snapshot());
  Draft draft;
  auto* recovered = draft.Event()->mutable_recovered();
  recovered->set_framework_id("gone");
  recovered->set_agent_id("gone");
  Resources("cpus:1", "eng", recovered->mutable_resources());
  Send(1, std::move(draft));
  EXPECT_TRUE(ended_.empty());
  EXPECT_EQ(core_->counters().stale_recoveries, 1u);
}

TEST_F(StreamCoreTest, LimitOfZeroIsALimit) {
  Draft draft;
  auto* quota = draft.Event()->mutable_quota_set();
  quota->set_role("eng");
  (*quota->mutable_limits()->mutable_amounts())["cpus"].set_milli(0);
  AddFramework(&draft, "f", {"eng"});
  AddAgent(&draft, "a", "cpus:4;mem:64");
  draft.request.set_snapshot_complete(true);
  Send(1, std::move(draft));
  Advance(absl::Milliseconds(10));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(*model::wire::FromProto(sent_[0].response.allocations(0).resources()),
            model::ParseResources("mem:64")->AllocatedCopy("eng"));
}

TEST_F(StreamCoreTest, CountersSurviveStreams) {
  Send(1, Snapshot());
  Advance(absl::Milliseconds(10));
  Send(2, Snapshot());
  Advance(absl::Milliseconds(10));
  EXPECT_EQ(core_->counters().allocations, 2u);
}

}  // namespace
}  // namespace tessera::allocator
