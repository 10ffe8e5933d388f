// Random clusters, played on the core and on the reference at once: every run must hand out exactly
// what the reference says, and every sum must add up after every event.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"
#include "services/allocator/core/testing/reference_allocator.h"
#include "services/base/rng.h"
#include "services/model/quantities.h"

namespace tessera::allocator {
namespace {

using Given = ReferenceAllocator::Given;

constexpr const char* kMinimum = "cpus:0.01|mem:32";

AllocatorConfig Config() {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse(kMinimum)->alternatives());
  return config;
}

class Play {
 public:
  Play(uint64_t seed, bool with_quota)
      : rng_(seed), with_quota_(with_quota), cluster_(Config(), seed) {
    const model::MinAllocatable minimum = *model::MinAllocatable::Parse(kMinimum);
    reference_.is_worth_offering = [minimum](const model::Resources& resources) {
      return minimum.Admits(model::Quantities::OfAll(resources));
    };
    reference_.is_counted = [this](const std::string& name) {
      return cluster_.words.FindScalarName(name).has_value();
    };
    cluster_.Start();
  }

  // Empty, or what went wrong.
  std::string Run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const uint64_t events = rng_.Below(7);
      for (uint64_t i = 0; i < events; ++i) Event();
      std::string wrong;
      if (rng_.Chance(0.5)) {
        wrong = DueRun(cluster_.config.min_batch_interval, ReferenceAllocator::Scope::kNews);
      }
      if (wrong.empty()) {
        wrong = DueRun(cluster_.config.allocation_interval, ReferenceAllocator::Scope::kAll);
      }
      if (!wrong.empty()) return absl::StrCat("round ", round, ": ", wrong);
      if (testing::Test::HasFailure()) return "a sum is wrong";
    }
    return "";
  }
  size_t allocations() const { return allocations_; }

 private:
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[rng_.Below(from.size())];
  }
  template <typename Map>
  std::string PickKey(const Map& map) {
    auto at = map.begin();
    std::advance(at, rng_.Below(map.size()));
    return at->first;
  }

  // The run that is due after `wait`, if there is one.
  std::string DueRun(absl::Duration wait, ReferenceAllocator::Scope scope) {
    cluster_.now += wait;
    cluster_.offers.clear();
    cluster_.Step(Wake{});
    std::vector<Given> given;
    for (const AllocatorHarness::Offer& offer : cluster_.TakeOffers()) {
      given.push_back(
          {offer.framework, offer.role, offer.agent, ResourcesOf(offer.bag, cluster_.words)});
    }
    const std::string wrong = reference_.Check(given, scope);
    out_.insert(out_.end(), given.begin(), given.end());
    allocations_ += given.size();
    // After the run, as the core does.
    std::erase_if(reference_.filters,
                  [this](const auto& filter) { return filter.deadline <= cluster_.now; });
    if (wrong.empty() && !cluster_.refusals.empty()) return "an event was refused";
    return wrong;
  }

  FrameworkSpec RandomSpec(ReferenceAllocator::RefFramework* framework) {
    static const std::vector<std::string> kRoles = {"a", "a/x", "a/y", "a/y/z", "b", "c/d"};
    framework->roles.clear();
    framework->suppressed.clear();
    const uint64_t count = rng_.Below(4);
    for (uint64_t i = 0; i < count; ++i) framework->roles.insert(Pick(kRoles));
    framework->gpu = rng_.Chance(0.3);
    framework->revocable = rng_.Chance(0.5);
    framework->refinement = rng_.Chance(0.5);
    framework->region_aware = rng_.Chance(0.5);
    framework->shared = rng_.Chance(0.5);
    FrameworkSpec spec;
    spec.capabilities = {.gpu_resources = framework->gpu,
                         .revocable_resources = framework->revocable,
                         .shared_resources = framework->shared,
                         .reservation_refinement = framework->refinement,
                         .region_aware = framework->region_aware};
    for (const std::string& role : framework->roles) {
      const bool suppressed = rng_.Chance(0.15);
      if (suppressed) framework->suppressed.insert(role);
      spec.roles.push_back({cluster_.R(role), suppressed, std::nullopt});
    }
    return spec;
  }

  model::Resources RandomTotal() {
    std::string text =
        absl::StrCat("cpus:", rng_.Below(9), ".", rng_.Below(10), ";mem:", rng_.Below(512));
    if (rng_.Chance(0.5)) absl::StrAppend(&text, ";disk:", rng_.Below(100));
    if (rng_.Chance(0.5))
      absl::StrAppend(&text, ";ports:[", rng_.Below(9), "-", 10 + rng_.Below(9), "]");
    if (rng_.Chance(0.2)) absl::StrAppend(&text, ";gpus:", 1 + rng_.Below(2));
    if (rng_.Chance(0.3)) absl::StrAppend(&text, ";cpus(a):", rng_.Below(4));
    if (rng_.Chance(0.3)) absl::StrAppend(&text, ";mem(a/y):", rng_.Below(64));
    if (rng_.Chance(0.2)) absl::StrAppend(&text, ";ports(b):[40-41]");
    // More names than count.
    if (rng_.Chance(0.3)) absl::StrAppend(&text, ";x", rng_.Below(20), ":", 1 + rng_.Below(3));
    model::Resources total = *model::ParseResources(text);
    if (rng_.Chance(0.3)) {
      model::Resource volume = model::Resource::OfScalar("disk", model::Scalar::FromUnits(20));
      model::ResourceMetadata metadata;
      metadata.reservations = {
          {model::ReservationType::kDynamic, rng_.Chance(0.5) ? "a" : "b", {}, {}}};
      metadata.disk.emplace();
      metadata.disk->persistence.emplace();
      metadata.disk->persistence->id = absl::StrCat("v", rng_.Below(3));
      metadata.shared = rng_.Chance(0.7);
      volume.set_metadata(metadata);
      total += volume;
    }
    if (rng_.Chance(0.3)) {
      model::Resource cpus = model::Resource::OfScalar(
          "cpus", model::Scalar::FromUnits(static_cast<int64_t>(1 + rng_.Below(4))));
      model::ResourceMetadata metadata;
      metadata.revocable = true;
      cpus.set_metadata(metadata);
      total += cpus;
    }
    if (rng_.Chance(0.3)) {
      model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(1));
      (void)cpus.PushReservation({model::ReservationType::kStatic, "a", {}, {}});
      (void)cpus.PushReservation({model::ReservationType::kDynamic, "a/y", {}, {}});
      total += cpus;
    }
    return total;
  }

  void Event() {
    auto& frameworks = reference_.frameworks;
    auto& agents = reference_.agents;
    switch (rng_.Below(14)) {
      case 0:
      case 1: {  // a framework comes, perhaps one that still holds something
        const std::string id = absl::StrCat("f", rng_.Below(7));
        if (frameworks.count(id) > 0) break;
        FrameworkSpec spec = RandomSpec(&frameworks[id]);
        frameworks[id].active = rng_.Chance(0.9);
        cluster_.Step(FrameworkAdded{cluster_.F(id), spec, frameworks[id].active});
        break;
      }
      case 2: {
        if (frameworks.empty() || !rng_.Chance(0.5)) break;
        const std::string id = PickKey(frameworks);
        frameworks.erase(id);
        EraseFilters([&](const auto& filter) { return filter.framework == id; });
        cluster_.Step(FrameworkRemoved{cluster_.F(id)});
        break;
      }
      case 3: {
        if (frameworks.empty()) break;
        const std::string id = PickKey(frameworks);
        const ReferenceAllocator::RefFramework before = frameworks[id];
        FrameworkSpec spec = RandomSpec(&frameworks[id]);
        const ReferenceAllocator::RefFramework& after = frameworks[id];
        EraseFilters([&](const auto& filter) {
          const bool left = after.roles.count(filter.role) == 0;
          const bool woken =
              before.suppressed.count(filter.role) > 0 && after.suppressed.count(filter.role) == 0;
          return filter.framework == id && (left || woken);
        });
        cluster_.Step(FrameworkUpdated{cluster_.F(id), spec});
        break;
      }
      case 4: {
        if (frameworks.empty()) break;
        const std::string id = PickKey(frameworks);
        frameworks[id].active = !frameworks[id].active;
        if (frameworks[id].active) {
          cluster_.Step(FrameworkActivated{cluster_.F(id)});
        } else {
          EraseFilters([&](const auto& filter) { return filter.framework == id; });
          cluster_.Step(FrameworkDeactivated{cluster_.F(id)});
        }
        break;
      }
      case 5: {
        const std::string id = absl::StrCat("n", rng_.Below(6));
        if (agents.count(id) > 0) break;
        ReferenceAllocator::RefAgent& agent = agents[id];
        agent.total = RandomTotal();
        agent.remote = rng_.Chance(0.2);
        cluster_.AddAgent(id, cluster_.B(agent.total), {.hostname = id, .remote = agent.remote});
        break;
      }
      case 6: {
        if (agents.empty() || !rng_.Chance(0.3)) break;
        const std::string id = PickKey(agents);
        agents.erase(id);
        EraseFilters([&](const auto& filter) { return filter.agent == id; });
        std::erase_if(out_, [&](const Given& given) { return given.agent == id; });
        cluster_.Step(AgentRemoved{cluster_.A(id)});
        break;
      }
      case 7: {
        if (agents.empty() || !rng_.Chance(0.5)) break;
        const std::string id = PickKey(agents);
        agents[id].total = RandomTotal();
        cluster_.Step(AgentUpdated{cluster_.A(id),
                                   {.hostname = id, .remote = agents[id].remote},
                                   cluster_.B(agents[id].total)});
        break;
      }
      case 8: {
        if (agents.empty()) break;
        const std::string id = PickKey(agents);
        agents[id].active = !agents[id].active;
        if (agents[id].active) {
          cluster_.Step(AgentActivated{cluster_.A(id)});
        } else {
          cluster_.Step(AgentDeactivated{cluster_.A(id)});
        }
        break;
      }
      case 9:
      case 10:
      case 11:
        GiveBackSome();
        break;
      case 12:
        SuppressOrRevive();
        break;
      case 13:
        Settings();
        break;
    }
    reference_.Sync();
  }

  template <typename Which>
  void EraseFilters(Which which) {
    std::erase_if(reference_.filters, which);
    std::erase_if(refused_, which);
  }

  // How long a refusal holds: twice as long as the last time, when the same was refused then.
  absl::Duration LifeOf(const Given& back, absl::Duration asked) {
    const absl::Duration most = cluster_.config.refuse_growth_max;
    auto last = std::find_if(refused_.begin(), refused_.end(), [&](const Refused& one) {
      return one.framework == back.framework && one.role == back.role && one.agent == back.agent;
    });
    if (last == refused_.end()) {
      last = refused_.insert(last, {back.framework, back.role, back.agent, {}, 0, {}});
    }
    const bool again = last->resources == back.resources && cluster_.now <= last->until;
    last->resources = back.resources;
    last->times = again ? last->times + 1 : 1;
    absl::Duration life = asked;
    for (int i = 1; i < last->times; ++i) life = std::min(2 * life, most);
    last->until = cluster_.now + 2 * life;
    return life;
  }

  void GiveBackSome() {
    for (size_t i = out_.size(); i-- > 0;) {
      if (!rng_.Chance(0.4)) continue;
      Given back = out_[i];
      if (rng_.Chance(0.3)) {
        // A part of it: the rest is in use for longer.
        back.resources = model::ShrinkToTargets(back.resources.objects(),
                                                {{"cpus", model::Scalar::FromThousandths(700)}});
      }
      out_[i].resources -= back.resources;
      if (out_[i].resources.empty()) out_.erase(out_.begin() + i);
      if (back.resources.empty()) continue;
      std::optional<absl::Duration> refuse;
      if (rng_.Chance(0.6)) refuse = absl::Seconds(rng_.Below(6));
      const auto framework = reference_.frameworks.find(back.framework);
      if (refuse && *refuse > absl::ZeroDuration() && framework != reference_.frameworks.end() &&
          framework->second.roles.count(back.role) > 0 && framework->second.active) {
        reference_.filters.push_back(
            {back.framework, back.role, back.agent, back.resources,
             cluster_.now + LifeOf(back, std::max(*refuse, absl::Seconds(1)))});
      }
      reference_.TakeBack(back);
      cluster_.Recover(back.framework, back.role, back.agent, cluster_.B(back.resources), refuse);
    }
  }

  void SuppressOrRevive() {
    if (reference_.frameworks.empty()) return;
    const std::string id = PickKey(reference_.frameworks);
    ReferenceAllocator::RefFramework& framework = reference_.frameworks[id];
    if (framework.roles.empty()) return;
    const std::string role = *framework.roles.begin();
    switch (rng_.Below(4)) {
      case 0:
        framework.suppressed.insert(role);
        cluster_.Step(Suppressed{cluster_.F(id), {cluster_.R(role)}});
        break;
      case 1:
        framework.suppressed.erase(role);
        EraseFilters(
            [&](const auto& filter) { return filter.framework == id && filter.role == role; });
        cluster_.Step(Revived{cluster_.F(id), {cluster_.R(role)}});
        break;
      case 2:
        framework.suppressed.clear();
        cluster_.Step(Unsuppressed{cluster_.F(id), {}});
        break;
      case 3:
        EraseFilters([&](const auto& filter) { return filter.framework == id; });
        cluster_.Step(FiltersCleared{cluster_.F(id), {}});
        break;
    }
  }

  void Settings() {
    static const std::vector<std::string> kPaths = {"a", "a/x", "a/y", "a/y/z", "b", "c", "c/d"};
    const std::string path = Pick(kPaths);
    if (!with_quota_ || rng_.Chance(0.3)) {
      const int64_t weight = static_cast<int64_t>(500 * (1 + rng_.Below(6)));
      reference_.weights[path] = weight;
      cluster_.Step(WeightSet{cluster_.R(path), weight * 1000});
      return;
    }
    Quota quota;
    ReferenceAllocator::RefQuota plain;
    for (const char* name : {"cpus", "mem"}) {
      const size_t number = name == std::string("cpus") ? kCpus : kMem;
      if (rng_.Chance(0.5)) {
        plain.guarantee[name] =
            static_cast<int64_t>(rng_.Below(8) * (number == kCpus ? 900 : 90'000));
        quota.guarantee[number] = plain.guarantee[name];
      }
      if (rng_.Chance(0.4)) {
        plain.limit[name] = quota.guarantee[number] + static_cast<int64_t>(rng_.Below(4) * 1100);
        quota.limit[number] = plain.limit[name];
      }
    }
    if (quota.IsDefault()) {
      reference_.quotas.erase(path);
    } else {
      reference_.quotas[path] = plain;
    }
    cluster_.Step(QuotaSet{cluster_.R(path), quota});
  }

  struct Refused {
    std::string framework, role, agent;
    model::Resources resources;
    int times = 0;
    absl::Time until = absl::InfinitePast();
  };

  base::Rng rng_;
  const bool with_quota_;
  AllocatorHarness cluster_;
  ReferenceAllocator reference_;
  std::vector<Given> out_;
  std::vector<Refused> refused_;
  size_t allocations_ = 0;
};

int Seeds() {
  const char* text = std::getenv("TESSERA_PROPERTY_SEEDS");
  return text == nullptr ? 150 : std::atoi(text);
}

void PlaySeeds(bool with_quota) {
  size_t allocations = 0;
  for (int seed = 1; seed <= Seeds(); ++seed) {
    Play play(static_cast<uint64_t>(seed), with_quota);
    const std::string wrong = play.Run(60);
    allocations += play.allocations();
    ASSERT_EQ(wrong, "") << "seed " << seed;
  }
  // A play in which nothing happens proves nothing.
  EXPECT_GT(allocations, static_cast<size_t>(Seeds()) * 20);
}

TEST(AllocatorProperty, EqualsTheReference) { PlaySeeds(/*with_quota=*/false); }
TEST(AllocatorProperty, EqualsTheReferenceWithQuota) { PlaySeeds(/*with_quota=*/true); }

}  // namespace
}  // namespace tessera::allocator
