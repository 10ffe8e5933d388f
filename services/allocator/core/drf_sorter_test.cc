#include "services/allocator/core/drf_sorter.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

Amounts CpusMem(int64_t cpus, int64_t mem) {
  Amounts amounts;
  amounts[kCpus] = cpus * 1000;
  amounts[kMem] = mem * 1000;
  return amounts;
}

// Clients are numbered as they come; orders are told by path.
class Fixture {
 public:
  explicit Fixture(bool hierarchical = true) : sorter_(hierarchical, &totals) {}

  void Add(const std::string& path, bool active = true) {
    const uint32_t number = static_cast<uint32_t>(paths_.size());
    paths_.push_back(path);
    sorter_.Add(number, path);
    if (active) sorter_.Activate(number);
  }
  uint32_t Number(const std::string& path) const {
    return static_cast<uint32_t>(std::find(paths_.begin(), paths_.end(), path) - paths_.begin());
  }
  void Allocate(const std::string& path, const Amounts& amounts) {
    sorter_.Allocated(Number(path), amounts);
  }
  std::vector<std::string> Order() {
    std::vector<std::string> order;
    sorter_.Visit(nullptr, [&](uint32_t client) {
      order.push_back(paths_[client]);
      return true;
    });
    return order;
  }
  void Grow(const Amounts& amounts) {
    totals.total += amounts;
    ++totals.version;
  }
  DrfSorter& sorter() { return sorter_; }

  ClusterTotals totals;

 private:
  std::vector<std::string> paths_;
  DrfSorter sorter_;
};

using Paths = std::vector<std::string>;

TEST(DrfSorter, OrdersBySharesThenCountThenPath) {
  Fixture f;
  f.Grow(CpusMem(100, 100));
  f.Add("c");
  f.Add("a");
  f.Add("b");
  EXPECT_EQ(f.Order(), (Paths{"a", "b", "c"}));
  f.Allocate("a", CpusMem(5, 1));
  EXPECT_EQ(f.Order(), (Paths{"b", "c", "a"}));
  f.Allocate("b", CpusMem(1, 6));  // dominant: mem
  EXPECT_EQ(f.Order(), (Paths{"c", "a", "b"}));
  // Equal shares: fewer choices first.
  f.Allocate("c", CpusMem(2, 0));
  f.Allocate("c", CpusMem(3, 0));
  EXPECT_EQ(f.Order(), (Paths{"a", "c", "b"}));
  // The number of choices stays when resources come back.
  f.sorter().Unallocated(f.Number("c"), CpusMem(5, 0));
  f.sorter().Unallocated(f.Number("a"), CpusMem(5, 1));
  EXPECT_EQ(f.Order(), (Paths{"a", "c", "b"}));
}

TEST(DrfSorter, ChargesMoveNodesWithoutResorting) {
  Fixture f(/*hierarchical=*/false);
  f.Grow(CpusMem(1000, 1000));
  for (int i = 0; i < 50; ++i) f.Add("f" + std::to_string(i));
  f.Order();
  const uint64_t rebuilt = f.sorter().orders_rebuilt();
  for (int i = 0; i < 200; ++i) {
    const std::string first = f.Order()[0];
    f.Allocate(first, CpusMem(1 + i % 3, 1));
  }
  EXPECT_EQ(f.sorter().orders_rebuilt(), rebuilt);
  f.Grow(CpusMem(1, 1));
  f.Order();
  EXPECT_EQ(f.sorter().orders_rebuilt(), rebuilt + 1);
}

// Whatever happens to a sorter, its order is that of a new one with the same accounts.
TEST(DrfSorter, IncrementalOrderEqualsSorting) {
  base::Rng random(7);
  for (int round = 0; round < 30; ++round) {
    ClusterTotals totals;
    totals.total = CpusMem(500, 700);
    DrfSorter sorter(/*hierarchical=*/false, &totals);
    struct Account {
      Amounts held;
      uint64_t chosen = 0;
      bool active = false;
      int64_t weight = kWeightOne;
    };
    std::map<uint32_t, Account> accounts;
    const auto path = [](uint32_t client) { return "f" + std::to_string(client); };
    for (int step = 0; step < 300; ++step) {
      const uint32_t client = static_cast<uint32_t>(random.Below(12));
      auto account = accounts.find(client);
      switch (random.Below(7)) {
        case 0:
          if (account == accounts.end()) {
            sorter.Add(client, path(client));
            // Weights are remembered by path.
            Account fresh;
            accounts[client] = fresh;
            sorter.SetWeight(path(client), kWeightOne);
          }
          break;
        case 1:
          if (account != accounts.end() && random.Below(4) == 0) {
            sorter.Remove(client);
            accounts.erase(account);
          }
          break;
        case 2:
          if (account != accounts.end()) {
            account->second.active = random.Below(4) != 0;
            account->second.active ? sorter.Activate(client) : sorter.Deactivate(client);
          }
          break;
        case 3:
          if (random.Below(10) == 0) {
            totals.total += CpusMem(random.Below(50), random.Below(50));
            ++totals.version;
          } else if (account != accounts.end() && random.Below(5) == 0) {
            account->second.weight = kWeightOne * (1 + random.Below(4));
            sorter.SetWeight(path(client), account->second.weight);
          }
          break;
        case 4:
          if (account != accounts.end() && !account->second.held.IsZero()) {
            sorter.Unallocated(client, account->second.held);
            account->second.held = Amounts();
          }
          break;
        default:
          if (account != accounts.end()) {
            const Amounts amounts = CpusMem(random.Below(4), random.Below(4));
            sorter.Allocated(client, amounts);
            account->second.held += amounts;
            ++account->second.chosen;
          }
      }
      std::vector<uint32_t> expected;
      for (const auto& [number, one] : accounts) {
        if (one.active) expected.push_back(number);
      }
      // Shares are compared by cross-multiplication here: exact and slow.
      const auto numerator = [&](const Account& one) {
        return std::max<__int128>(__int128{one.held[kCpus]} * totals.total[kMem],
                                  __int128{one.held[kMem]} * totals.total[kCpus]);
      };
      std::sort(expected.begin(), expected.end(), [&](uint32_t left, uint32_t right) {
        const Account& l = accounts[left];
        const Account& r = accounts[right];
        const __int128 ls = numerator(l) * r.weight;
        const __int128 rs = numerator(r) * l.weight;
        if (ls != rs) return ls < rs;
        if (l.chosen != r.chosen) return l.chosen < r.chosen;
        return path(left) < path(right);
      });
      std::vector<uint32_t> got;
      sorter.Visit(nullptr, [&](uint32_t visited) {
        got.push_back(visited);
        return true;
      });
      ASSERT_EQ(got, expected) << "round " << round << " step " << step;
    }
  }
}

// Long orders live in many chunks; paths come in no order, so that ranks run out and are spread
// anew.
TEST(DrfSorter, ManyClientsStayInOrder) {
  base::Rng random(11);
  ClusterTotals totals;
  totals.total = CpusMem(100'000, 0);
  DrfSorter sorter(/*hierarchical=*/false, &totals);
  constexpr uint32_t kClients = 1500;
  std::vector<std::pair<int64_t, uint64_t>> accounts(kClients);
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < kClients; ++i) {
    // Each new path lies between the two before it, for a while.
    paths.push_back(i < 200 ? "m" + std::string(i, i % 2 == 0 ? 'b' : 'y') + "x"
                            : "f" + std::to_string(random.Next()));
    sorter.Add(i, paths.back());
    sorter.Activate(i);
  }
  for (int step = 0; step < 4000; ++step) {
    const uint32_t client = static_cast<uint32_t>(random.Below(kClients));
    const int64_t cpus = static_cast<int64_t>(random.Below(3));
    sorter.Allocated(client, CpusMem(cpus, 0));
    accounts[client].first += cpus;
    ++accounts[client].second;
    if (step % 200 != 0) continue;
    std::vector<uint32_t> expected(kClients);
    for (uint32_t i = 0; i < kClients; ++i) expected[i] = i;
    std::sort(expected.begin(), expected.end(), [&](uint32_t left, uint32_t right) {
      return std::tie(accounts[left].first, accounts[left].second, paths[left]) <
             std::tie(accounts[right].first, accounts[right].second, paths[right]);
    });
    std::vector<uint32_t> got;
    sorter.Visit(nullptr, [&](uint32_t visited) {
      got.push_back(visited);
      return true;
    });
    ASSERT_EQ(got, expected) << "step " << step;
  }
}

// Paths that each come just before the last leave no room between ranks sooner or later.
TEST(DrfSorter, RanksAreSpreadAnewWhenTheyRunOut) {
  Fixture f(/*hierarchical=*/false);
  f.Grow(CpusMem(100, 0));
  std::vector<std::string> expected;
  for (int i = 199; i >= 0; --i) {
    const std::string path = "f" + std::to_string(1000 + i);
    f.Add(path);
    expected.insert(expected.begin(), path);
    ASSERT_EQ(f.Order(), expected);
  }
}

TEST(DrfSorter, WeightsDivideShares) {
  // Twelve single cpus, weights 1 and 2.
  Fixture f;
  f.Grow(CpusMem(12, 0));
  f.sorter().SetWeight("B", 2 * kWeightOne);
  f.Add("A");
  f.Add("B");
  std::string received;
  for (int i = 0; i < 12; ++i) {
    const std::string first = f.Order()[0];
    received += first;
    f.Allocate(first, CpusMem(1, 0));
  }
  EXPECT_EQ(received, "ABBABBABBABB");
}

TEST(DrfSorter, EqualFractionsAreEqualWhateverTheWeights) {
  Fixture f;
  f.Grow(CpusMem(36, 0));
  f.sorter().SetWeight("a", 3 * kWeightOne);
  f.Add("a");
  f.Add("b");
  f.Allocate("a", CpusMem(3, 0));  // (3/36)/3
  f.Allocate("b", CpusMem(1, 0));  // 1/36
  EXPECT_EQ(f.Order(), (Paths{"a", "b"}));
  f.Allocate("a", Amounts());  // chosen once more: loses the tie
  EXPECT_EQ(f.Order(), (Paths{"b", "a"}));
}

TEST(DrfSorter, WeightOfInteriorNodeCountsAtOnce) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.Add("eng/x");
  f.Add("ops");
  f.Allocate("eng/x", CpusMem(4, 0));
  f.Allocate("ops", CpusMem(3, 0));
  EXPECT_EQ(f.Order(), (Paths{"ops", "eng/x"}));
  f.sorter().SetWeight("eng", 2 * kWeightOne);
  EXPECT_EQ(f.Order(), (Paths{"eng/x", "ops"}));
}

TEST(DrfSorter, WeightIsRememberedForLaterPaths) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.sorter().SetWeight("late", 10 * kWeightOne);
  f.Add("early");
  f.Add("late");
  f.Allocate("early", CpusMem(1, 0));
  f.Allocate("late", CpusMem(5, 0));
  EXPECT_EQ(f.Order(), (Paths{"late", "early"}));
}

TEST(DrfSorter, SubtreeSharesComeFirst) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.Add("a/x");
  f.Add("a/y");
  f.Add("b");
  f.Allocate("a/x", CpusMem(10, 0));
  f.Allocate("b", CpusMem(5, 0));
  // `a` as a whole has more than `b`, although a/y has nothing.
  EXPECT_EQ(f.Order(), (Paths{"b", "a/y", "a/x"}));
}

TEST(DrfSorter, ClientWithDescendantsIsVirtualLeafOfWeightOne) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.sorter().SetWeight("a", 5 * kWeightOne);
  f.Add("a");
  f.Allocate("a", CpusMem(10, 0));
  f.Add("a/b");
  EXPECT_EQ(f.Order(), (Paths{"a/b", "a"}));
  f.Allocate("a/b", CpusMem(11, 0));
  // Inside `a` the client `a` competes with weight 1, not 5.
  EXPECT_EQ(f.Order(), (Paths{"a", "a/b"}));
  f.Allocate("a", CpusMem(2, 0));
  EXPECT_EQ(f.Order(), (Paths{"a/b", "a"}));
  EXPECT_EQ(f.sorter().DominantShare(f.Number("a")), 230'000'000u);
  EXPECT_EQ(f.sorter().AllocationOf(f.Number("a")), CpusMem(12, 0));
  // The last child goes: `a` is a leaf again and keeps what is its own.
  f.sorter().Remove(f.Number("a/b"));
  EXPECT_EQ(f.Order(), (Paths{"a"}));
  EXPECT_EQ(f.sorter().DominantShare(f.Number("a")), 120'000'000u);
}

TEST(DrfSorter, ParentClientGoesBeforeItsChildren) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.Add("a/b");
  f.Add("a");
  f.Add("c");
  f.Allocate("a", CpusMem(3, 0));
  f.Allocate("c", CpusMem(1, 0));
  EXPECT_EQ(f.Order(), (Paths{"c", "a/b", "a"}));
  f.sorter().Remove(f.Number("a"));
  EXPECT_EQ(f.Order(), (Paths{"a/b", "c"}));
}

TEST(DrfSorter, InactiveLeavesCountButAreNotVisited) {
  Fixture f;
  f.Grow(CpusMem(100, 0));
  f.Add("a/x", /*active=*/false);
  f.Add("a/y");
  f.Add("b");
  f.Allocate("a/x", CpusMem(10, 0));
  f.Allocate("b", CpusMem(5, 0));
  EXPECT_EQ(f.Order(), (Paths{"b", "a/y"}));
  f.sorter().Deactivate(f.Number("a/y"));
  EXPECT_EQ(f.Order(), (Paths{"b"}));
  // Removing an inactive leaf must not hide its siblings.
  f.sorter().Remove(f.Number("a/x"));
  f.sorter().Activate(f.Number("a/y"));
  EXPECT_EQ(f.Order(), (Paths{"a/y", "b"}));
}

TEST(DrfSorter, ExcludedNamesDoNotCountForShares) {
  Fixture f;
  f.totals.excluded_names = 1u << kGpus;
  Amounts total = CpusMem(100, 100);
  total[kGpus] = 4000;
  f.Grow(total);
  f.Add("a");
  f.Add("b");
  Amounts gpus = CpusMem(1, 2);
  gpus[kGpus] = 4000;
  f.Allocate("a", gpus);
  f.Allocate("b", CpusMem(3, 0));
  EXPECT_EQ(f.Order(), (Paths{"a", "b"}));
  EXPECT_EQ(f.sorter().DominantShare(f.Number("a")), 20'000'000u);
}

TEST(DrfSorter, NamesTheClusterLacksDoNotCount) {
  Fixture f;
  f.Grow(CpusMem(10, 0));
  f.Add("a");
  f.Add("b");
  f.Allocate("a", CpusMem(0, 1000));
  f.Allocate("b", CpusMem(1, 0));
  EXPECT_EQ(f.Order(), (Paths{"a", "b"}));
}

TEST(DrfSorter, HugeAmountsDoNotOverflow) {
  Fixture f;
  Amounts huge;
  huge[kMem] = INT64_MAX / 2;
  f.Grow(huge);
  f.sorter().SetWeight("b", 1);  // the smallest weight
  f.Add("a");
  f.Add("b");
  f.Add("c");
  Amounts half;
  half[kMem] = INT64_MAX / 4;
  f.Allocate("a", half);
  f.Allocate("b", half);
  EXPECT_EQ(f.Order(), (Paths{"c", "a", "b"}));
}

TEST(DrfSorter, VisitStopsWhenTold) {
  Fixture f;
  f.Grow(CpusMem(10, 0));
  f.Add("a/x");
  f.Add("a/y");
  f.Add("b");
  int visited = 0;
  f.sorter().Visit(nullptr, [&](uint32_t) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

}  // namespace
}  // namespace tessera::allocator
