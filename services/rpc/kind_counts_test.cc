#include "services/rpc/kind_counts.h"

#include <gtest/gtest.h>

#include <variant>

namespace tessera::rpc {

struct Wake {};
struct LaunchContainer {};
namespace elsewhere {
struct Note2 {};
}  // namespace elsewhere

namespace {

struct OnlyHere {};

using Kind = std::variant<Wake, LaunchContainer, elsewhere::Note2, OnlyHere>;

TEST(KindCountsTest, NamesKindsAsMetricsAreWritten) {
  const std::vector<KindCount> read = KindCounts<Kind>().Read();
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0].kind, "wake");
  EXPECT_EQ(read[1].kind, "launch_container");
  EXPECT_EQ(read[2].kind, "note2");
  EXPECT_EQ(read[3].kind, "only_here");
}

TEST(KindCountsTest, CountsEachKindByItself) {
  KindCounts<Kind> counts;
  counts.Count(LaunchContainer{});
  counts.Count(OnlyHere{});
  counts.Count(LaunchContainer{});
  const std::vector<KindCount> read = counts.Read();
  EXPECT_EQ(read[0].count, 0u);
  EXPECT_EQ(read[1].count, 2u);
  EXPECT_EQ(read[2].count, 0u);
  EXPECT_EQ(read[3].count, 1u);
}

}  // namespace
}  // namespace tessera::rpc
