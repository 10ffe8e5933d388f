// The workloads with quota of Mesos's benchmarks: the allocation part of Metrics,
// LargeAndSmallQuota and NonQuotaVsQuota.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/allocator/bench_cluster.h"
#include "bench/allocator/workloads.h"

namespace tessera::allocator::bench {
namespace {

using Times = std::vector<double>;

int RoundsFor(Size size) { return size.frameworks > 1000 ? 3 : 7; }

const char* NameOf(SorterKind kind) { return kind == SorterKind::kDrf ? "drf" : "random"; }

AllocatorConfig With(SorterKind kind) {
  AllocatorConfig config;
  config.role_sorter = config.framework_sorter = kind;
  return config;
}

// The same amounts as guarantee and as limit.
allocator::Quota QuotaOf(BenchCluster* cluster, const std::string& text) {
  allocator::Quota quota;
  quota.guarantee = cluster->B(Parse(text)).plain;
  for (size_t name : {kCpus, kMem, kDisk}) quota.limit[name] = quota.guarantee[name];
  return quota;
}

std::vector<RoleNum> Roles(BenchCluster* cluster, size_t count) {
  std::vector<RoleNum> roles;
  for (size_t i = 0; i < count; ++i) roles.push_back(cluster->R(absl::StrCat("role-", i)));
  return roles;
}

// ---- A6 but for its metrics, which stream_bench reads over HTTP.

void QuotaRoles(Size size) {
  Times quotas, frameworks, agents;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster;
    const model::Resources total = Parse("cpus:16;mem:2048;disk:1024");
    const allocator::Quota quota = QuotaOf(&cluster, "cpus:1;mem:512;disk:256");
    const std::vector<RoleNum> roles = Roles(&cluster, size.frameworks);
    cluster.Start();
    const auto t0 = Now();
    for (RoleNum role : roles) cluster.StepLive(QuotaSet{role, quota});
    const auto t1 = Now();
    for (size_t i = 0; i < roles.size(); ++i) cluster.StepLive(cluster.NewFramework(i, roles[i]));
    cluster.Settle();
    const auto t2 = Now();
    for (size_t i = 0; i < size.agents; ++i) cluster.StepLive(cluster.NewAgent(i, total));
    cluster.Settle();
    const auto t3 = Now();
    if (cluster.out().size() < size.frameworks) Fail("a role was left without its guarantee");
    quotas.push_back(Ms(t1 - t0));
    frameworks.push_back(Ms(t2 - t1));
    agents.push_back(Ms(t3 - t2));
  }
  MinAndMedian("quota_roles.set_quota", size, quotas);
  MinAndMedian("quota_roles.add_frameworks", size, frameworks);
  MinAndMedian("quota_roles.add_agents", size, agents);
}

// ---- A11. Five small roles for each large one.

void LargeAndSmall(SorterKind kind, Size size) {
  const std::string what = absl::StrCat("large_and_small.", NameOf(kind));
  const size_t small = size.frameworks * 5 / 6;
  Times frameworks, first, second;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster(With(kind));
    const model::Resources total = Parse("cpus:2;mem:2048;disk:2048");
    const allocator::Quota one = QuotaOf(&cluster, "cpus:1;mem:1024;disk:1024");
    const allocator::Quota four = QuotaOf(&cluster, "cpus:4;mem:4096;disk:4096");
    const std::vector<RoleNum> roles = Roles(&cluster, size.frameworks);
    // Nothing is allocated before the end of the snapshot.
    for (size_t i = 0; i < size.agents; ++i) cluster.Step(cluster.NewAgent(i, total));
    for (size_t i = 0; i < roles.size(); ++i) {
      cluster.Step(QuotaSet{roles[i], i < small ? one : four});
    }
    const auto t0 = Now();
    for (size_t i = 0; i < roles.size(); ++i) cluster.Step(cluster.NewFramework(i, roles[i]));
    frameworks.push_back(Ms(Now() - t0));
    cluster.Step(SnapshotCompleted{});
    first.push_back(cluster.TimedCycle());
    if (cluster.offers() < size.frameworks) Fail("a role was left without its guarantee");
    second.push_back(cluster.TimedCycle());
    cluster.ExpectOffers(0, what.c_str());
  }
  MinAndMedian(what + ".add_frameworks", size, frameworks);
  MinAndMedian(what + ".first", size, first);
  MinAndMedian(what + ".second", size, second);
}

// ---- A12. Two agents and two frameworks for each role.

void NonQuotaVsQuota(SorterKind kind, bool with_quota, Size size) {
  const std::string what = absl::StrCat(with_quota ? "withquota." : "nonquota.", NameOf(kind));
  Times frameworks, first, second;
  for (int round = 0; round < RoundsFor(size); ++round) {
    BenchCluster cluster(With(kind));
    const model::Resources total = Parse("cpus:2;mem:2048;disk:2048");
    const allocator::Quota quota = QuotaOf(&cluster, "cpus:4;mem:4096;disk:4096");
    const std::vector<RoleNum> roles = Roles(&cluster, size.frameworks / 2);
    for (size_t i = 0; i < size.agents; ++i) cluster.Step(cluster.NewAgent(i, total));
    if (with_quota) {
      for (RoleNum role : roles) cluster.Step(QuotaSet{role, quota});
    }
    const auto t0 = Now();
    for (size_t i = 0; i < size.frameworks; ++i) {
      cluster.Step(cluster.NewFramework(i, roles[i / 2]));
    }
    frameworks.push_back(Ms(Now() - t0));
    cluster.Step(SnapshotCompleted{});
    first.push_back(cluster.TimedCycle());
    cluster.ExpectOffers(size.agents, what.c_str());
    second.push_back(cluster.TimedCycle());
    cluster.ExpectOffers(0, what.c_str());
  }
  MinAndMedian(what + ".add_frameworks", size, frameworks);
  MinAndMedian(what + ".first", size, first);
  MinAndMedian(what + ".second", size, second);
}

}  // namespace

std::vector<Workload> MesosQuotaWorkloads() {
  std::vector<Workload> workloads = {{"quota_roles", {{1000, 50}, {1000, 200}}, QuotaRoles}};
  for (SorterKind kind : {SorterKind::kDrf, SorterKind::kRandom}) {
    workloads.push_back({absl::StrCat("large_and_small.", NameOf(kind)),
                         {{30, 30}, {300, 300}, {3000, 3000}},
                         [kind](Size size) { LargeAndSmall(kind, size); }});
    for (bool with_quota : {false, true}) {
      workloads.push_back(
          {absl::StrCat(with_quota ? "withquota." : "nonquota.", NameOf(kind)),
           {{20, 20}, {200, 200}, {2000, 2000}},
           [kind, with_quota](Size size) { NonQuotaVsQuota(kind, with_quota, size); }});
    }
  }
  return workloads;
}

}  // namespace tessera::allocator::bench
