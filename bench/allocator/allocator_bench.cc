// Workloads on the allocator's core. See README.md for what each figure means.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/allocator/core/allocator_core.h"
#include "services/base/flags.h"
#include "services/model/parse.h"

ABSL_FLAG(std::string, only, "", "Substring of a workload's name. Runs those that contain it.");
ABSL_FLAG(bool, large, true, "Run the sizes of 10,000 agents and more, too.");

namespace tessera::allocator {
namespace {

// Time that this thread has spent on a processor. The core never waits, so on an idle machine it is
// the time of the clock on the wall, and on a busy one it is still the core's own.
std::chrono::nanoseconds Now() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

double Ms(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

void Figure(const std::string& what, size_t agents, size_t frameworks, double value,
            const char* unit) {
  std::printf("figure allocator.%s.%zux%zu %.4g %s\n", what.c_str(), agents, frameworks, value,
              unit);
  std::fflush(stdout);
}

void MinAndMedian(const std::string& what, size_t agents, size_t frameworks,
                  std::vector<double> values, const char* unit) {
  std::sort(values.begin(), values.end());
  Figure(what + ".min", agents, frameworks, values.front(), unit);
  Figure(what, agents, frameworks, values[values.size() / 2], unit);
}

double ResidentMiB() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1048576;
}

model::Resources Parse(const std::string& text) {
  auto resources = model::ParseResources(text);
  if (!resources.ok()) {
    std::fprintf(stderr, "allocator_bench: %s\n", resources.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(resources);
}

// A core with its vocabulary, and the allocations that are out.
class Cluster {
 public:
  explicit Cluster(AllocatorConfig config = {}) : config_(Configured(std::move(config))) {
    words_ = std::make_unique<Vocabulary>();
    core_ = std::make_unique<AllocatorCore>(config_, words_.get(), 1);
  }

  // Steps one event; a run that is due by the clock of the machine follows, as in a service.
  void StepLive(const Event& event) {
    now_ = std::max(now_, start_ + absl::FromChrono(Now() - began_));
    Step(event);
    if (core_->NextDeadline() <= now_) Step(Wake{});
  }
  void Step(const Event& event) {
    effects_.clear();
    core_->Step(now_, event, &effects_);
    for (Effect& effect : effects_) {
      if (auto* batch = std::get_if<AllocationBatch>(&effect)) {
        out_.insert(out_.end(), std::make_move_iterator(batch->allocations.begin()),
                    std::make_move_iterator(batch->allocations.end()));
      } else if (auto* refused = std::get_if<Refused>(&effect)) {
        std::fprintf(stderr, "allocator_bench: refused: %s %s\n",
                     RefusalReasonName(refused->reason), refused->detail.c_str());
        std::exit(1);
      }
    }
  }
  void Start() { Step(SnapshotCompleted{}); }
  // Runs everything that is due until nothing but the periodic run is left.
  void Settle() {
    now_ += config_.min_batch_interval;
    Step(Wake{});
  }
  // One full run, in milliseconds. What is allocated is charged and told, but not sent.
  double TimedCycle() {
    now_ += config_.allocation_interval;
    effects_.clear();
    const auto before = Now();
    core_->Step(now_, Wake{}, &effects_);
    const double took = Ms(Now() - before);
    offers_ = 0;
    for (Effect& effect : effects_) {
      if (auto* batch = std::get_if<AllocationBatch>(&effect)) {
        offers_ = batch->allocations.size();
        out_.insert(out_.end(), std::make_move_iterator(batch->allocations.begin()),
                    std::make_move_iterator(batch->allocations.end()));
      }
    }
    return took;
  }
  // Everything that is out comes back. Zero leaves no filter; no run is made on its behalf.
  void ReturnAll(absl::Duration refuse) {
    for (Allocation& one : out_) {
      Step(Recovered{one.agent, {one.framework, one.role, std::move(one.bag)}, refuse});
    }
    out_.clear();
  }

  FrameworkNum F(size_t i) { return *words_->InternFramework(absl::StrCat("framework-", i)); }
  AgentNum A(size_t i) { return *words_->InternAgent(absl::StrCat("agent-", i)); }
  RoleNum R(const std::string& path) { return *words_->InternRole(path); }
  Bag B(const model::Resources& resources) { return *BagOf(resources, words_.get()); }

  FrameworkAdded NewFramework(size_t i, const std::string& role, FrameworkCapabilities can = {}) {
    return {F(i), {{{R(role)}}, can}, true};
  }
  AgentAdded NewAgent(size_t i, const model::Resources& total) {
    return {A(i), {.hostname = absl::StrCat("agent-", i)}, B(total), {}, true};
  }

  size_t offers() const { return offers_; }
  std::vector<Allocation>& out() { return out_; }
  AllocatorCore& core() { return *core_; }

 private:
  static AllocatorConfig Configured(AllocatorConfig config) {
    config.min_allocatable =
        Minimum(model::MinAllocatable::Parse("cpus:0.01|mem:32")->alternatives());
    return config;
  }

  const AllocatorConfig config_;
  std::unique_ptr<Vocabulary> words_;
  std::unique_ptr<AllocatorCore> core_;
  const std::chrono::nanoseconds began_ = Now();
  const absl::Time start_ = absl::UnixEpoch();
  absl::Time now_ = start_;
  Effects effects_;
  std::vector<Allocation> out_;
  size_t offers_ = 0;
};

const char* const kAgentResources = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";

// Sixteen of the port ranges that a busy agent's tasks hold.
std::string UsedPorts() {
  std::string ports;
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(&ports, i == 0 ? "" : ", ", 31000 + 60 * i, "-", 31000 + 60 * i + 40);
  }
  return ports;
}

void ExpectOffers(const Cluster& cluster, size_t expected, const char* where) {
  if (cluster.offers() == expected) return;
  std::fprintf(stderr, "allocator_bench: %s made %zu offers instead of %zu\n", where,
               cluster.offers(), expected);
  std::exit(1);
}

// ---- Workloads.

void Cycle(const char* what, size_t agents, size_t frameworks, SorterKind kind) {
  AllocatorConfig config;
  config.role_sorter = config.framework_sorter = kind;
  Cluster cluster(config);
  const model::Resources total = Parse(kAgentResources);
  for (size_t i = 0; i < frameworks; ++i) cluster.Step(cluster.NewFramework(i, "*"));
  for (size_t i = 0; i < agents; ++i) cluster.Step(cluster.NewAgent(i, total));
  cluster.Start();
  cluster.Settle();
  std::vector<double> times;
  for (int round = 0; round < (agents > 5000 ? 9 : 25); ++round) {
    cluster.ReturnAll(absl::ZeroDuration());
    times.push_back(cluster.TimedCycle());
    ExpectOffers(cluster, agents, what);
  }
  MinAndMedian(what, agents, frameworks, times, "ms");
}

void AddAndUpdate(size_t agents, size_t frameworks) {
  Cluster cluster;
  const model::Resources total = Parse("cpus:2;mem:1024;disk:4096;ports:[31000-32000]");
  const model::Resources used =
      Parse("cpus:1;mem:128;disk:1024;ports:[31126-31510, 31512-31623, 31810-31852, 31854-31964]");
  model::Resource more = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(10));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  more.set_metadata(metadata);
  const model::Resources grown = total + model::Resources({more});
  cluster.Start();

  const auto t0 = Now();
  for (size_t i = 0; i < frameworks; ++i) {
    cluster.StepLive(cluster.NewFramework(i, "*", {.revocable_resources = true}));
  }
  const auto t1 = Now();
  for (size_t i = 0; i < agents; ++i) {
    AgentAdded added = cluster.NewAgent(i, total);
    added.claims.push_back({cluster.F(i % frameworks), cluster.R("*"), cluster.B(used)});
    cluster.StepLive(added);
  }
  cluster.Settle();
  const auto t2 = Now();
  if (cluster.out().size() != agents) std::exit(1);
  for (size_t i = 0; i < agents; ++i) {
    cluster.StepLive(
        AgentUpdated{cluster.A(i), {.hostname = absl::StrCat("agent-", i)}, cluster.B(grown)});
  }
  cluster.Settle();
  const auto t3 = Now();
  if (cluster.out().size() != 2 * agents) std::exit(1);
  Figure("add_frameworks", agents, frameworks, Ms(t1 - t0), "ms");
  Figure("add_agents", agents, frameworks, Ms(t2 - t1), "ms");
  Figure("update_agents", agents, frameworks, Ms(t3 - t2), "ms");
}

// A cluster whose agents each have one framework's tasks on them.
void AddUsedAgents(Cluster* cluster, size_t agents, size_t frameworks, const std::string& used) {
  const model::Resources total = Parse(kAgentResources);
  const model::Resources taken = Parse(absl::StrCat(used, ";ports:[", UsedPorts(), "]"));
  for (size_t i = 0; i < frameworks; ++i) cluster->Step(cluster->NewFramework(i, "*"));
  for (size_t i = 0; i < agents; ++i) {
    AgentAdded added = cluster->NewAgent(i, total);
    added.claims.push_back({cluster->F(i % frameworks), cluster->R("*"), cluster->B(taken)});
    cluster->Step(added);
  }
  cluster->Start();
}

void Decline(size_t agents, size_t frameworks) {
  Cluster cluster;
  AddUsedAgents(&cluster, agents, frameworks, "cpus:16;mem:2014;disk:1024");
  cluster.Settle();
  std::vector<double> with_offers, without;
  for (size_t round = 0; round < 2 * frameworks; ++round) {
    cluster.ReturnAll(absl::Hours(24 * 365));
    const double took = cluster.TimedCycle();
    (cluster.offers() > 0 ? with_offers : without).push_back(took);
  }
  if (with_offers.empty() || without.size() < 2) std::exit(1);
  Figure("decline.first", agents, frameworks, with_offers.front(), "ms");
  Figure("decline.halfway", agents, frameworks, with_offers[with_offers.size() / 2], "ms");
  Figure("decline.last", agents, frameworks, with_offers.back(), "ms");
  Figure("decline.all_refused_first", agents, frameworks, without.front(), "ms");
  MinAndMedian("decline.all_refused", agents, frameworks, without, "ms");
}

void Suppress(size_t agents, size_t frameworks) {
  Cluster cluster;
  AddUsedAgents(&cluster, agents, frameworks, "cpus:16;mem:1024;disk:1024");
  cluster.Settle();
  size_t suppressed = 0;
  for (int fifth = 1; fifth <= 5; ++fifth) {
    cluster.ReturnAll(absl::ZeroDuration());
    for (; suppressed < frameworks * fifth / 5; ++suppressed) {
      cluster.Step(Suppressed{cluster.F(suppressed), {}});
    }
    const double took = cluster.TimedCycle();
    ExpectOffers(cluster, fifth == 5 ? 0 : agents, "suppress");
    Figure(absl::StrCat("suppress.", fifth * 20), agents, frameworks, took, "ms");
  }
}

void Quota(size_t agents, size_t frameworks) {
  Cluster cluster;
  const model::Resources total = Parse("cpus:2;mem:2048;disk:2048");
  allocator::Quota quota;
  quota.guarantee = cluster.B(Parse("cpus:1;mem:1024;disk:1024")).plain;
  for (size_t name : {kCpus, kMem, kDisk}) quota.limit[name] = quota.guarantee[name];
  const auto t0 = Now();
  for (size_t i = 0; i < frameworks; ++i) {
    const std::string role = absl::StrCat("role-", i);
    cluster.Step(QuotaSet{cluster.R(role), quota});
    cluster.Step(cluster.NewFramework(i, role));
  }
  const auto t1 = Now();
  for (size_t i = 0; i < agents; ++i) cluster.Step(cluster.NewAgent(i, total));
  cluster.Start();
  const double first = cluster.TimedCycle();
  const size_t offers = cluster.offers();
  if (offers < std::min(agents * 2, frameworks)) std::exit(1);
  Figure("quota_add_frameworks", agents, frameworks, Ms(t1 - t0), "ms");
  Figure("quota", agents, frameworks, first, "ms");
  std::vector<double> empty;
  for (int round = 0; round < 9; ++round) {
    empty.push_back(cluster.TimedCycle());
    ExpectOffers(cluster, 0, "quota_empty");
  }
  MinAndMedian("quota_empty", agents, frameworks, empty, "ms");
}

void Change(size_t agents, size_t frameworks) {
  const double before = ResidentMiB();
  Cluster cluster;
  const model::Resources total = Parse(kAgentResources);
  for (size_t i = 0; i < frameworks; ++i) cluster.Step(cluster.NewFramework(i, "*"));
  for (size_t i = 0; i < agents; ++i) cluster.Step(cluster.NewAgent(i, total));
  cluster.Start();
  cluster.Settle();
  // A smaller cluster after a larger one finds its memory there already.
  const double grown = ResidentMiB() - before;
  if (grown > 1) Figure("memory", agents, frameworks, grown, "MiB");
  std::vector<double> times;
  for (int round = 0; round < 2000; ++round) {
    Allocation one = std::move(cluster.out()[round % agents]);
    std::swap(cluster.out()[round % agents], cluster.out().back());
    cluster.out().pop_back();
    const auto t0 = Now();
    cluster.Step(Recovered{one.agent, {one.framework, one.role, one.bag}, std::nullopt});
    cluster.Settle();
    times.push_back(Ms(Now() - t0) * 1000);
    if (cluster.out().size() != agents) std::exit(1);
  }
  MinAndMedian("change", agents, frameworks, times, "us");
}

struct Size {
  size_t agents, frameworks;
};

template <typename Workload>
void ForSizes(const char* name, std::vector<Size> sizes, Workload workload) {
  if (!absl::StrContains(name, absl::GetFlag(FLAGS_only))) return;
  for (const Size& size : sizes) {
    if (size.agents >= 10'000 && !absl::GetFlag(FLAGS_large)) continue;
    workload(size.agents, size.frameworks);
  }
}

void RunAll() {
  // First: the resident set still grows by what the cluster takes.
  ForSizes("change", {{50'000, 2000}, {1000, 200}}, Change);
  ForSizes("cycle",
           {{1000, 1},
            {1000, 100},
            {1000, 200},
            {1000, 2000},
            {10'000, 200},
            {20'000, 2000},
            {50'000, 2000}},
           [](size_t a, size_t f) { Cycle("cycle", a, f, SorterKind::kDrf); });
  ForSizes("random_cycle", {{1000, 100}, {1000, 200}, {20'000, 2000}},
           [](size_t a, size_t f) { Cycle("random_cycle", a, f, SorterKind::kRandom); });
  ForSizes("add",
           {{1000, 50}, {1000, 200}, {5000, 50}, {10'000, 200}, {10'000, 1000}, {50'000, 1000}},
           AddAndUpdate);
  ForSizes("decline", {{1000, 50}, {1000, 200}, {10'000, 200}}, Decline);
  ForSizes("suppress", {{1000, 50}, {5000, 50}, {10'000, 200}}, Suppress);
  ForSizes("quota", {{30, 30}, {300, 300}, {3000, 3000}}, Quota);
}

}  // namespace
}  // namespace tessera::allocator

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv,
      {.name = "allocator_bench",
       .purpose = "Measures the allocator's core, workload by workload."});
  tessera::allocator::RunAll();
  return 0;
}
