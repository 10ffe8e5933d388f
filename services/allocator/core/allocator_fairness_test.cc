// Many runs with frameworks of all manners: shares follow weights, the honest do not starve,
// guarantees and limits hold.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"
#include "services/base/rng.h"

namespace tessera::allocator {
namespace {

// ---- Shares in the long run.

// Roles want everything and keep it for a random time. The part of the cluster that each holds.
std::map<std::string, double> LongRunShares(SorterKind kind,
                                            const std::map<std::string, double>& weights,
                                            const std::vector<std::string>& roles) {
  AllocatorConfig config;
  config.role_sorter = config.framework_sorter = kind;
  AllocatorHarness c(config, 99);
  for (const auto& [role, weight] : weights) c.SetWeight(role, weight);
  for (const std::string& role : roles) {
    std::string id = "of_" + role;
    std::replace(id.begin(), id.end(), '/', '_');
    c.AddFramework(id, {role});
  }
  for (int i = 0; i < 32; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:4;mem:4096");
  c.Start();
  base::Rng random(5);
  std::vector<AllocatorHarness::Offer> running;
  std::map<std::string, double> held;
  double samples = 0;
  for (int round = 0; round < 4000; ++round) {
    c.NextFullRun();
    for (auto& offer : c.TakeOffers()) running.push_back(offer);
    if (round >= 100) {
      for (const auto& task : running) held[task.role] += 1;
      samples += static_cast<double>(running.size());
    }
    for (size_t i = running.size(); i-- > 0;) {
      if (random.Below(4) != 0) continue;
      c.GiveBack(running[i]);
      running.erase(running.begin() + static_cast<long>(i));
    }
  }
  for (auto& [role, part] : held) part /= samples;
  return held;
}

class LongRun : public testing::TestWithParam<SorterKind> {};

TEST_P(LongRun, SharesAreWithinOnePercentOfTheWeights) {
  const auto shares = LongRunShares(GetParam(), {{"b", 2}, {"c", 5}}, {"a", "b", "c"});
  EXPECT_NEAR(shares.at("a"), 1.0 / 8, 0.01);
  EXPECT_NEAR(shares.at("b"), 2.0 / 8, 0.01);
  EXPECT_NEAR(shares.at("c"), 5.0 / 8, 0.01);
}

TEST_P(LongRun, WeightsOfInteriorRolesDivideWhatTheirSubtreeGets) {
  const auto shares = LongRunShares(GetParam(), {{"a", 3}, {"a/y", 2}}, {"a/x", "a/y", "b"});
  EXPECT_NEAR(shares.at("a/x"), 0.25, 0.01);
  EXPECT_NEAR(shares.at("a/y"), 0.50, 0.01);
  EXPECT_NEAR(shares.at("b"), 0.25, 0.01);
}

INSTANTIATE_TEST_SUITE_P(AllocatorFairness, LongRun,
                         testing::Values(SorterKind::kDrf, SorterKind::kRandom),
                         [](const testing::TestParamInfo<SorterKind>& info) {
                           return info.param == SorterKind::kDrf ? "Drf" : "Random";
                         });

// ---- A hundred frameworks, few of them honest and needy.

constexpr absl::Duration kOfferTimeout = absl::Seconds(30);
constexpr int64_t kCpusWanted = 12'000;  // thousandths

enum class Manner { kHoarder, kDecliner, kDead, kNeedy };

// The core with what a master does about offers: time-outs, and the ends of offers.
class Crowd {
 public:
  explicit Crowd(SorterKind kind, uint64_t seed) : c_(Config(kind), seed), random_(seed) {
    // The needy of role r0 are guaranteed what they want; the decliners' role has a limit.
    c_.SetQuota("r0", "cpus:12");
    c_.SetQuota("r1", "", "cpus:40");
    for (int i = 0; i < 100; ++i) {
      const Manner manner = i < 5    ? Manner::kNeedy
                            : i < 30 ? Manner::kHoarder
                            : i < 65 ? Manner::kDecliner
                                     : Manner::kDead;
      const std::string id = "f" + std::to_string(i);
      c_.AddFramework(id, {"r" + std::to_string(i % 10)});
      frameworks_[id].manner = manner;
    }
    for (int i = 0; i < 60; ++i) {
      c_.AddAgent("agent" + std::to_string(i), "cpus:4;mem:4096;ports:[1-1000]");
    }
    c_.Start();
  }

  // A run over everything, and those that follow from what everybody answers.
  void Second() {
    c_.NextFullRun();
    for (auto offers = c_.TakeOffers(); !offers.empty(); offers = c_.TakeOffers()) {
      CheckQuota();
      for (auto& offer : offers) {
        Framework& framework = frameworks_[offer.framework];
        EXPECT_FALSE(framework.is_gone);
        EXPECT_LE(++framework.outstanding, c_.config.outstanding_offers_max);
        Answer(std::move(offer), &framework);
      }
      c_.Settle();
    }
    for (size_t i = silent_.size(); i-- > 0;) {
      if (silent_[i].first > c_.now) continue;
      const AllocatorHarness::Offer offer = silent_[i].second;
      silent_.erase(silent_.begin() + static_cast<long>(i));
      Framework& framework = frameworks_[offer.framework];
      // Silence is a refusal, of growing length.
      End(offer.framework, 0, kOfferTimeout);
      c_.Decline(offer, kOfferTimeout * (1 << std::min(framework.timeouts++, 6)));
    }
    CheckQuota();
  }

  // The dead go: half of them are noticed, and what they held comes back.
  void Bury() {
    for (auto& [id, framework] : frameworks_) {
      if (framework.manner != Manner::kDead || random_.Below(2) == 0) continue;
      framework.is_gone = true;
      c_.Step(FrameworkDeactivated{c_.F(id)});
      for (size_t i = silent_.size(); i-- > 0;) {
        if (silent_[i].second.framework != id) continue;
        const AllocatorHarness::Offer offer = silent_[i].second;
        silent_.erase(silent_.begin() + static_cast<long>(i));
        End(id, 0);
        c_.GiveBack(offer);
      }
    }
  }

  // Seconds until all the needy have what they want.
  int SecondsUntilServed(int most) {
    for (int second = 1; second <= most; ++second) {
      Second();
      if (std::all_of(frameworks_.begin(), frameworks_.end(), [](const auto& entry) {
            return entry.second.manner != Manner::kNeedy || entry.second.cpus >= kCpusWanted;
          })) {
        return second;
      }
    }
    return most + 1;
  }
  void FinishTasks() {
    for (const auto& task : tasks_) c_.GiveBack(task);
    tasks_.clear();
    for (auto& [id, framework] : frameworks_) framework.cpus = 0;
  }
  const AllocatorHarness& cluster() const { return c_; }

 private:
  struct Framework {
    Manner manner = Manner::kNeedy;
    uint32_t outstanding = 0;
    int timeouts = 0;
    int64_t cpus = 0;
    bool is_gone = false;
  };

  static AllocatorConfig Config(SorterKind kind) {
    AllocatorConfig config;
    config.role_sorter = config.framework_sorter = kind;
    config.outstanding_offers_max = 2;
    config.min_allocatable =
        Minimum(model::MinAllocatable::Parse("cpus:0.01|mem:32")->alternatives());
    return config;
  }

  void End(const std::string& id, uint32_t accepted, absl::Duration lay = absl::ZeroDuration()) {
    --frameworks_[id].outstanding;
    c_.Step(OffersEnded{.framework = c_.F(id), .offers = 1, .accepted = accepted, .lay = lay});
  }

  void Answer(AllocatorHarness::Offer offer, Framework* framework) {
    switch (framework->manner) {
      case Manner::kHoarder:
      case Manner::kDead:
        silent_.emplace_back(c_.now + kOfferTimeout, std::move(offer));
        return;
      case Manner::kDecliner:
        End(offer.framework, 0);
        c_.Decline(offer, absl::Seconds(5));
        return;
      case Manner::kNeedy:
        break;
    }
    const int64_t missing = kCpusWanted - framework->cpus;
    const bool takes = missing > 0 && offer.bag.plain[kCpus] > 0;
    End(offer.framework, takes ? 1 : 0);
    if (!takes) {
      c_.Decline(offer, absl::Seconds(5));
      return;
    }
    framework->cpus += offer.bag.plain[kCpus];
    tasks_.push_back(std::move(offer));
  }

  void CheckQuota() {
    const ClusterTables& tables = c_.core.tables();
    // Whatever is still guaranteed is there to be had.
    EXPECT_TRUE(tables.available_headroom.Contains(tables.quotas.required_headroom()));
    EXPECT_LE(tables.quotas.Consumed(c_.R("r1"))[kCpus], 40'000);
  }

  AllocatorHarness c_;
  base::Rng random_;
  std::map<std::string, Framework> frameworks_;
  std::vector<std::pair<absl::Time, AllocatorHarness::Offer>> silent_;
  std::vector<AllocatorHarness::Offer> tasks_;
};

class AllocatorFairness : public testing::TestWithParam<SorterKind> {};

TEST_P(AllocatorFairness, FiveNeedyAmongAHundredAreServedInBoundedTime) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Crowd crowd(GetParam(), seed);
    constexpr int kTimeout = 30;  // seconds, each with a run over everything
    // At worst everything is with the silent until their time has run out, and then with others.
    const int first = crowd.SecondsUntilServed(500);
    RecordProperty("first_seed_" + std::to_string(seed), first);
    EXPECT_LE(first, 4 * kTimeout) << "seed " << seed;
    for (int wish = 0; wish < 3; ++wish) {
      crowd.FinishTasks();
      if (wish == 1) crowd.Bury();
      const int next = crowd.SecondsUntilServed(500);
      RecordProperty("wish_" + std::to_string(wish) + "_seed_" + std::to_string(seed), next);
      EXPECT_LE(next, 4 * kTimeout) << "seed " << seed << " wish " << wish;
    }
    EXPECT_TRUE(crowd.cluster().refusals.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Sorters, AllocatorFairness,
                         testing::Values(SorterKind::kDrf, SorterKind::kRandom),
                         [](const testing::TestParamInfo<SorterKind>& info) {
                           return info.param == SorterKind::kDrf ? "Drf" : "Random";
                         });

}  // namespace
}  // namespace tessera::allocator
