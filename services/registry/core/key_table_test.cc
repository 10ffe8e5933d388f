#include "services/registry/core/key_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace tessera::registry {
namespace {

using State = std::map<std::string, std::string>;

std::shared_ptr<const Commit> MakeCommit(Version version, std::vector<Write> writes) {
  return std::make_shared<const Commit>(Commit{.version = version, .writes = std::move(writes)});
}

State ReadAll(const KeyTable& table, Version version, const std::vector<std::string>& prefixes,
              size_t page_size) {
  State state;
  std::string after;
  while (true) {
    const KeyTable::Page page = table.Read(version, prefixes, after, page_size, 1 << 20);
    for (const Record& record : page.records) {
      EXPECT_GT(record.key, after);
      after = record.key;
      state[record.key] = *record.value;
    }
    if (!page.more) return state;
  }
}

// Random commits; every version that the table still knows reads as it was.
TEST(KeyTableTest, EveryKnownVersionReadsAsItWas) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    KeyTable table({.commits_max = 30, .bytes_max = 1 << 20}, {});
    std::map<Version, State> states{{0, {}}};
    for (Version version = 1; version <= 200; ++version) {
      State state = states[version - 1];
      State changes;
      std::vector<Write> writes;
      for (int i = 0; i < 3; ++i) {
        const std::string key = (random() % 2 ? "a/" : "b/") + std::to_string(random() % 15);
        if (changes.contains(key)) continue;
        changes[key] = "";
        if (random() % 3 == 0) {
          state.erase(key);
          writes.push_back({key, nullptr});
        } else {
          state[key] = std::to_string(random());
          writes.push_back({key, MakeValue(state[key])});
        }
      }
      table.Apply(MakeCommit(version, writes));
      states[version] = state;

      size_t bytes = 0;
      for (const auto& [key, value] : state) bytes += key.size() + value.size();
      ASSERT_EQ(table.bytes(), bytes);
      ASSERT_EQ(table.size(), state.size());
      const Version then = version - random() % std::min<Version>(version + 1, 40);
      ASSERT_EQ(table.Knows(then), version - then <= 30) << version << " " << then;
      if (!table.Knows(then)) continue;
      ASSERT_EQ(ReadAll(table, then, {}, 1 + random() % 5), states[then]);
      for (const std::vector<std::string>& prefixes : {std::vector<std::string>{"a/"},
                                                       {"b/", "a/1"},
                                                       {"a/1", "a/", "a/3"},
                                                       {"b/7", "c", "0"}}) {
        State some;
        for (const auto& [key, value] : states[then]) {
          if (Matches(key, prefixes)) some[key] = value;
        }
        ASSERT_EQ(ReadAll(table, then, prefixes, 3), some);
      }
    }
  }
}

TEST(KeyTableTest, TheHistoryIsBoundedByBytesButKeepsTheNewest) {
  KeyTable table({.commits_max = 1000, .bytes_max = 100}, {});
  for (Version version = 1; version <= 10; ++version) {
    table.Apply(MakeCommit(version, {{"k", MakeValue(std::string(80, 'x'))}}));
    EXPECT_EQ(table.history_commits(), 1u);
  }
  EXPECT_TRUE(table.Knows(9));
  EXPECT_FALSE(table.Knows(8));
  EXPECT_FALSE(table.Knows(11));
  EXPECT_EQ(table.CommitsAfter(9).size(), 1u);
  EXPECT_TRUE(table.CommitsAfter(10).empty());
}

TEST(KeyTableTest, StartsFromWhatAStoreRecovered) {
  StoreContents contents;
  contents.version = 7;
  contents.records = {{"a", MakeValue("1"), 3}, {"b", MakeValue("2"), 7}};
  KeyTable table({}, contents);
  EXPECT_EQ(table.VersionOf("a"), 3u);
  EXPECT_EQ(table.VersionOf("b"), 7u);
  EXPECT_EQ(table.VersionOf("c"), 0u);
  EXPECT_FALSE(table.Knows(6));
  EXPECT_TRUE(table.Knows(7));
  EXPECT_EQ(ReadAll(table, 7, {}, 1), (State{{"a", "1"}, {"b", "2"}}));
}

TEST(KeyTableTest, APageIsCutByBytesButNeverEmpty) {
  KeyTable table({}, {});
  table.Apply(MakeCommit(
      1, {{"a", MakeValue(std::string(100, 'x'))}, {"b", MakeValue(std::string(100, 'x'))}}));
  const KeyTable::Page page = table.Read(1, {}, "", 10, 50);
  ASSERT_EQ(page.records.size(), 1u);
  EXPECT_TRUE(page.more);
  EXPECT_FALSE(table.Read(1, {}, "a", 10, 50).more);
}

}  // namespace
}  // namespace tessera::registry
