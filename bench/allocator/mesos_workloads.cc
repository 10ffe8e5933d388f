// AddAndUpdateSlave, DeclineOffers, ResourceLabels, SuppressOffers, ExtremeSuppressOffers,
// AllocatorBacklog and PersistentVolumes: the same agents, frameworks, roles and resources as in
// Mesos's benchmarks, and the same things timed.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/allocator/bench_cluster.h"
#include "bench/allocator/workloads.h"
#include "services/model/resource.h"

namespace tessera::allocator::bench {
namespace {

constexpr absl::Duration kForAYear = absl::Hours(24 * 365);

int RoundsFor(Size size) { return size.agents > 5000 ? 3 : 7; }

// The times of all rounds of one step of a workload.
using Times = std::vector<double>;

double Lap(std::chrono::nanoseconds* since) {
  const auto now = Now();
  return Ms(now - std::exchange(*since, now));
}

void AddFrameworks(BenchCluster* cluster, Size size, RoleNum role, FrameworkCapabilities can = {}) {
  for (size_t i = 0; i < size.frameworks; ++i) {
    cluster->StepLive(cluster->NewFramework(i, role, can));
  }
}

// Agents that each have one framework's tasks on them, while runs come as events cause them.
template <typename TotalOf, typename UsedOf>
double AddAgents(BenchCluster* cluster, Size size, RoleNum role, TotalOf total, UsedOf used) {
  auto since = Now();
  for (size_t i = 0; i < size.agents; ++i) {
    AgentAdded added = cluster->NewAgent(i, total(i));
    added.claims.push_back({cluster->F(i % size.frameworks), role, cluster->B(used(i))});
    cluster->StepLive(std::move(added));
  }
  cluster->Settle();
  const double took = Lap(&since);
  if (cluster->out().size() != size.agents) Fail("not every new agent was offered");
  return took;
}

// ---- A1.

void AddAndUpdate(Size size) {
  const model::Resources total = Parse("cpus:2;mem:1024;disk:4096;ports:[31000-32000]");
  const model::Resources used =
      Parse("cpus:1;mem:128;disk:1024;ports:[31126-31510, 31512-31623, 31810-31852, 31854-31964]");
  model::Resource more = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(10));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  more.set_metadata(metadata);
  const model::Resources grown = total + model::Resources({more});
  Times frameworks, agents, updates;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster;
    const RoleNum role = cluster.R("*");
    cluster.Start();
    auto since = Now();
    AddFrameworks(&cluster, size, role, {.revocable_resources = true});
    cluster.Settle();
    frameworks.push_back(Lap(&since));
    agents.push_back(AddAgents(
        &cluster, size,
        role, [&](size_t) -> auto& { return total; }, [&](size_t) -> auto& { return used; }));
    since = Now();
    for (size_t i = 0; i < size.agents; ++i) {
      const AgentAdded agent = cluster.NewAgent(i, grown);
      cluster.StepLive(AgentUpdated{agent.agent, agent.spec, agent.total});
    }
    cluster.Settle();
    updates.push_back(Lap(&since));
    if (cluster.out().size() != 2 * size.agents) Fail("not every revocable cpu was offered");
  }
  MinAndMedian("add_frameworks", size, frameworks);
  MinAndMedian("add_agents", size, agents);
  MinAndMedian("update_agents", size, updates);
}

// ---- A2 and A3.

// The times of a step of a workload by its name.
using Steps = std::map<std::string, Times>;

void DeclineRounds(BenchCluster* cluster, Size size, Steps* steps) {
  Times with_offers, without;
  for (size_t round = 0; round < 2 * size.frameworks; ++round) {
    cluster->ReturnAll(kForAYear);
    const double took = cluster->TimedCycle();
    (cluster->offers() > 0 ? with_offers : without).push_back(took);
  }
  if (with_offers.size() < size.frameworks - 1 || without.size() < 2) Fail("too few rounds");
  for (size_t cycle : {0, 1, 2, 10, 20, 30, 40, 50, 99}) {
    if (cycle < with_offers.size()) {
      (*steps)[absl::StrCat("cycle", cycle)].push_back(with_offers[cycle]);
    }
  }
  (*steps)["last"].push_back(with_offers.back());
  (*steps)["all_refused_first"].push_back(without.front());
  Times& refused = (*steps)["all_refused"];
  refused.insert(refused.end(), without.begin() + 1, without.end());
}

// `play` once or more, each time on a cluster of its own.
void DeclineWorkload(const std::string& what, Size size, void (*play)(Size, Steps*)) {
  Steps steps;
  for (int round = 0; round < (size.agents > 5000 ? 1 : 3); ++round) play(size, &steps);
  for (const auto& [step, times] : steps) MinAndMedian(absl::StrCat(what, ".", step), size, times);
}

void Decline(Size size, Steps* steps) {
  BenchCluster cluster;
  const model::Resources total = Parse(kAgentResources);
  const model::Resources used =
      Parse(absl::StrCat("cpus:16;mem:2014;disk:1024;ports:[", UsedPorts(), "]"));
  const RoleNum role = cluster.R("*");
  cluster.Start();
  AddFrameworks(&cluster, size, role);
  (*steps)["add_agents"].push_back(AddAgents(
      &cluster, size,
      role, [&](size_t) -> auto& { return total; }, [&](size_t) -> auto& { return used; }));
  DeclineRounds(&cluster, size, steps);
}

// Eight cpus reserved to role1 with eleven labels, and one more that no other agent has.
model::Resource Labelled(const std::string& unique) {
  model::Labels labels;
  for (int i = 0; i < 11; ++i) labels.push_back({absl::StrCat("key", i), absl::StrCat("value", i)});
  if (!unique.empty()) labels.push_back({unique, unique});
  model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(8));
  const absl::Status status = cpus.PushReservation(
      {model::ReservationType::kDynamic, "role1", std::string("principal"), labels});
  if (!status.ok()) Fail(status.ToString());
  return cpus;
}

void Labels(Size size, Steps* steps) {
  BenchCluster cluster;
  const model::Resources free = Parse("cpus:8;mem:4096;disk:4096;ports:[31000-32000]");
  const model::Resources plain =
      Parse(absl::StrCat("mem:2014;disk:1024;ports:[", UsedPorts(), "]"));
  std::vector<model::Resources> totals, used;
  for (size_t i = 0; i < size.agents; ++i) {
    const model::Resources reserved({Labelled(absl::StrCat("agent", i)), Labelled("")});
    totals.push_back(free + reserved);
    used.push_back(plain + reserved);
  }
  const RoleNum role = cluster.R("role1");
  cluster.Start();
  AddFrameworks(&cluster, size, role);
  (*steps)["add_agents"].push_back(AddAgents(
      &cluster, size, role, [&](size_t i) -> auto& { return totals[i]; },
      [&](size_t i) -> auto& { return used[i]; }));
  DeclineRounds(&cluster, size, steps);
}

// ---- A4 and A5.

double AddUsedAgents(BenchCluster* cluster, Size size, RoleNum role) {
  const model::Resources total = Parse(kAgentResources);
  const model::Resources used =
      Parse(absl::StrCat("cpus:16;mem:1024;disk:1024;ports:[", UsedPorts(), "]"));
  cluster->Start();
  AddFrameworks(cluster, size, role);
  return AddAgents(
      cluster, size,
      role, [&](size_t) -> auto& { return total; }, [&](size_t) -> auto& { return used; });
}

void Suppress(Size size) {
  Times add_agents, cycles[5];
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster;
    add_agents.push_back(AddUsedAgents(&cluster, size, cluster.R("*")));
    size_t suppressed = 0;
    for (size_t fifth = 1; fifth <= 5; ++fifth) {
      cluster.ReturnAll(absl::ZeroDuration());
      for (; suppressed < size.frameworks * fifth / 5; ++suppressed) {
        cluster.Step(Suppressed{cluster.F(suppressed), {}});
      }
      cycles[fifth - 1].push_back(cluster.TimedCycle());
      cluster.ExpectOffers(fifth == 5 ? 0 : size.agents, "suppress");
    }
  }
  MinAndMedian("suppress.add_agents", size, add_agents);
  for (size_t fifth = 1; fifth <= 5; ++fifth) {
    MinAndMedian(absl::StrCat("suppress.", fifth * 20), size, cycles[fifth - 1]);
  }
}

void ExtremeSuppress(Size size) {
  BenchCluster cluster;
  AddUsedAgents(&cluster, size, cluster.R("*"));
  for (size_t i = 0; i < size.frameworks * 99 / 100; ++i) {
    cluster.Step(Suppressed{cluster.F(i), {}});
  }
  Times cycles;
  for (int round = 0; round < 15; ++round) {
    cluster.ReturnAll(absl::ZeroDuration());
    cycles.push_back(cluster.TimedCycle());
    cluster.ExpectOffers(size.agents, "suppress99");
  }
  MinAndMedian("suppress99", size, cycles);
}

// ---- A7.

void Backlog(Size size) {
  const model::Resources total = Parse(kAgentResources);
  Times frameworks, agents, revivals;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster;
    const RoleNum role = cluster.R("*");
    cluster.Start();
    auto since = Now();
    AddFrameworks(&cluster, size, role);
    cluster.Settle();
    frameworks.push_back(Lap(&since));
    for (size_t i = 0; i < size.agents; ++i) cluster.StepLive(cluster.NewAgent(i, total));
    cluster.Settle();
    agents.push_back(Lap(&since));
    if (cluster.out().size() != size.agents) Fail("not every new agent was offered");
    since = Now();
    for (size_t i = 0; i < size.frameworks; ++i) cluster.StepLive(Revived{cluster.F(i), {}});
    cluster.Settle();
    revivals.push_back(Lap(&since));
    cluster.ExpectOffers(0, "backlog");
  }
  MinAndMedian("backlog.add_frameworks", size, frameworks);
  MinAndMedian("backlog.add_agents", size, agents);
  MinAndMedian("backlog.revive", size, revivals);
}

// ---- A8.

enum class Volumes { kRegular, kShared, kMixed };

model::Resources WithVolume(const model::Resources& resources, size_t agent, bool shared) {
  model::Resource volume = model::Resource::OfScalar("disk", model::Scalar::FromUnits(1024));
  model::ResourceMetadata metadata;
  metadata.reservations.push_back({.type = model::ReservationType::kStatic, .role = "test"});
  metadata.disk.emplace();
  metadata.disk->persistence = {.id = absl::StrCat("volume-", agent)};
  metadata.disk->volume = {.container_path = "path"};
  metadata.shared = shared;
  volume.set_metadata(metadata);
  return resources + model::Resources({volume});
}

void PersistentVolumes(const std::string& what, Volumes kind, Size size) {
  const model::Resources divisible =
      Parse("cpus(test):24;mem(test):4096;disk(test):3072;ports(test):[31000-32000]");
  const model::Resources used = Parse(
      absl::StrCat("cpus(test):16;mem(test):1024;disk(test):1024;ports(test):[", UsedPorts(), "]"));
  std::vector<model::Resources> totals;
  for (size_t i = 0; i < size.agents; ++i) {
    const bool shared = kind == Volumes::kShared || (kind == Volumes::kMixed && i % 2 == 0);
    totals.push_back(WithVolume(divisible, i, shared));
  }
  Times agents, cycles;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster;
    const RoleNum role = cluster.R("test");
    cluster.Start();
    AddFrameworks(&cluster, size, role, {.shared_resources = kind != Volumes::kRegular});
    agents.push_back(AddAgents(
        &cluster, size,
        role, [&](size_t i) -> auto& { return totals[i]; }, [&](size_t) -> auto& { return used; }));
    for (int cycle = 0; cycle < 6; ++cycle) {
      cluster.ReturnAll(absl::ZeroDuration());
      cycles.push_back(cluster.TimedCycle());
      cluster.ExpectOffers(size.agents, what.c_str());
    }
  }
  MinAndMedian(what + ".add_agents", size, agents);
  MinAndMedian(what, size, cycles);
}

}  // namespace

std::vector<Workload> MesosWorkloads() {
  const auto volumes = [](const std::string& what, Volumes kind) {
    return Workload{
        what, {{1000, 50}}, [what, kind](Size size) { PersistentVolumes(what, kind, size); }};
  };
  return {
      {"add",
       {{1000, 50}, {1000, 200}, {5000, 50}, {10'000, 200}, {10'000, 1000}, {50'000, 1000}},
       AddAndUpdate},
      {"decline",
       {{1000, 50}, {1000, 200}, {10'000, 200}},
       [](Size size) { DeclineWorkload("decline", size, Decline); }},
      {"labels",
       {{1000, 50}, {1000, 200}, {10'000, 200}},
       [](Size size) { DeclineWorkload("labels", size, Labels); }},
      {"suppress", {{1000, 50}, {5000, 50}, {10'000, 200}}, Suppress},
      {"suppress99", {{1000, 50}, {10'000, 200}}, ExtremeSuppress},
      {"backlog", {{1000, 50}, {1000, 200}, {10'000, 200}}, Backlog},
      volumes("volumes.regular", Volumes::kRegular),
      volumes("volumes.shared", Volumes::kShared),
      volumes("volumes.mixed", Volumes::kMixed),
  };
}

}  // namespace tessera::allocator::bench
