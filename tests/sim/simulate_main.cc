// simulate: runs whole clusters from seeds, each twice, and says which seed breaks a rule.

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "absl/flags/flag.h"
#include "absl/time/clock.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "tests/sim/simulation.h"

ABSL_FLAG(uint64_t, seeds, 200, "number of seeds to run");
ABSL_FLAG(uint64_t, first_seed, 1, "the first seed; the others follow by one");
ABSL_FLAG(uint64_t, twice, 1,
          "run every n-th seed twice and compare what happened; 0: none, 1: all");
ABSL_FLAG(bool, digests, false, "print a number for each seed that stands for all that happened");
ABSL_FLAG(
    bool, crowd, false,
    "each seed is a crowd: a hundred frameworks, few of them honest. Otherwise every 50th is");
ABSL_FLAG(bool, verbose, false, "tell what happens in each run");

int main(int argc, char** argv) {
  const tessera::base::ProgramInfo info = {
      "simulate", "Runs simulated clusters, one for each seed, and checks the rules of the design.",
      "[flags]"};
  tessera::base::ParseCommandLineOrExit(argc, argv, info);
  tessera::base::StartLogging("simulate");
  const uint64_t first = absl::GetFlag(FLAGS_first_seed), seeds = absl::GetFlag(FLAGS_seeds);
  const absl::Time began = absl::Now();
  uint64_t events = 0, tasks = 0, views = 0, failed = 0;
  tessera::sim::FaultCounts faults;
  uint64_t quota_changes = 0, quota_judgements = 0, wishes = 0, worst_wish_runs = 0;
  double worst_wish = 0;
  uint64_t worst_wish_seed = 0;
  double virtual_seconds = 0, worst_wish_seconds = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const auto kind =
        absl::GetFlag(FLAGS_crowd) ? tessera::sim::RunKind::kCrowd : tessera::sim::KindOf(seed);
    tessera::sim::RunResult result =
        tessera::sim::RunSeed(seed, kind, absl::GetFlag(FLAGS_verbose));
    const uint64_t every = absl::GetFlag(FLAGS_twice);
    if (result.failure.empty() && every > 0 && seed % every == 0) {
      const auto again = tessera::sim::RunSeed(seed, kind);
      if (again.digest != result.digest) {
        result.failure = "runs are a function of their seed: a second run differs";
      }
    }
    events += result.events;
    tasks += result.tasks;
    faults.Merge(result.faults);
    if (absl::GetFlag(FLAGS_digests)) std::cout << seed << " " << result.digest << "\n";
    views += result.views;
    virtual_seconds += result.virtual_seconds;
    quota_changes += result.quota_changes;
    quota_judgements += result.quota_judgements;
    wishes += result.wishes;
    worst_wish_runs = std::max(worst_wish_runs, result.worst_wish_runs);
    const double part = static_cast<double>(result.worst_wish_runs) /
                        static_cast<double>(std::max<uint64_t>(1, result.worst_wish_runs_max));
    if (part > worst_wish) {
      worst_wish = part;
      worst_wish_seed = seed;
    }
    worst_wish_seconds = std::max(worst_wish_seconds, result.worst_wish_seconds);
    if (absl::GetFlag(FLAGS_verbose)) {
      std::cout << "seed " << seed << ": " << result.shape << ", " << result.tasks << " tasks, "
                << result.faults.of(tessera::sim::Bite::kCrash) << " crashes, "
                << result.faults.of(tessera::sim::Bite::kOrderlyStop) << " stops, "
                << result.leaders << " leaders, " << result.quota_changes
                << " changes of quotas and weights, " << result.wishes
                << " wishes (worst: " << result.worst_wish_runs << " runs of at most "
                << result.worst_wish_runs_max << ", " << result.worst_wish_seconds << " s), "
                << result.events << " events\n";
    }
    if (!result.failure.empty()) {
      ++failed;
      std::cout << "seed " << seed << " FAILED: " << result.failure << "\n  (" << result.shape
                << "; replay: " << tessera::sim::ReplayCommand(seed, kind) << ")" << std::endl;
      if (failed >= 20) {
        std::cout << "too many failures, stopping\n";
        break;
      }
    }
  }
  std::printf(
      "%llu seeds, %llu failed; %llu tasks, %llu views compared, %llu events, %.0f virtual hours "
      "in "
      "%.1f s\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(tasks), static_cast<unsigned long long>(views),
      static_cast<unsigned long long>(events), virtual_seconds / 3600,
      absl::ToDoubleSeconds(absl::Now() - began));
  std::printf("%llu changes of quotas and weights, %llu judgements of quotas\n",
              static_cast<unsigned long long>(quota_changes),
              static_cast<unsigned long long>(quota_judgements));
  if (wishes > 0) {
    std::printf(
        "%llu wishes of the needy; the worst took %llu runs, %.0f s; nearest to its bound: %.0f %% "
        "(seed %llu)\n",
        static_cast<unsigned long long>(wishes), static_cast<unsigned long long>(worst_wish_runs),
        worst_wish_seconds, 100 * worst_wish, static_cast<unsigned long long>(worst_wish_seed));
  }
  std::printf("what hurt, and how often:\n");
  for (size_t i = 0; i < tessera::sim::kBites; ++i) {
    const auto bite = static_cast<tessera::sim::Bite>(i);
    std::printf("%12llu %s\n", static_cast<unsigned long long>(faults.of(bite)),
                tessera::sim::NameOf(bite));
  }
  return failed == 0 ? 0 : 1;
}
