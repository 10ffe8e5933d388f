// Random clusters, each client of which is explained before a full run: what the run then does must
// be what was said.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/allocator/core/explain.h"
#include "services/allocator/core/testing/allocator_harness.h"
#include "services/base/rng.h"
#include "services/model/quantities.h"

namespace tessera::allocator {
namespace {

constexpr uint32_t kAgents = 8;
constexpr uint32_t kFrameworks = 6;

AllocatorConfig Config() {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse("cpus:0.1|mem:32")->alternatives());
  return config;
}

class Play {
 public:
  Play(uint64_t seed, bool with_quota)
      : rng_(seed), with_quota_(with_quota), cluster_(Config(), seed) {
    cluster_.Start();
    for (uint32_t i = 0; i < kFrameworks; ++i) AddFramework(i);
    for (uint32_t i = 0; i < kAgents; ++i) AddAgent(i);
  }

  void Rounds(int rounds) {
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      for (uint64_t events = rng_.Below(6); events > 0; --events) Event();
      ExplainAllThenRun();
    }
  }

  // One framework has the cluster to itself: it is offered all of what was said, and nothing else.
  void EndAlone() {
    const std::vector<ClientNum> clients = Subscribed();
    if (clients.empty()) return;
    const ClientNum chosen = Pick(clients);
    // Else most of the cluster is in use by now.
    for (const AllocatorHarness::Offer& offer : std::exchange(out_, {})) {
      if (rng_.Chance(0.6)) cluster_.GiveBack(offer);
    }
    if (rng_.Chance(0.5)) cluster_.Step(Revived{tables().frameworks.client(chosen).framework, {}});
    for (const ClientNum number : clients) {
      const Client& client = tables().frameworks.client(number);
      if (number != chosen) cluster_.Step(Suppressed{client.framework, {client.role}});
    }
    const Explanation told = Ask(chosen);
    const bool may_have_enough = with_quota_ || tables().frameworks.client(chosen).wanted;
    const std::vector<Allocation> given = Run();
    std::map<AgentNum, Bag> offerable;
    for (const auto& near : told.nearest) {
      if (near.obstacle == Obstacle::kNone) offerable[near.agent] = near.available;
    }
    std::set<AgentNum> offered;
    for (const Allocation& one : given) {
      ASSERT_EQ(one.framework, tables().frameworks.client(chosen).framework);
      ASSERT_TRUE(offerable.contains(one.agent)) << cluster_.words.AgentId(one.agent);
      // Quota's room shrinks with each offer of the run, and only with them.
      if (!with_quota_ || &one == &given.front()) {
        EXPECT_TRUE(Equal(one.bag, offerable[one.agent], cluster_.words))
            << ToString(one.bag, cluster_.words) << " was offered, "
            << ToString(offerable[one.agent], cluster_.words) << " was told";
      }
      offered.insert(one.agent);
    }
    EXPECT_EQ(offerable.empty(), offered.empty());
    if (!may_have_enough) {
      EXPECT_EQ(offerable.size(), offered.size());
    }
    alone_offers_ += offered.size();
  }

  const std::map<Obstacle, size_t>& seen() const { return seen_; }
  size_t alone_offers() const { return alone_offers_; }

 private:
  struct Allocation {
    FrameworkNum framework;
    RoleNum role;
    AgentNum agent;
    Bag bag;
  };

  const ClusterTables& tables() const { return cluster_.core.tables(); }

  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[rng_.Below(from.size())];
  }

  std::vector<ClientNum> Subscribed() {
    std::vector<ClientNum> all;
    for (uint32_t i = 0; i < kFrameworks; ++i) {
      const Framework* framework = tables().frameworks.Find(cluster_.F(absl::StrCat("f", i)));
      if (framework == nullptr) continue;
      for (const ClientNum client : framework->clients) {
        if (tables().frameworks.client(client).subscribed) all.push_back(client);
      }
    }
    return all;
  }

  Explanation Ask(ClientNum client) {
    Explanation told = cluster_.core.Explain({.client = client, .nearest_max = kAgents});
    uint64_t sum = 0;
    for (const uint64_t count : told.counts) sum += count;
    EXPECT_EQ(sum, tables().agents.known());
    EXPECT_EQ(told.agents, tables().agents.known());
    EXPECT_EQ(told.nearest.size(), tables().agents.known());
    for (const auto& near : told.nearest) ++seen_[near.obstacle];
    return told;
  }

  std::vector<Allocation> Run() {
    cluster_.now += cluster_.config.allocation_interval;
    cluster_.offers.clear();
    cluster_.Step(Wake{});
    std::vector<Allocation> given;
    for (const AllocatorHarness::Offer& offer : cluster_.TakeOffers()) {
      given.push_back({cluster_.F(offer.framework), cluster_.R(offer.role), cluster_.A(offer.agent),
                       offer.bag});
      out_.push_back(offer);
    }
    return given;
  }

  void ExplainAllThenRun() {
    std::map<ClientNum, std::set<AgentNum>> offerable;
    std::set<AgentNum> offerable_to_any;
    std::set<AgentNum> surely_offered;
    for (const ClientNum client : Subscribed()) {
      for (const auto& near : Ask(client).nearest) {
        if (near.obstacle != Obstacle::kNone) continue;
        offerable[client].insert(near.agent);
        offerable_to_any.insert(near.agent);
        // A demand may be met by what the run offers before.
        if (!tables().frameworks.client(client).wanted) surely_offered.insert(near.agent);
      }
    }
    const std::vector<Allocation> given = Run();
    std::set<AgentNum> offered;
    for (const Allocation& one : given) {
      const bool nothing_taken_before =
          with_quota_ ? offered.empty() : !offered.contains(one.agent);
      if (nothing_taken_before) {
        const ClientNum client = *tables().frameworks.FindClient(one.framework, one.role);
        EXPECT_TRUE(offerable[client].contains(one.agent))
            << cluster_.words.FrameworkId(one.framework) << " is offered "
            << cluster_.words.AgentId(one.agent) << " against what was told";
      }
      offered.insert(one.agent);
    }
    EXPECT_EQ(offered.empty(), offerable_to_any.empty());
    if (!with_quota_) {
      EXPECT_TRUE(std::includes(offered.begin(), offered.end(), surely_offered.begin(),
                                surely_offered.end()));
    }
  }

  FrameworkSpec RandomSpec() {
    static const std::vector<std::string> kRoles = {"a", "a/x", "a/y", "b", "c/d"};
    std::set<std::string> roles;
    for (uint64_t count = 1 + rng_.Below(2); count > 0; --count) roles.insert(Pick(kRoles));
    FrameworkSpec spec;
    spec.capabilities = {.gpu_resources = rng_.Chance(0.5),
                         .revocable_resources = rng_.Chance(0.5),
                         .region_aware = rng_.Chance(0.7)};
    for (const std::string& role : roles) {
      RoleSubscription one{cluster_.R(role), rng_.Chance(0.1), std::nullopt};
      if (rng_.Chance(0.2)) {
        one.min_allocatable = Minimum(model::MinAllocatable::Parse("cpus:2")->alternatives());
      }
      if (rng_.Chance(0.2)) {
        one.constraints = std::make_shared<OfferConstraints>(std::vector<OfferConstraints::Group>{
            {{"rack", OfferConstraints::Predicate::kNotEquals, "1"}}});
      }
      spec.roles.push_back(std::move(one));
    }
    return spec;
  }

  void AddFramework(uint32_t i) {
    cluster_.Step(FrameworkAdded{cluster_.F(absl::StrCat("f", i)), RandomSpec(), rng_.Chance(0.9)});
  }

  void AddAgent(uint32_t i) {
    std::string text = absl::StrCat("cpus:", rng_.Below(5), ";mem:", 64 * rng_.Below(5));
    if (rng_.Chance(0.2)) absl::StrAppend(&text, ";gpus:1");
    if (rng_.Chance(0.3)) absl::StrAppend(&text, ";cpus(a):", 1 + rng_.Below(3));
    if (rng_.Chance(0.3)) absl::StrAppend(&text, ";mem(b):64");
    if (rng_.Chance(0.4)) absl::StrAppend(&text, ";ports:[1-9]");
    model::Resources total = *model::ParseResources(text);
    if (rng_.Chance(0.3)) {
      model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(2));
      model::ResourceMetadata metadata;
      metadata.revocable = true;
      cpus.set_metadata(metadata);
      total += cpus;
    }
    const std::string id = absl::StrCat("n", i);
    cluster_.AddAgent(id, cluster_.B(total),
                      {.hostname = id,
                       .attributes = {{"rack", absl::StrCat(rng_.Below(3))}},
                       .remote = rng_.Chance(0.2)});
  }

  void Event() {
    const FrameworkNum framework = cluster_.F(absl::StrCat("f", rng_.Below(kFrameworks)));
    const uint32_t i = static_cast<uint32_t>(rng_.Below(kAgents));
    const AgentNum agent = cluster_.A(absl::StrCat("n", i));
    switch (rng_.Below(10)) {
      case 9:
        // For longer than the play lasts; a revival ends it.
        if (!rng_.Chance(0.3)) break;
        cluster_.Step(OffersEnded{
            .framework = framework, .offers = 1, .lay = cluster_.config.silence_growth_max});
        break;
      case 0:
        if (rng_.Chance(0.5)) {
          cluster_.Step(FrameworkDeactivated{framework});
        } else {
          cluster_.Step(FrameworkActivated{framework});
        }
        break;
      case 1:
        if (rng_.Chance(0.3)) {
          cluster_.Step(AgentDeactivated{agent});
        } else {
          cluster_.Step(AgentActivated{agent});
        }
        break;
      case 2:
        if (rng_.Chance(0.3)) {
          cluster_.Step(Suppressed{framework, {}});
        } else {
          cluster_.Step(Revived{framework, {}});
        }
        break;
      case 3: {
        const std::vector<ClientNum> clients = Subscribed();
        const Client client = tables().frameworks.client(Pick(clients));
        std::optional<Amounts> wanted;
        if (rng_.Chance(0.5)) {
          wanted.emplace();
          (*wanted)[kCpus] = static_cast<int64_t>(rng_.Below(4)) * 1000;
        }
        cluster_.Step(DemandStated{client.framework, client.role, wanted, Minimum()});
        break;
      }
      case 4:
        Settings();
        break;
      default:
        GiveBackSome();
        break;
    }
  }

  void Settings() {
    if (!with_quota_) {
      std::optional<std::vector<std::string>> hosts;
      if (rng_.Chance(0.4)) {
        hosts.emplace();
        for (uint32_t i = 0; i < kAgents; ++i) {
          if (rng_.Chance(0.7)) hosts->push_back(absl::StrCat("n", i));
        }
      }
      cluster_.Step(WhitelistSet{hosts});
      return;
    }
    static const std::vector<std::string> kPaths = {"a", "a/x", "b", "c"};
    Quota quota;
    for (const size_t name : {kCpus, kMem}) {
      const int64_t unit = name == kCpus ? 900 : 60'000;
      if (rng_.Chance(0.4)) quota.guarantee[name] = static_cast<int64_t>(rng_.Below(9)) * unit;
      if (rng_.Chance(0.4)) {
        quota.limit[name] = quota.guarantee[name] + static_cast<int64_t>(rng_.Below(5)) * unit;
      }
    }
    cluster_.Step(QuotaSet{cluster_.R(Pick(kPaths)), quota});
  }

  void GiveBackSome() {
    for (size_t i = out_.size(); i-- > 0;) {
      if (!rng_.Chance(0.4)) continue;
      std::optional<absl::Duration> refuse;
      if (rng_.Chance(0.6)) refuse = absl::Seconds(rng_.Below(6));
      cluster_.Recover(out_[i].framework, out_[i].role, out_[i].agent, out_[i].bag, refuse);
      out_.erase(out_.begin() + i);
    }
  }

  base::Rng rng_;
  const bool with_quota_;
  AllocatorHarness cluster_;
  std::vector<AllocatorHarness::Offer> out_;
  std::map<Obstacle, size_t> seen_;
  size_t alone_offers_ = 0;
};

int Seeds() {
  const char* text = std::getenv("TESSERA_PROPERTY_SEEDS");
  return text == nullptr ? 150 : std::atoi(text);
}

void PlaySeeds(bool with_quota) {
  std::map<Obstacle, size_t> seen;
  size_t alone_offers = 0;
  for (int seed = 1; seed <= Seeds(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Play play(static_cast<uint64_t>(seed), with_quota);
    play.Rounds(15);
    play.EndAlone();
    if (testing::Test::HasFailure()) return;
    for (const auto& [obstacle, count] : play.seen()) seen[obstacle] += count;
    alone_offers += play.alone_offers();
  }
  EXPECT_GT(alone_offers, static_cast<size_t>(Seeds()) / 2);
  // Plays that never meet an obstacle prove nothing about it. The core here is never paused.
  for (size_t i = 0; i < kObstacles; ++i) {
    const Obstacle obstacle = static_cast<Obstacle>(i);
    const bool of_quota = obstacle == Obstacle::kOverLimit || obstacle == Obstacle::kHeadroomHeld;
    // There is no cap either: tests of hoarding and of single explanations know about that one.
    if (obstacle == Obstacle::kOfferCap) continue;
    if (obstacle == Obstacle::kPaused || (of_quota && !with_quota)) continue;
    if (obstacle == Obstacle::kNotWhitelisted && with_quota) continue;
    EXPECT_GT(seen[obstacle], 0u) << "obstacle " << i;
  }
}

TEST(ExplainProperty, TheNextRunDoesWhatWasSaid) { PlaySeeds(/*with_quota=*/false); }
TEST(ExplainProperty, TheNextRunDoesWhatWasSaidWithQuota) { PlaySeeds(/*with_quota=*/true); }

}  // namespace
}  // namespace tessera::allocator
