#include "services/base/strong_id.h"

#include <cstdint>
#include <map>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "absl/container/flat_hash_map.h"
#include "gtest/gtest.h"

namespace tessera::base {
namespace {

using Name = StrongId<struct NameTag>;
using OtherName = StrongId<struct OtherNameTag>;
using Index = StrongId<struct IndexTag, uint32_t>;

static_assert(!std::is_convertible_v<std::string, Name>);
static_assert(!std::is_convertible_v<Name, OtherName>);
static_assert(!std::is_constructible_v<Name, OtherName>);
static_assert(sizeof(Index) == sizeof(uint32_t));

TEST(StrongIdTest, DefaultIsInvalid) {
  EXPECT_FALSE(Name().valid());
  EXPECT_TRUE(Name("a").valid());
  EXPECT_FALSE(Index().valid());
  EXPECT_TRUE(Index(0).valid());
  EXPECT_EQ(Index(3).index(), 3u);
}

TEST(StrongIdTest, OrdersHashesAndPrints) {
  std::map<Name, int> ordered{{Name("b"), 2}, {Name("a"), 1}};
  EXPECT_EQ(ordered.begin()->first, Name("a"));
  EXPECT_LT(Index(1), Index(2));
  absl::flat_hash_map<Index, int> hashed{{Index(1), 1}};
  EXPECT_EQ(hashed.at(Index(1)), 1);
  std::unordered_set<Name> set{Name("a"), Name("a"), Name("b")};
  EXPECT_EQ(set.size(), 2u);
  std::ostringstream out;
  out << Name("a") << Index(4);
  EXPECT_EQ(out.str(), "a4");
}

}  // namespace
}  // namespace tessera::base
