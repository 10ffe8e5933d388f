#include "services/state/server/watched_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/random_changes.h"

namespace tessera::state {
namespace {

feed::LoggedDelta RandomDelta(base::Rng& rng, feed::FeedState* state, uint64_t version) {
  feed::FeedEffects effects;
  std::vector<feed::Change> changes;
  for (int i = 0; i < 10; ++i) changes.push_back(feed::RandomChange(rng));
  state->Publish(1, version == 1, feed::Delta{version, std::move(changes)}, &effects);
  state->Flush(&effects);
  return std::get<feed::StatePublished>(effects.back()).deltas.back();
}

TEST(WatchedBytesTest, MakesOnceForAFilterAndKeepsSoManyBytes) {
  base::Rng rng(3);
  feed::FeedState state;
  state.KeepScopes();
  WatchedBytes shared(64 << 10);
  const WatchFilter all;
  const WatchFilter one{"framework-2", ""};
  for (uint64_t version = 1; version <= 500; ++version) {
    const feed::LoggedDelta delta = RandomDelta(rng, &state, version);
    const feed::EncodedPtr first = shared.Of(delta, one);
    const size_t before = shared.bytes();
    EXPECT_EQ(shared.Of(delta, one), first);
    EXPECT_EQ(shared.bytes(), before);
    const feed::EncodedPtr everything = shared.Of(delta, all);
    ASSERT_NE(everything, nullptr);
    EXPECT_EQ(*everything, *FilterDelta(delta, all));
    EXPECT_LE(shared.bytes(), size_t{64} << 10);
  }
  EXPECT_GT(shared.bytes(), size_t{32} << 10);
}

}  // namespace
}  // namespace tessera::state
