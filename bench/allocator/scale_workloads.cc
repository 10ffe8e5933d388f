// How the cost grows with agents, frameworks, roles and filters; what a cluster does all day.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/allocator/bench_cluster.h"
#include "bench/allocator/workloads.h"
#include "services/base/rng.h"

namespace tessera::allocator::bench {
namespace {

using Times = std::vector<double>;

AllocatorConfig With(SorterKind kind) {
  AllocatorConfig config;
  config.role_sorter = config.framework_sorter = kind;
  return config;
}

// Every agent is free, framework i is in role `role_of(i)`. Everything is offered once.
template <typename RoleOf>
void Fill(BenchCluster* cluster, Size size, RoleOf role_of) {
  const model::Resources total = Parse(kAgentResources);
  for (size_t i = 0; i < size.frameworks; ++i) cluster->Step(cluster->NewFramework(i, role_of(i)));
  for (size_t i = 0; i < size.agents; ++i) cluster->Step(cluster->NewAgent(i, total));
  cluster->Start();
  cluster->ExpectOffers(size.agents, "the first run");
}
void Fill(BenchCluster* cluster, Size size) {
  const RoleNum any = cluster->R("*");
  Fill(cluster, size, [any](size_t) { return any; });
}

void TimeCycles(const std::string& what, BenchCluster* cluster, Size size) {
  Times times;
  for (int round = 0; round < (size.agents > 5000 ? 9 : 25); ++round) {
    cluster->ReturnAll(absl::ZeroDuration());
    times.push_back(cluster->TimedCycle());
    cluster->ExpectOffers(size.agents, what.c_str());
  }
  MinAndMedian(what, size, times);
}

void Cycle(const std::string& what, SorterKind kind, Size size) {
  BenchCluster cluster(With(kind));
  Fill(&cluster, size);
  TimeCycles(what, &cluster, size);
}

// Roles four levels deep, eight beneath each; weights 1 and 2 by turns.
void DeepRoles(const std::string& what, SorterKind kind, Size size) {
  BenchCluster cluster(With(kind));
  const auto path = [](size_t i) {
    return absl::StrCat("r", i % 8, "/r", i / 8 % 8, "/r", i / 64 % 8, "/r", i / 512 % 8);
  };
  for (int i = 0; i < 8; ++i) {
    cluster.Step(WeightSet{cluster.R(absl::StrCat("r", i)), kWeightOne * (1 + i % 2)});
  }
  Fill(&cluster, size, [&](size_t i) { return cluster.R(path(i)); });
  TimeCycles(what, &cluster, size);
}

void Suppressed90(Size size) {
  BenchCluster cluster;
  Fill(&cluster, size);
  for (size_t i = 0; i < size.frameworks; ++i) {
    if (i % 10 != 0) cluster.Step(Suppressed{cluster.F(i), {}});
  }
  TimeCycles("suppress90", &cluster, size);
}

// Why one framework is not offered what it wants, while everything is out.
void Explanations(Size size) {
  BenchCluster cluster;
  Fill(&cluster, size);
  Question question;
  question.client = *cluster.core().tables().frameworks.FindClient(cluster.F(0), cluster.R("*"));
  Times times;
  for (int round = 0; round < 9; ++round) {
    const auto before = Now();
    const Explanation answer = cluster.core().Explain(question);
    times.push_back(Ms(Now() - before));
    if (answer.agents != size.agents) Fail("not every agent was looked at");
  }
  MinAndMedian("explain", size, times);
}

// A role for each framework, guarantee and limit of one cpu; then runs with nothing left.
void QuotaEach(Size size) {
  Times first, empty;
  for (int round = 0; round < 3; ++round) {
    BenchCluster cluster;
    const model::Resources total = Parse("cpus:2;mem:2048;disk:2048");
    allocator::Quota quota;
    quota.guarantee = cluster.B(Parse("cpus:1;mem:1024;disk:1024")).plain;
    for (size_t name : {kCpus, kMem, kDisk}) quota.limit[name] = quota.guarantee[name];
    for (size_t i = 0; i < size.frameworks; ++i) {
      const RoleNum role = cluster.R(absl::StrCat("role-", i));
      cluster.Step(QuotaSet{role, quota});
      cluster.Step(cluster.NewFramework(i, role));
    }
    for (size_t i = 0; i < size.agents; ++i) cluster.Step(cluster.NewAgent(i, total));
    cluster.Step(SnapshotCompleted{});
    first.push_back(cluster.TimedCycle());
    if (cluster.offers() < size.frameworks) Fail("a role was left without its guarantee");
    for (int run = 0; run < 5; ++run) {
      empty.push_back(cluster.TimedCycle());
      cluster.ExpectOffers(0, "quota_empty");
    }
  }
  MinAndMedian("quota", size, first);
  MinAndMedian("quota_empty", size, empty);
}

// One agent's resources become free and are offered again, in microseconds. Before: what the
// cluster takes of memory, and the answers of its first run.
void Change(Size size) {
  const double before = ResidentMiB();
  BenchCluster cluster;
  Fill(&cluster, size);
  // A smaller cluster after a larger one finds its memory there already.
  const double grown = ResidentMiB() - before;
  if (grown > 4) Figure("memory", size, grown, "MiB");
  Times times;
  base::Rng random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<Allocation>& out = cluster.out();
    std::swap(out[random.Below(out.size())], out.back());
    const Allocation one = std::move(out.back());
    out.pop_back();
    const auto t0 = Now();
    cluster.Step(Recovered{one.agent, {one.framework, one.role, one.bag}, std::nullopt});
    cluster.Settle();
    times.push_back(Ms(Now() - t0) * 1000);
    if (out.size() != size.agents) Fail("what became free was not offered");
  }
  std::sort(times.begin(), times.end());
  MinAndMedian("change", size, times, "us");
  Figure("change.p99", size, times[times.size() * 99 / 100], "us");
}

// In each second of the cluster's time the resources of 5 % of the agents become free, one after
// the other, and are offered again; the run over all agents is part of it.
void Steady(Size size) {
  BenchCluster cluster;
  Fill(&cluster, size);
  base::Rng random(1);
  Times seconds, runs;
  size_t changes = 0, heap = 0;
  const auto second = [&] {
    const size_t wanted = size.agents / 20;
    const absl::Duration pause = absl::Seconds(1) / static_cast<int64_t>(wanted);
    std::chrono::nanoseconds spent{0};
    Effects effects;
    for (size_t i = 0; i < wanted; ++i) {
      std::vector<Allocation>& out = cluster.out();
      Allocation& one = out[random.Below(out.size())];
      const Recovered event{one.agent, {one.framework, one.role, std::move(one.bag)}, std::nullopt};
      one = std::move(out.back());
      out.pop_back();
      cluster.Advance(pause);
      const Event free = event;
      const bool due = cluster.core().NextDeadline() <= cluster.now();
      const size_t heap_before = HeapAllocations();
      const auto began = Now();
      cluster.core().Step(cluster.now(), free, &effects);
      if (due) cluster.core().Step(cluster.now(), Wake{}, &effects);
      const auto took = Now() - began;
      heap += HeapAllocations() - heap_before;
      spent += took;
      if (due) runs.push_back(Ms(took));
      cluster.TakeIn(&effects);
    }
    changes += wanted;
    seconds.push_back(Ms(spent));
  };
  second();  // tables find their sizes
  seconds.clear(), runs.clear(), changes = heap = 0;
  for (int i = 0; i < 5; ++i) second();
  std::sort(runs.begin(), runs.end());
  MinAndMedian("steady.per_second", size, seconds);
  Figure("steady.run_p99", size, runs[runs.size() * 99 / 100], "ms");
  Figure("steady.run_max", size, runs.back(), "ms");
  Figure("steady.heap_allocations_per_change", size,
         static_cast<double>(heap) / static_cast<double>(changes), "allocations");
}

// Ten thousand agents become free at once, one event each.
void Burst(Size size) {
  BenchCluster cluster;
  Fill(&cluster, size);
  Times times;
  size_t most_runs = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<Allocation> out = std::exchange(cluster.out(), {});
    const size_t runs = cluster.runs();
    const auto t0 = Now();
    for (Allocation& one : out) {
      cluster.StepLive(
          Recovered{one.agent, {one.framework, one.role, std::move(one.bag)}, std::nullopt});
    }
    cluster.Settle();
    times.push_back(Ms(Now() - t0));
    most_runs = std::max(most_runs, cluster.runs() - runs);
    if (cluster.out().size() != size.agents) Fail("not every agent was offered again");
  }
  MinAndMedian("burst", size, times);
  Figure("burst.runs", size, static_cast<double>(most_runs), "runs");
}

// Refusals until the table holds a million of them; then a run with them in it, a run in which
// nobody takes anything, and the second in which all of them end.
void MillionFilters(Size size) {
  const double before = ResidentMiB();
  BenchCluster cluster;
  Fill(&cluster, size);
  const double filled = ResidentMiB();
  const size_t rounds = 1'000'000 / size.agents;
  double refusals = 0;
  Times cycles;
  for (size_t round = 0; round < rounds; ++round) {
    const auto t0 = Now();
    cluster.ReturnAll(absl::Hours(1));
    refusals += Ms(Now() - t0);
    cycles.push_back(cluster.TimedCycle());
  }
  if (cluster.core().tables().filters.size() != 1'000'000) Fail("a refusal was not kept");
  Figure("filters.million_refusals", size, refusals, "ms");
  Figure("filters.memory", size, ResidentMiB() - std::max(before, filled), "MiB");
  MinAndMedian("filters.cycle", size, cycles);
  cluster.Advance(absl::Hours(2));
  const auto t0 = Now();
  cluster.Step(Wake{});
  Figure("filters.all_end", size, Ms(Now() - t0), "ms");
  if (cluster.core().tables().filters.size() != 0) Fail("a refusal did not end");
}

}  // namespace

std::vector<Workload> ScaleWorkloads() {
  const auto cycle = [](const char* what, SorterKind kind, std::vector<Size> sizes) {
    return Workload{what, std::move(sizes), [what, kind](Size size) { Cycle(what, kind, size); }};
  };
  const auto deep = [](const char* what, SorterKind kind) {
    return Workload{
        what, {{20'000, 2000}}, [what, kind](Size size) { DeepRoles(what, kind, size); }};
  };
  std::vector<Size> grid = {{1000, 100}, {1000, 500}, {10'000, 200}};
  for (size_t agents : {1000, 20'000, 50'000}) {
    for (size_t frameworks : {1, 200, 2000, 6000}) grid.push_back({agents, frameworks});
  }
  return {
      // First: the resident set still grows by what the cluster takes.
      {"change", {{50'000, 2000}, {1000, 200}}, Change},
      {"explain", {{1000, 200}, {50'000, 2000}}, Explanations},
      {"filters", {{50'000, 200}}, MillionFilters},
      cycle("cycle", SorterKind::kDrf, grid),
      cycle("random_cycle", SorterKind::kRandom,
            {{1000, 200}, {1000, 2000}, {20'000, 2000}, {50'000, 2000}}),
      {"suppress90", {{20'000, 2000}}, Suppressed90},
      deep("deep_roles", SorterKind::kDrf),
      deep("deep_roles.random", SorterKind::kRandom),
      {"quota", {{30, 30}, {300, 300}, {3000, 3000}}, QuotaEach},
      {"steady", {{1000, 200}, {10'000, 200}, {50'000, 2000}}, Steady},
      {"burst", {{10'000, 200}}, Burst},
  };
}

}  // namespace tessera::allocator::bench
