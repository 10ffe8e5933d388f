#include "services/state/core/state_core.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "services/rpc/error.h"

namespace tessera::state {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

feed::FeedPiece Part(uint64_t epoch, uint64_t version, bool first, bool last) {
  return {epoch, feed::SnapshotPart{version, first, last, {}}};
}

feed::FeedPiece Delta(uint64_t epoch, uint64_t version) {
  return {epoch, feed::Delta{version, {}}};
}

feed::FeedPiece Heartbeat(uint64_t epoch, uint64_t sequence,
                          absl::Duration age = absl::ZeroDuration(), uint32_t hops = 0) {
  return {epoch, feed::HeartbeatTold{sequence, age, hops}};
}

class StateCoreTest : public testing::Test {
 protected:
  StateCoreTest() : core_(StateConfig{.feeds = {"one:1", "two:2"}}) {}

  StateEffects Step(const StateEvent& event) {
    StateEffects effects;
    core_.Step(now_, event, &effects);
    return effects;
  }
  StateEffects Message(feed::FeedPiece piece) {
    return Step(FeedMessage{stream_, std::make_shared<feed::FeedPiece>(std::move(piece))});
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
    Message(Part(epoch, version, true, true));
    Message(Heartbeat(epoch, 1));
    ASSERT_TRUE(core_.following(now_));
  }

  StateCore core_;
  absl::Time now_ = kStart;
  uint64_t stream_ = 0;
};

TEST_F(StateCoreTest, PassesASnapshotAndItsDeltasOn) {
  const DialFeed dial = Dialled(Step(Started{}));
  EXPECT_EQ(dial.address, "one:1");
  EXPECT_EQ(dial.from_version, 0u);
  EXPECT_TRUE(Has<PublishPart>(Message(Part(3, 10, true, false))));
  EXPECT_FALSE(core_.whole());
  EXPECT_TRUE(Has<PublishPart>(Message(Part(3, 10, false, true))));
  EXPECT_TRUE(core_.whole());
  EXPECT_FALSE(core_.following(now_));  // nothing shows how new it is
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(3, 1))));
  EXPECT_TRUE(core_.following(now_));
  EXPECT_TRUE(Has<PublishDelta>(Message(Delta(3, 11))));
  EXPECT_TRUE(Message(Delta(3, 11)).empty());  // known already
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(3, 2))));
  EXPECT_EQ(core_.version(), 11u);
}

TEST_F(StateCoreTest, ResumesFromWhatItHolds) {
  Follow(3, 10);
  Message(Delta(3, 11));
  const StateEffects effects = Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  EXPECT_FALSE(Has<DialFeed>(effects));
  EXPECT_FALSE(core_.following(now_));
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
  Message(Part(1, 1, true, true));
  Message(Heartbeat(1, 1));
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
  const StateEffects effects = Message(Part(4, 99, true, true));
  EXPECT_TRUE(Has<CloseFeed>(effects));
  EXPECT_FALSE(Has<PublishPart>(effects));
  EXPECT_EQ(core_.epoch(), 5u);
  EXPECT_EQ(core_.counters().refused, 1u);
  // A new leader's snapshot is taken.
  Dialled(WaitAndWake());
  EXPECT_TRUE(Has<PublishPart>(Message(Part(6, 1, true, true))));
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
  Message(Part(4, 50, true, false));
  Step(FeedEnded{stream_, absl::UnavailableError("gone again")});
  const DialFeed dial = Dialled(WaitAndWake());
  EXPECT_EQ(dial.epoch, 3u);
  EXPECT_EQ(dial.from_version, 10u);
  // Its rest alone is refused.
  EXPECT_TRUE(Has<CloseFeed>(Message(Part(4, 50, false, true))));
}

TEST_F(StateCoreTest, DoesNotGoBackToASnapshotOfAFeedThatLags) {
  Follow(3, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  // Another state-svc, which has not caught up.
  const StateEffects effects = Message(Part(3, 9, true, true));
  EXPECT_TRUE(Has<CloseFeed>(effects));
  EXPECT_FALSE(Has<PublishPart>(effects));
  EXPECT_EQ(core_.version(), 10u);
  EXPECT_EQ(core_.counters().refused, 1u);
  // The rest of such a snapshot is of no use either.
  EXPECT_FALSE(Has<PublishPart>(Message(Part(3, 9, false, true))));
  // One that is not behind is taken, and so is an early version of a new epoch.
  Dialled(WaitAndWake());
  EXPECT_TRUE(Has<PublishPart>(Message(Part(3, 10, true, true))));
  EXPECT_TRUE(Has<PublishPart>(Message(Part(4, 1, true, true))));
  EXPECT_EQ(core_.epoch(), 4u);
  EXPECT_EQ(core_.version(), 1u);
}

TEST_F(StateCoreTest, GivesASilentFeedUp) {
  Follow(3, 10);
  now_ += absl::Seconds(15);
  Message(Heartbeat(3, 2));
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));
  EXPECT_TRUE(Has<CloseFeed>(WaitAndWake()));
  EXPECT_EQ(Dialled(WaitAndWake()).address, "two:2");
}

TEST_F(StateCoreTest, AHeartbeatAfterAResumeMeansThatNothingWasMissed) {
  Follow(3, 10);
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  EXPECT_FALSE(core_.following(now_));
  Message(Heartbeat(3, 2));
  EXPECT_TRUE(core_.following(now_));
}

TEST_F(StateCoreTest, AHeartbeatIsHandedOnOnceWithItsAgeAndOneHopMore) {
  Follow(3, 10);
  const absl::Time before = now_;
  now_ += absl::Seconds(7);
  const StateEffects effects = Message(Heartbeat(3, 2, absl::Seconds(4), 2));
  ASSERT_EQ(effects.size(), 1u);
  const feed::LeaderHeartbeat handed = std::get<PublishHeartbeat>(effects[0]).heartbeat;
  EXPECT_EQ(handed.epoch, 3u);
  EXPECT_EQ(handed.sequence, 2u);
  EXPECT_EQ(handed.made, before + absl::Seconds(3));
  EXPECT_EQ(handed.hops, 3u);
  EXPECT_EQ(core_.heartbeat().hops, 2u);
  // It comes back by a loop, or an older one by another way.
  now_ += absl::Seconds(1);
  EXPECT_TRUE(Message(Heartbeat(3, 2, absl::ZeroDuration(), 4)).empty());
  EXPECT_TRUE(Message(Heartbeat(3, 1)).empty());
  EXPECT_EQ(core_.heartbeat().made, handed.made);
}

// What keeps state-svcs that follow one another from believing themselves up to date for ever.
TEST_F(StateCoreTest, LeavesAFeedThatLivesAndHasNothingNewerOfTheMaster) {
  Follow(3, 10);
  const absl::Time end = now_ + absl::Seconds(20);
  for (int i = 0; i < 19; ++i) {
    now_ += absl::Seconds(1);
    EXPECT_TRUE(Message(Heartbeat(3, 1)).empty());
    EXPECT_TRUE(Message({.epoch = 3}).empty());
    EXPECT_TRUE(core_.following(now_));
  }
  EXPECT_EQ(core_.NextDeadline(), end);
  EXPECT_TRUE(Has<CloseFeed>(WaitAndWake()));
  EXPECT_FALSE(core_.following(now_));
  // The other one knows no more, and is left at once; waits between the tries grow.
  EXPECT_EQ(Dialled(WaitAndWake()).address, "two:2");
  EXPECT_TRUE(Has<CloseFeed>(Message(Heartbeat(3, 1, absl::Seconds(20)))));
  absl::Duration longest;
  for (int i = 0; i < 12; ++i) {
    Dialled(WaitAndWake());
    EXPECT_TRUE(Has<CloseFeed>(Message(Heartbeat(3, 1, absl::Seconds(20)))));
    longest = std::max(longest, core_.NextDeadline() - now_);
    EXPECT_FALSE(core_.following(now_));
  }
  EXPECT_GE(longest, absl::Seconds(1));
  // The master is back, and the next try is a quick one again.
  Dialled(WaitAndWake());
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(3, 2))));
  EXPECT_TRUE(core_.following(now_));
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  EXPECT_LE(core_.NextDeadline() - now_, absl::Milliseconds(100));
}

TEST_F(StateCoreTest, AStateThatIsOldIsShownButNotTakenForFresh) {
  Dialled(Step(Started{}));
  EXPECT_TRUE(Has<PublishPart>(Message(Part(3, 10, true, true))));
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(3, 8, absl::Hours(1)))));
  EXPECT_EQ(core_.heartbeat().made, now_ - absl::Hours(1));
  EXPECT_FALSE(core_.following(now_));
  // It has the usual time to show something newer.
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));
  EXPECT_TRUE(Has<CloseFeed>(WaitAndWake()));
}

TEST_F(StateCoreTest, CatchingUpIsProgress) {
  Follow(3, 10);
  for (uint64_t version = 11; version < 20; ++version) {
    now_ += absl::Seconds(15);
    EXPECT_TRUE(Has<PublishDelta>(Message(Delta(3, version))));
    EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));
  }
  // No heartbeat has come for long: the stream stays open, and does not count as up to date.
  EXPECT_TRUE(core_.whole());
  EXPECT_FALSE(core_.following(now_));
}

TEST_F(StateCoreTest, ANewLeadersHeartbeatsBeginAgain) {
  Follow(3, 10);
  Message(Heartbeat(3, 500));
  // Before its state, a heartbeat shows nothing.
  EXPECT_TRUE(Message(Heartbeat(4, 1)).empty());
  Message(Part(4, 1, true, false));
  EXPECT_TRUE(Message(Heartbeat(4, 1)).empty());
  Message(Part(4, 1, false, true));
  EXPECT_TRUE(Has<PublishHeartbeat>(Message(Heartbeat(4, 1))));
  EXPECT_EQ(core_.heartbeat().epoch, 4u);
}

// What a feed says in a format that is not known is refused at the edge, as any end of a stream.
TEST_F(StateCoreTest, AFeedOfANewerFormatIsLeftForTheNext) {
  Dialled(Step(Started{}));
  Step(FeedEnded{stream_, absl::FailedPreconditionError("the feed is of format 2")});
  EXPECT_EQ(Dialled(WaitAndWake()).address, "two:2");
}

TEST_F(StateCoreTest, IgnoresStreamsOfThePast) {
  Follow(3, 10);
  const uint64_t old = stream_;
  Step(FeedEnded{stream_, absl::UnavailableError("gone")});
  Dialled(WaitAndWake());
  EXPECT_TRUE(Step(FeedMessage{old, std::make_shared<feed::FeedPiece>(Delta(3, 11))}).empty());
  EXPECT_TRUE(Step(FeedEnded{old, absl::OkStatus()}).empty());
  EXPECT_EQ(core_.version(), 10u);
}

}  // namespace
}  // namespace tessera::state
