#include "services/base/bug.h"

#include "gtest/gtest.h"

namespace tessera::base {
namespace {

TEST(BugTest, CountsAndGoesOn) {
  SetBugsAreFatal(false);
  const int64_t before = BugCount();
  EXPECT_FALSE(TESSERA_BUG_IF(1 > 2, "not so"));
  EXPECT_EQ(BugCount(), before);
  EXPECT_TRUE(TESSERA_BUG_IF(2 > 1, "so"));
  TESSERA_BUG("always");
  EXPECT_EQ(BugCount(), before + 2);
}

TEST(BugDeathTest, AbortsWhenFatal) {
  EXPECT_DEATH(
      {
        SetBugsAreFatal(true);
        TESSERA_BUG("the end of it");
      },
      "the end of it");
}

}  // namespace
}  // namespace tessera::base
