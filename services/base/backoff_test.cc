#include "services/base/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tessera::base {
namespace {

TEST(BackoffTest, GrowsByTheFactorUpToTheBoundWithinItsJitter) {
  Rng random(1);
  Backoff backoff({.initial = absl::Milliseconds(100), .max = absl::Seconds(1), .factor = 2.0});
  absl::Duration base = absl::Milliseconds(100);
  for (int i = 0; i < 10; ++i) {
    const absl::Duration wait = backoff.Next(random);
    EXPECT_GE(wait, base / 2) << i;
    EXPECT_LE(wait, base) << i;
    base = std::min(base * 2, absl::Seconds(1));
  }
}

TEST(BackoffTest, AloneItWaitsWithoutJitter) {
  Backoff backoff({.initial = absl::Milliseconds(100), .max = absl::Milliseconds(500)});
  for (const int wait : {100, 200, 400, 500, 500}) {
    EXPECT_EQ(backoff.Next(), absl::Milliseconds(wait));
  }
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(100));
}

TEST(BackoffTest, WaitsAreTheSameOnEveryMachine) {
  Rng random(7);
  Backoff backoff({.initial = absl::Milliseconds(100), .max = absl::Seconds(1)});
  std::vector<int64_t> micros;
  for (int i = 0; i < 5; ++i) micros.push_back(absl::ToInt64Microseconds(backoff.Next(random)));
  EXPECT_EQ(micros, (std::vector<int64_t>{52768, 117211, 343515, 570883, 981829}));
}

TEST(BackoffTest, ASuccessStartsOver) {
  Rng random(2);
  Backoff backoff({.initial = absl::Milliseconds(10), .max = absl::Minutes(1), .factor = 10.0});
  for (int i = 0; i < 5; ++i) backoff.Next(random);
  backoff.Reset();
  EXPECT_LE(backoff.Next(random), absl::Milliseconds(10));
}

TEST(BackoffTest, ClientsSpreadOut) {
  Rng random(3);
  absl::Duration least = absl::InfiniteDuration(), most = absl::ZeroDuration();
  for (int client = 0; client < 1000; ++client) {
    Backoff backoff({.initial = absl::Seconds(1), .max = absl::Seconds(1)});
    const absl::Duration wait = backoff.Next(random);
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_LT(least, absl::Milliseconds(520));
  EXPECT_GT(most, absl::Milliseconds(980));
}

TEST(BackoffTest, AnInitialAboveTheBoundIsCut) {
  Rng random(4);
  Backoff backoff({.initial = absl::Seconds(60), .max = absl::Seconds(2)});
  EXPECT_LE(backoff.Next(random), absl::Seconds(2));
}

TEST(BackoffTest, TheSameSeedGivesTheSameWaits) {
  Rng one(5), two(5);
  Backoff a, b;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(a.Next(one), b.Next(two));
}

}  // namespace
}  // namespace tessera::base
