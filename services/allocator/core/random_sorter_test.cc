#include "services/allocator/core/random_sorter.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

class Fixture {
 public:
  explicit Fixture(bool hierarchical = true) : sorter(hierarchical, &totals_) {}

  uint32_t Add(const std::string& path, bool active = true) {
    const uint32_t number = static_cast<uint32_t>(paths_.size());
    paths_.push_back(path);
    sorter.Add(number, path);
    if (active) sorter.Activate(number);
    return number;
  }
  std::string Draw() {
    std::string order;
    sorter.Visit(&random, [&](uint32_t client) {
      order += paths_[client] + " ";
      return true;
    });
    return order;
  }

 private:
  ClusterTotals totals_;
  std::vector<std::string> paths_;

 public:
  RandomSorter sorter;
  base::Rng random{20260101};
};

// Pearson's statistic of `draws` orders against the expected probabilities, which sum to 1.
double ChiSquare(Fixture& f, const std::map<std::string, double>& expected, int draws) {
  std::map<std::string, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[f.Draw()];
  double statistic = 0;
  for (const auto& [order, count] : counts) {
    if (expected.count(order) == 0) ADD_FAILURE() << "impossible order: " << order;
  }
  for (const auto& [order, probability] : expected) {
    const double mean = probability * draws;
    statistic += std::pow(counts[order] - mean, 2) / mean;
  }
  return statistic;
}

// Quantiles of chi-square at 0.999 by degrees of freedom.
constexpr double kChi5 = 20.52;

constexpr int kDraws = 60'000;

TEST(RandomSorter, RelativeWeightsAreFlattened) {
  Fixture f;
  f.sorter.SetWeight("a", 2 * kWeightOne);
  f.sorter.SetWeight("a/y", 3 * kWeightOne);
  const uint32_t x = f.Add("a/x");
  const uint32_t y = f.Add("a/y");
  const uint32_t b = f.Add("b");
  EXPECT_NEAR(f.sorter.RelativeWeight(x) / 1e9, 1.0 / 6, 1e-8);
  EXPECT_NEAR(f.sorter.RelativeWeight(y) / 1e9, 1.0 / 2, 1e-8);
  EXPECT_NEAR(f.sorter.RelativeWeight(b) / 1e9, 1.0 / 3, 1e-8);
  f.sorter.Deactivate(y);
  EXPECT_NEAR(f.sorter.RelativeWeight(x) / 1e9, 2.0 / 3, 1e-8);
  EXPECT_EQ(f.sorter.RelativeWeight(y), 0u);
  EXPECT_NEAR(f.sorter.RelativeWeight(b) / 1e9, 1.0 / 3, 1e-8);
  f.sorter.Activate(y);
  const uint32_t a = f.Add("a");
  EXPECT_NEAR(f.sorter.RelativeWeight(a) / 1e9, 2.0 / 15, 1e-8);
  EXPECT_NEAR(f.sorter.RelativeWeight(x) / 1e9, 2.0 / 15, 1e-8);
  EXPECT_NEAR(f.sorter.RelativeWeight(y) / 1e9, 2.0 / 5, 1e-8);
  EXPECT_NEAR(f.sorter.RelativeWeight(b) / 1e9, 1.0 / 3, 1e-8);
}

TEST(RandomSorter, PermutationsFollowTheFlattenedLaw) {
  Fixture f;
  f.sorter.SetWeight("a", 2 * kWeightOne);
  f.sorter.SetWeight("a/y", 3 * kWeightOne);
  f.Add("a/x");
  f.Add("a/y");
  f.Add("b");
  const double statistic = ChiSquare(f,
                                     {{"a/x a/y b ", 0.1},
                                      {"a/x b a/y ", 1.0 / 15},
                                      {"a/y a/x b ", 1.0 / 6},
                                      {"a/y b a/x ", 1.0 / 3},
                                      {"b a/x a/y ", 1.0 / 12},
                                      {"b a/y a/x ", 0.25}},
                                     kDraws);
  EXPECT_LT(statistic, kChi5);
}

TEST(RandomSorter, WeightsOneTwoFour) {
  Fixture f;
  f.sorter.SetWeight("q", 2 * kWeightOne);
  f.sorter.SetWeight("r", 4 * kWeightOne);
  f.Add("p");
  f.Add("q");
  f.Add("r");
  const double statistic = ChiSquare(f,
                                     {{"p q r ", 1.0 / 7 * 2 / 6},
                                      {"p r q ", 1.0 / 7 * 4 / 6},
                                      {"q p r ", 2.0 / 7 * 1 / 5},
                                      {"q r p ", 2.0 / 7 * 4 / 5},
                                      {"r p q ", 4.0 / 7 * 1 / 3},
                                      {"r q p ", 4.0 / 7 * 2 / 3}},
                                     kDraws);
  EXPECT_LT(statistic, kChi5);
}

TEST(RandomSorter, EqualWeightsAreUniform) {
  Fixture f(/*hierarchical=*/false);
  f.Add("p");
  f.Add("q");
  f.Add("r");
  const double statistic = ChiSquare(f,
                                     {{"p q r ", 1.0 / 6},
                                      {"p r q ", 1.0 / 6},
                                      {"q p r ", 1.0 / 6},
                                      {"q r p ", 1.0 / 6},
                                      {"r p q ", 1.0 / 6},
                                      {"r q p ", 1.0 / 6}},
                                     kDraws);
  EXPECT_LT(statistic, kChi5);
}

TEST(RandomSorter, FirstPlaceFollowsManyWeights) {
  Fixture f;
  const int n = 21;
  std::vector<int> first(n);
  for (int i = 0; i < n; ++i) {
    const std::string path = "r" + std::to_string(i);
    f.sorter.SetWeight(path, kWeightOne * (i + 1));
    f.Add(path);
  }
  for (int i = 0; i < kDraws; ++i) {
    f.sorter.Visit(&f.random, [&](uint32_t client) {
      ++first[client];
      return false;
    });
  }
  double statistic = 0;
  for (int i = 0; i < n; ++i) {
    const double mean = kDraws * (i + 1.0) / (n * (n + 1) / 2);
    statistic += std::pow(first[i] - mean, 2) / mean;
  }
  EXPECT_LT(statistic, 45.31);  // 20 degrees of freedom, 0.999
}

TEST(RandomSorter, InactiveAndRemovedClientsDoNotAppear) {
  Fixture f;
  const uint32_t gone = f.Add("a/gone");
  f.Add("a/idle", /*active=*/false);
  f.Add("a/busy");
  f.Add("b");
  f.Draw();
  f.sorter.Remove(gone);
  for (int i = 0; i < 100; ++i) {
    const std::string order = f.Draw();
    EXPECT_TRUE(order == "a/busy b " || order == "b a/busy ") << order;
  }
}

TEST(RandomSorter, TheLawIsThatOfThoseThatAreLeft) {
  Fixture f;
  f.sorter.SetWeight("a", 2 * kWeightOne);
  f.sorter.SetWeight("d", 7 * kWeightOne);
  f.Add("a");
  f.Add("b");
  f.Add("c");
  const uint32_t gone = f.Add("d");
  const uint32_t away = f.Add("e");
  f.Draw();
  f.sorter.Remove(gone);
  f.sorter.Deactivate(away);
  // First by 2 : 1 : 1, then by what is left.
  const std::map<std::string, double> expected = {{"a b c ", 0.25},    {"a c b ", 0.25},
                                                  {"b a c ", 1.0 / 6}, {"b c a ", 1.0 / 12},
                                                  {"c a b ", 1.0 / 6}, {"c b a ", 1.0 / 12}};
  EXPECT_LT(ChiSquare(f, expected, kDraws), kChi5);
}

// The lightest of a hundred has the first place with a probability of 1/1090; that it goes without
// for 20,000 visits has one of 10^-8.
TEST(RandomSorter, EverybodyIsFirstAtSomeTime) {
  Fixture f;
  std::map<uint32_t, int> last;
  for (int i = 0; i < 100; ++i) {
    const std::string path = "r" + std::to_string(i);
    if (i > 0) f.sorter.SetWeight(path, 11 * kWeightOne);
    last[f.Add(path)] = 0;
  }
  constexpr int kVisits = 100'000;
  constexpr int kLongest = 20'000;
  for (int visit = 1; visit <= kVisits; ++visit) {
    f.sorter.Visit(&f.random, [&](uint32_t client) {
      EXPECT_LE(visit - last[client], kLongest) << "client " << client;
      last[client] = visit;
      return false;
    });
  }
  for (const auto& [client, visit] : last) EXPECT_GT(visit, kVisits - kLongest);
}

TEST(RandomSorter, InteriorWeightCountsAtTheNextVisit) {
  Fixture f;
  const uint32_t x = f.Add("eng/x");
  f.Add("ops");
  EXPECT_NEAR(f.sorter.RelativeWeight(x) / 1e9, 0.5, 1e-8);
  f.sorter.SetWeight("eng", 3 * kWeightOne);
  EXPECT_NEAR(f.sorter.RelativeWeight(x) / 1e9, 0.75, 1e-8);
}

TEST(RandomSorter, DeepTreeKeepsEveryoneReachable) {
  Fixture f;
  std::string path = "d";
  f.Add(path);
  for (int depth = 0; depth < 100; ++depth) f.Add(path += "/d");
  for (int i = 0; i < 20; ++i) {
    int visited = 0;
    f.sorter.Visit(&f.random, [&](uint32_t) { return ++visited, true; });
    EXPECT_EQ(visited, 101);
  }
}

TEST(RandomSorter, SameSeedSameOrders) {
  Fixture f;
  Fixture g;
  for (Fixture* one : {&f, &g}) {
    one->sorter.SetWeight("b", 5 * kWeightOne);
    one->Add("a");
    one->Add("b");
    one->Add("c/d");
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(f.Draw(), g.Draw());
}

TEST(RandomSorter, AccountsAreKept) {
  Fixture f;
  const uint32_t a = f.Add("a");
  Amounts amounts;
  amounts[kCpus] = 500;
  f.sorter.Allocated(a, amounts);
  EXPECT_EQ(f.sorter.AllocationOf(a), amounts);
  f.sorter.Unallocated(a, amounts);
  EXPECT_TRUE(f.sorter.AllocationOf(a).IsZero());
}

}  // namespace
}  // namespace tessera::allocator
