#include "services/state/core/state_core.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "services/rpc/error.h"

namespace tessera::state {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

v1::FollowResponse Chunk(uint64_t epoch, uint64_t version, bool first, bool last) {
  v1::FollowResponse response;
  response.set_epoch(epoch);
  response.mutable_snapshot()->set_version(version);
  response.mutable_snapshot()->set_first(first);
  response.mutable_snapshot()->set_last(last);
  return response;
}

v1::FollowResponse Delta(uint64_t epoch, uint64_t version) {
  v1::FollowResponse response;
  response.set_epoch(epoch);
  response.mutable_delta()->set_version(version);
  return response;
}

v1::FollowResponse Heartbeat(uint64_t epoch) {
  v1::FollowResponse response;
  response.set_epoch(epoch);
  return response;
}

class StateCoreTest : public testing::Test {
 protected:
  StateCoreTest() : core_(StateConfig{.feeds = {"one:1", "two:2"}}) {}

  StateEffects Step(const StateEvent& event) {
    StateEffects effects;
    core_.Step(now_, event, &effects);
    return effects;
  }
  StateEffects Message(v1::FollowResponse message) {
    return Step(FeedMessage{stream_, std::make_shared<v1::FollowResponse>(std::move(message))});
  }
  StateEffects WaitAndWake() {
    now_ = core_.NextDeadline();
    return Step(Wake{});
  }

  // The only dial among the effects, whose stream is the current one from here on.
  DialFeed Dialled(const StateEffects& effects) {
    std::optional<DialFeed> dial;
    for (const StateEffect& effect : effects) {
      if (const auto* found = std::get_if<DialFeed>(&effect)) {
        EXPECT_FALSE(dial.has_value());
        dial = *found;
      }
    }
    EXPECT_TRUE(dial.has_value());
    if (!dial) return {};
    stream_ = dial->stream;
    return *dial;
  }
  template <typename Effect>
  static bool Has(const StateEffects& effects) {
    for (const StateEffect& effect : effects) {
      if (std::holds_alternative<Effect>(effect)) return true;
    }
    return false;
  }
  void Follow(uint64_t epoch, uint64_t version) {
    Dialled(Step(Started{}));
    Message(Chunk(epoch, version, true, true));
    ASSERT_TRUE(core_.following());
  }

  StateCore core_;
  absl::Time now_ = kStart;
  uint64_t stream_ = 0;
};

TEST_F(StateCoreTest, PassesASnapshotAndItsDeltasOn) {
  const DialFeed dial = Dialled(Step(Started{}));
  EXPECT_EQ(dial.address, "one:1");
  EXPECT_EQ(dial.from_version, 0u);
  EXPECT_TRUE(Has<PublishChunk>(Message(Chunk(3, 10, true, false))));
  EXPECT_FALSE(core_.following());
  EXPECT_TRUE(Has<PublishChunk>(Message(Chunk(3, 10, false, true))));
  EXPECT_TRUE(core_.following());
  EXPECT_TRUE(Has<PublishDelta>(Message(Delta(3, 11))));
  EXPECT_TRUE(Message(Delta(3, 11)).empty());  // known already
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(3))));
  EXPECT_EQ(core_.version(), 11u);
}

TEST_F(StateCoreTest, ResumesFromWhatItHolds) {
  Follow(3, 10);
  Message(Delta(3, 11));
  const StateEffects effects = Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  EXPECT_FALSE(Has<DialFeed>(effects));
  EXPECT_FALSE(core_.following());
  EXPECT_LE(core_.NextDeadline(), now_ + absl::Milliseconds(100));
  const DialFeed dial = Dialled(WaitAndWake());
  EXPECT_EQ(dial.address, "two:2");
  EXPECT_EQ(dial.epoch, 3u);
  EXPECT_EQ(dial.from_version, 11u);
  EXPECT_TRUE(Has<PublishDelta>(Message(Delta(3, 12))));
}

TEST_F(StateCoreTest, WaitsLongerAfterEachFailureAndShortAgainAfterASuccess) {
  Dialled(Step(Started{}));
  absl::Duration longest;
  for (int i = 0; i < 12; ++i) {
    Step(FeedEnded{stream_, absl::UnavailableError("refused")});
    const absl::Duration wait = core_.NextDeadline() - now_;
    EXPECT_LE(wait, absl::Seconds(2));
    longest = std::max(longest, wait);
    Dialled(WaitAndWake());
  }
  EXPECT_GE(longest, absl::Seconds(1));
  Message(Chunk(1, 1, true, true));
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  EXPECT_LE(core_.NextDeadline() - now_, absl::Milliseconds(100));
}

TEST_F(StateCoreTest, GoesToTheLeaderAtOnce) {
  Dialled(Step(Started{}));
  const DialFeed dial = Dialled(Step(FeedEnded{stream_, rpc::NotLeader("leader:9")}));
  EXPECT_EQ(dial.address, "leader:9");
}

TEST_F(StateCoreTest, RefusesAnEpochThatIsOver) {
  Follow(5, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  const StateEffects effects = Message(Chunk(4, 99, true, true));
  EXPECT_TRUE(Has<CloseFeed>(effects));
  EXPECT_FALSE(Has<PublishChunk>(effects));
  EXPECT_EQ(core_.epoch(), 5u);
  EXPECT_EQ(core_.counters().refused, 1u);
  // A new leader's snapshot is taken.
  Dialled(WaitAndWake());
  EXPECT_TRUE(Has<PublishChunk>(Message(Chunk(6, 1, true, true))));
  EXPECT_EQ(core_.epoch(), 6u);
}

TEST_F(StateCoreTest, AGapEndsTheStreamAndIsFilledByTheNext) {
  Follow(3, 10);
  const StateEffects effects = Message(Delta(3, 13));
  EXPECT_TRUE(Has<CloseFeed>(effects));
  EXPECT_FALSE(Has<PublishDelta>(effects));
  const DialFeed dial = Dialled(WaitAndWake());
  EXPECT_EQ(dial.from_version, 10u);
}

TEST_F(StateCoreTest, ADeltaOfAnotherEpochNeedsASnapshotFirst) {
  Follow(3, 10);
  EXPECT_TRUE(Has<CloseFeed>(Message(Delta(4, 11))));
}

TEST_F(StateCoreTest, AHalfSnapshotIsNotTakenForAState) {
  Follow(3, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  Message(Chunk(4, 50, true, false));
  Step(FeedEnded{stream_, absl::UnavailableError("gone again")});
  const DialFeed dial = Dialled(WaitAndWake());
  EXPECT_EQ(dial.epoch, 3u);
  EXPECT_EQ(dial.from_version, 10u);
  // Its rest alone is refused.
  EXPECT_TRUE(Has<CloseFeed>(Message(Chunk(4, 50, false, true))));
}

TEST_F(StateCoreTest, DoesNotGoBackToASnapshotOfAFeedThatLags) {
  Follow(3, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  // Another state-svc, which has not caught up.
  const StateEffects effects = Message(Chunk(3, 9, true, true));
  EXPECT_TRUE(Has<CloseFeed>(effects));
  EXPECT_FALSE(Has<PublishChunk>(effects));
  EXPECT_EQ(core_.version(), 10u);
  EXPECT_EQ(core_.counters().refused, 1u);
  // The rest of such a snapshot is of no use either.
  EXPECT_FALSE(Has<PublishChunk>(Message(Chunk(3, 9, false, true))));
  // One that is not behind is taken, and so is an early version of a new epoch.
  Dialled(WaitAndWake());
  EXPECT_TRUE(Has<PublishChunk>(Message(Chunk(3, 10, true, true))));
  EXPECT_TRUE(Has<PublishChunk>(Message(Chunk(4, 1, true, true))));
  EXPECT_EQ(core_.epoch(), 4u);
  EXPECT_EQ(core_.version(), 1u);
}

TEST_F(StateCoreTest, GivesASilentFeedUp) {
  Follow(3, 10);
  now_ += absl::Seconds(15);
  Message(Heartbeat(3));
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));
  EXPECT_TRUE(Has<CloseFeed>(WaitAndWake()));
  EXPECT_EQ(Dialled(WaitAndWake()).address, "two:2");
}

TEST_F(StateCoreTest, AHeartbeatAfterAResumeMeansThatNothingWasMissed) {
  Follow(3, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  EXPECT_FALSE(core_.following());
  Message(Heartbeat(3));
  EXPECT_TRUE(core_.following());
}

TEST_F(StateCoreTest, IgnoresStreamsOfThePast) {
  Follow(3, 10);
  const uint64_t old = stream_;
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  EXPECT_TRUE(Step(FeedMessage{old, std::make_shared<v1::FollowResponse>(Delta(3, 11))}).empty());
  EXPECT_TRUE(Step(FeedEnded{old, absl::OkStatus()}).empty());
  EXPECT_EQ(core_.version(), 10u);
}

}  // namespace
}  // namespace tessera::state
