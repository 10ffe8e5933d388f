#include "services/feed/core/persistent_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "services/base/rng.h"

namespace tessera::feed {
namespace {

using Map = PersistentMap<int>;
using Model = std::map<std::string, int>;

Model Contents(const Map& map) {
  Model contents;
  map.ForEach([&](const Map::Entry& entry) { contents[entry.key] = entry.value; });
  return contents;
}

std::string Key(uint64_t number) { return "key-" + std::to_string(number); }

TEST(PersistentMapTest, IsEmptyAtFirst) {
  Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.size(), 0u);
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_EQ(map.Mutable("a"), nullptr);
  EXPECT_FALSE(map.Erase("a"));
  EXPECT_TRUE(map.ForEachAfter(nullptr, [](const auto&) { return true; }));
}

// Any sequence of writes gives what a plain map gives, and copies keep what they had.
TEST(PersistentMapTest, AgreesWithAPlainMapAndKeepsCopies) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    base::Rng rng(seed);
    const uint64_t keys = seed % 4 == 0 ? 5000 : 50 * seed;
    Map map;
    Model model;
    std::vector<std::pair<Map, Model>> copies;
    for (int step = 0; step < 4000; ++step) {
      const std::string key = Key(rng.Below(keys));
      // Phases of growth and of shrinking.
      if (rng.Chance((step / 1000) % 2 == 0 ? 0.7 : 0.2)) {
        map.Set(key, step);
        model[key] = step;
      } else if (rng.Chance(0.8)) {
        EXPECT_EQ(map.Erase(key), model.erase(key) > 0);
      } else if (int* value = map.Mutable(key)) {
        *value = -step;
        model.at(key) = -step;
      } else {
        EXPECT_EQ(model.count(key), 0u);
      }
      if (rng.Chance(0.01)) copies.emplace_back(map, model);
      if (step % 500 == 0) {
        ASSERT_TRUE(map.IsSound()) << "seed " << seed << " step " << step;
      }
    }
    ASSERT_TRUE(map.IsSound());
    EXPECT_EQ(map.size(), model.size());
    EXPECT_EQ(Contents(map), model) << "seed " << seed;
    for (const auto& [copy, then] : copies) {
      EXPECT_TRUE(copy.IsSound());
      ASSERT_EQ(Contents(copy), then) << "seed " << seed;
    }
  }
}

TEST(PersistentMapTest, ErasesAllInAnyOrder) {
  Map map;
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) {
    keys.push_back(Key(i));
    map.Set(keys.back(), i);
  }
  base::Rng(7).Shuffle(keys);
  for (const std::string& key : keys) ASSERT_TRUE(map.Erase(key));
  EXPECT_TRUE(map.empty());
}

TEST(PersistentMapTest, GoesOnAfterAKey) {
  Map map;
  for (int i = 0; i < 1000; ++i) map.Set(Key(i), i);
  // In pieces of seven, each after the last key of the one before; also after keys that are gone.
  std::vector<std::string> seen;
  std::string last;
  bool started = false;
  bool ended = false;
  while (!ended) {
    int in_piece = 0;
    ended = map.ForEachAfter(started ? &last : nullptr, [&](const Map::Entry& entry) {
      if (in_piece++ == 7) return false;
      seen.push_back(entry.key);
      return true;
    });
    started = true;
    last = seen.back();
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  const std::string between = "key-5000";
  map.ForEachAfter(&between, [&](const Map::Entry& entry) {
    EXPECT_EQ(entry.key, "key-501");
    return false;
  });
}

// A write between two copies renews one path; everything else is the same memory.
TEST(PersistentMapTest, SharesWhatDidNotChange) {
  Map map;
  for (int i = 0; i < 5000; ++i) map.Set(Key(i), i);
  const Map before = map;
  EXPECT_TRUE(before.SharesAllWith(map));
  *map.Mutable(Key(2500)) = -1;
  EXPECT_FALSE(before.SharesAllWith(map));
  std::vector<const Map::Leaf*> old_leaves;
  before.ForEachLeaf([&](const Map::Leaf& leaf) { old_leaves.push_back(&leaf); });
  size_t at = 0;
  size_t renewed = 0;
  map.ForEachLeaf([&](const Map::Leaf& leaf) { renewed += &leaf != old_leaves[at++]; });
  EXPECT_EQ(renewed, 1u);
  EXPECT_EQ(*before.Find(Key(2500)), 2500);
  for (int i = 0; i < 5000; ++i) {
    if (i == 2500) continue;
    EXPECT_EQ(before.Find(Key(i)), map.Find(Key(i)));
  }
}

// Renderings stay with what did not change, and go with what did, copied or in place.
TEST(PersistentMapTest, RenderingsGoWithEachChange) {
  Map map;
  for (int i = 0; i < 200; ++i) map.Set(Key(i), i);
  const auto rendering = std::make_shared<const Rendering>("text");
  const auto render_all = [&] {
    map.ForEachLeaf([&](const Map::Leaf& leaf) {
      leaf.renderings.Put(0, rendering);
      for (const auto& entry : leaf.entries) entry->renderings.Put(0, rendering);
    });
  };
  const auto count = [&](const Map& of) {
    size_t leaves = 0;
    size_t entries = 0;
    of.ForEachLeaf([&](const Map::Leaf& leaf) {
      leaves += leaf.renderings.Get(0) != nullptr;
      for (const auto& entry : leaf.entries) entries += entry->renderings.Get(0) != nullptr;
    });
    return std::make_pair(leaves, entries);
  };
  render_all();
  const auto [leaves, entries] = count(map);
  EXPECT_EQ(entries, 200u);
  const Map copy = map;
  *map.Mutable(Key(100)) = 0;
  EXPECT_EQ(count(map), std::make_pair(leaves - 1, size_t{199}));
  EXPECT_EQ(count(copy), std::make_pair(leaves, size_t{200}));
  render_all();
  *map.Mutable(Key(100)) = 1;  // nothing is shared on the path now: in place
  EXPECT_EQ(count(map), std::make_pair(leaves - 1, size_t{199}));
}

}  // namespace
}  // namespace tessera::feed
