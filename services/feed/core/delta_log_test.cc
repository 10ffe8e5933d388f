#include "services/feed/core/delta_log.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::feed {
namespace {

TEST(DeltaLogTest, KeepsTheNewestWithinItsBound) {
  DeltaLog<std::string> log(100);
  log.StartAfter(7);
  EXPECT_TRUE(log.CanFollow(7));
  EXPECT_FALSE(log.CanFollow(6));
  EXPECT_FALSE(log.CanFollow(8));
  EXPECT_EQ(log.After(7), nullptr);
  for (int i = 8; i <= 20; ++i) log.Append(std::to_string(i), 30);
  EXPECT_EQ(log.newest(), 20u);
  EXPECT_EQ(log.bytes(), 90u);
  ASSERT_NE(log.After(17), nullptr);
  EXPECT_EQ(*log.After(17), "18");
  EXPECT_EQ(*log.After(19), "20");
  EXPECT_EQ(log.After(20), nullptr);
  EXPECT_TRUE(log.CanFollow(17));
  EXPECT_FALSE(log.CanFollow(16));
  EXPECT_EQ(log.After(16), nullptr);
  EXPECT_EQ(log.After(21), nullptr);
}

TEST(DeltaLogTest, ADeltaLargerThanTheBoundStaysWhileItIsTheNewest) {
  DeltaLog<std::string> log(100);
  log.Append("1", 1000);
  EXPECT_EQ(*log.After(0), "1");
  log.Append("2", 10);
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(*log.After(1), "2");
}

TEST(DeltaLogTest, StartsAnew) {
  DeltaLog<std::string> log(100);
  log.Append("1", 1);
  log.StartAfter(50);
  EXPECT_FALSE(log.CanFollow(0));
  EXPECT_EQ(log.bytes(), 0u);
  log.Append("51", 1);
  EXPECT_EQ(*log.After(50), "51");
}

}  // namespace
}  // namespace tessera::feed
