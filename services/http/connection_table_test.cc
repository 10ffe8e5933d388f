#include "services/http/connection_table.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/base/rng.h"

namespace tessera::http {
namespace {

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

TEST(ConnectionTableTest, TheOneThatWaitedLongestGivesWay) {
  ConnectionTable table({.connections_max = 3, .per_peer_max = 3});
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(table.Admit(i, "a", At(i)).admitted);
  table.Waits(1, At(4));  // it has just been answered
  const auto fourth = table.Admit(4, "b", At(5));
  EXPECT_TRUE(fourth.admitted);
  EXPECT_EQ(fourth.evicted, 2u);
  EXPECT_EQ(table.size(), 3u);
  table.Remove(2);  // says so itself when it is closed
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.Admit(5, "b", At(6)).evicted, 3u);
  EXPECT_EQ(table.Admit(6, "b", At(6)).evicted, 1u);
}

TEST(ConnectionTableTest, WhatIsBeingAnsweredStays) {
  ConnectionTable table({.connections_max = 2, .per_peer_max = 2});
  table.Admit(1, "a", At(1));
  table.Admit(2, "a", At(1));
  table.Works(1);
  table.Writes(2, At(10));
  EXPECT_FALSE(table.Admit(3, "b", At(10.5)).admitted);
  EXPECT_EQ(table.Stalled(At(10.5)), std::nullopt);
  EXPECT_EQ(table.size(), 2u);
  // Until its client has taken nothing for a second.
  EXPECT_EQ(table.Stalled(At(11)), 2u);
  const auto admission = table.Admit(4, "b", At(11));
  EXPECT_TRUE(admission.admitted);
  EXPECT_EQ(admission.evicted, 2u);
  EXPECT_FALSE(table.Admit(5, "b", At(1000)).evicted == 1u);
}

TEST(ConnectionTableTest, APeerFillsItsOwnShareOnly) {
  ConnectionTable table({.connections_max = 10, .per_peer_max = 2});
  table.Admit(1, "other", At(0));
  table.Admit(2, "greedy", At(1));
  table.Admit(3, "greedy", At(2));
  // Its own oldest goes, not the oldest of all.
  EXPECT_EQ(table.Admit(4, "greedy", At(3)).evicted, 2u);
  table.Works(3);
  table.Works(4);
  EXPECT_FALSE(table.Admit(5, "greedy", At(4)).admitted);
  EXPECT_TRUE(table.Admit(6, "other", At(4)).admitted);
}

TEST(ConnectionTableTest, UnknownIdsDoNothing) {
  ConnectionTable table({});
  table.Remove(7);
  table.Works(7);
  table.Waits(7, At(1));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.Stalled(At(1)), std::nullopt);
}

// Against a model that is too simple to be wrong.
TEST(ConnectionTableTest, KeepsItsBoundsOverRandomHistories) {
  struct Modelled {
    std::string peer;
    char state;
    absl::Time since;
  };
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    base::Rng rng(seed);
    ConnectionTable table({.connections_max = 8, .per_peer_max = 5});
    std::map<uint64_t, Modelled> model;
    double now = 0;
    for (uint64_t id = 1; id <= 400; ++id) {
      now += rng.Unit();
      const std::string peer = absl::StrCat("p", rng.Below(3));
      size_t of_peer = 0;
      for (const auto& [other, one] : model) of_peer += one.peer == peer;
      const bool peer_full = of_peer >= 5;
      std::optional<uint64_t> victim;
      if (peer_full || model.size() >= 8) {
        for (const char state : {'w', 's'}) {
          for (const auto& [other, one] : model) {
            if (one.state != state || (peer_full && one.peer != peer)) continue;
            if (state == 's' && At(now) - one.since < absl::Seconds(1)) continue;
            if (!victim || one.since < model.at(*victim).since) victim = other;
          }
          if (victim) break;
        }
      }
      const bool fits = victim.has_value() || (!peer_full && model.size() < 8);
      const auto admission = table.Admit(id, peer, At(now));
      ASSERT_EQ(admission.admitted, fits) << seed << " " << id;
      ASSERT_EQ(admission.evicted, victim) << seed << " " << id;
      if (victim) model.erase(*victim);
      if (fits) model[id] = {peer, 'w', At(now)};
      for (int i = 0; i < 2 && !model.empty(); ++i) {
        now += rng.Unit() / 4;
        auto chosen = std::next(model.begin(), rng.Below(model.size()));
        switch (rng.Below(4)) {
          case 0:
            table.Waits(chosen->first, At(now));
            chosen->second.state = 'w';
            break;
          case 1:
            table.Works(chosen->first);
            chosen->second.state = 'b';
            break;
          case 2:
            table.Writes(chosen->first, At(now));
            chosen->second.state = 's';
            break;
          default:
            table.Remove(chosen->first);
            model.erase(chosen);
            continue;
        }
        chosen->second.since = At(now);
      }
      ASSERT_EQ(table.size(), model.size());
    }
  }
}

}  // namespace
}  // namespace tessera::http
