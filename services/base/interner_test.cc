#include "services/base/interner.h"

#include <string>

#include "gtest/gtest.h"
#include "services/base/strong_id.h"

namespace tessera::base {
namespace {

using Id = StrongId<struct RoleTag, uint32_t>;

TEST(InternerTest, NumbersAreDenseAndStable) {
  Interner<Id> interner;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(interner.Intern("name-" + std::to_string(i)).value(), Id(i));
  }
  EXPECT_EQ(interner.Intern("name-7").value(), Id(7));
  EXPECT_EQ(interner.Find("name-999"), Id(999));
  EXPECT_EQ(interner.Find("other"), std::nullopt);
  EXPECT_EQ(interner.Name(Id(0)), "name-0");
  EXPECT_EQ(interner.size(), 1000u);
  EXPECT_EQ(interner.limit(), 1000u);
}

TEST(InternerTest, ReleasedNumbersComeBackOnlyWhenAsked) {
  Interner<Id> never(10, Reuse::kNever);
  never.Release(never.Intern("a").value());
  EXPECT_FALSE(never.Contains(Id(0)));
  EXPECT_EQ(never.Intern("a").value(), Id(1));

  Interner<Id> reusing(2, Reuse::kReleased);
  ASSERT_TRUE(reusing.Intern("a").ok());
  ASSERT_TRUE(reusing.Intern("b").ok());
  EXPECT_EQ(reusing.Intern("c").status().code(), absl::StatusCode::kResourceExhausted);
  reusing.Release(Id(0));
  EXPECT_EQ(reusing.Find("a"), std::nullopt);
  EXPECT_EQ(reusing.Intern("c").value(), Id(0));
  EXPECT_EQ(reusing.Name(Id(0)), "c");
  EXPECT_EQ(reusing.limit(), 2u);
}

TEST(InternerTest, ShortAndEmptyStringsSurviveGrowth) {
  Interner<Id> interner;
  ASSERT_TRUE(interner.Intern("").ok());
  ASSERT_TRUE(interner.Intern("x").ok());
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(interner.Intern(std::to_string(i)).ok());
  EXPECT_EQ(interner.Find(""), Id(0));
  EXPECT_EQ(interner.Find("x"), Id(1));
}

TEST(InternerTest, MisuseIsCounted) {
  SetBugsAreFatal(false);
  const int64_t before = BugCount();
  Interner<Id> interner;
  interner.Release(Id(5));
  EXPECT_EQ(interner.Name(Id()), "");
  EXPECT_EQ(BugCount(), before + 2);
}

}  // namespace
}  // namespace tessera::base
