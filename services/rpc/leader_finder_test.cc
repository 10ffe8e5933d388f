#include "services/rpc/leader_finder.h"

#include <gtest/gtest.h>

#include "services/rpc/error.h"

namespace tessera::rpc {
namespace {

TEST(LeaderFinderTest, GoesRoundTheSeeds) {
  LeaderFinder finder({"a:1", "b:1", "c:1"});
  EXPECT_EQ(finder.address(), "a:1");
  for (const char* next : {"b:1", "c:1", "a:1", "b:1"}) {
    EXPECT_FALSE(finder.Failed(absl::UnavailableError("down")));
    EXPECT_EQ(finder.address(), next);
  }
}

TEST(LeaderFinderTest, FollowsAHintAlsoOutsideTheSeeds) {
  LeaderFinder finder({"a:1", "b:1"});
  EXPECT_TRUE(finder.Failed(NotLeader("elsewhere:9")));
  EXPECT_EQ(finder.address(), "elsewhere:9");
  EXPECT_FALSE(finder.Failed(absl::UnavailableError("down")));
  EXPECT_EQ(finder.address(), "b:1");
}

TEST(LeaderFinderTest, TwoWhoBelieveInEachOtherDoNotTrapTheClient) {
  LeaderFinder finder({"a:1", "b:1", "c:1"});
  int followed = 0;
  while (finder.Failed(NotLeader(finder.address() == "a:1" ? "b:1" : "a:1"))) {
    ASSERT_LT(++followed, 10);
  }
  EXPECT_EQ(followed, 3);
}

TEST(LeaderFinderTest, SuccessForgetsTheHintsFollowed) {
  LeaderFinder finder({"a:1"});
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(finder.Failed(NotLeader(i % 2 == 0 ? "b:1" : "a:1")));
    finder.Succeeded();
  }
}

TEST(LeaderFinderTest, AHintToItselfOrToNobodyGoesToTheNextSeed) {
  LeaderFinder finder({"a:1", "b:1"});
  EXPECT_FALSE(finder.Failed(NotLeader("a:1")));
  EXPECT_EQ(finder.address(), "b:1");
  EXPECT_FALSE(finder.Failed(NotLeader("")));
  EXPECT_EQ(finder.address(), "a:1");
}

}  // namespace
}  // namespace tessera::rpc
