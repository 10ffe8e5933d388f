#include "services/auth/caller.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "services/auth/request_id.h"

namespace tessera::auth {
namespace {

struct Asked {
  int call = 0;
  Caller caller;
};
struct Ticked {};
struct Stranger {};

static_assert(kCarriesCallers<std::variant<Asked, Ticked>, Ticked>);
// Neither a caller nor named as the process's own.
static_assert(!kCarriesCallers<std::variant<Asked, Ticked>>);
// Both.
static_assert(!kCarriesCallers<std::variant<Asked, Ticked>, Asked, Ticked>);
// Named, but no event.
static_assert(!kCarriesCallers<std::variant<Asked, Ticked>, Ticked, Stranger>);

TEST(CallerTest, OneThatNobodyFilledHasProvenNothing) {
  const Caller caller;
  EXPECT_FALSE(caller.authenticated());
  EXPECT_EQ(caller.principal(), "");
  EXPECT_EQ(caller.address(), "");
}

TEST(CallerTest, KeepsItsFactsWhenMovedFrom) {
  Caller caller(
      CallerFacts{.principal = "ops", .groups = {"admins"}, .proof = Proof::kCertificate});
  const Caller other = std::move(caller);
  EXPECT_EQ(other.principal(), "ops");
  EXPECT_EQ(caller.principal(), "ops");  // NOLINT: that is what is tested
  EXPECT_TRUE(other.authenticated());
}

TEST(RequestIdTest, TakesWhatIsSoundAndMakesTheRest) {
  RequestIds ids(7);
  EXPECT_EQ(ids.TakeOrMake("a.B_1:2-3"), "a.B_1:2-3");
  EXPECT_EQ(ids.TakeOrMake(std::string(64, 'x')), std::string(64, 'x'));
  std::set<std::string> made;
  for (const std::string& bad :
       {std::string(), std::string(65, 'x'), std::string("a b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string("\"")}) {
    EXPECT_FALSE(IsRequestId(bad));
    const std::string id = ids.TakeOrMake(bad);
    EXPECT_TRUE(IsRequestId(id)) << id;
    EXPECT_TRUE(made.insert(id).second) << id;
  }
  EXPECT_EQ(RequestIds(7).Next(), RequestIds(7).Next());
  EXPECT_NE(RequestIds(7).Next(), RequestIds(8).Next());
}

}  // namespace
}  // namespace tessera::auth
