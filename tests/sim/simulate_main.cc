// simulate: runs whole clusters from seeds, each twice, and says which seed breaks a rule.

#include <cstdio>
#include <iostream>

#include "absl/flags/flag.h"
#include "absl/time/clock.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "tests/sim/simulation.h"

ABSL_FLAG(uint64_t, seeds, 200, "number of seeds to run");
ABSL_FLAG(uint64_t, first_seed, 1, "the first seed; the others follow by one");
ABSL_FLAG(bool, twice, true, "run each seed twice and compare what happened");
ABSL_FLAG(bool, verbose, false, "tell what happens in each run");

int main(int argc, char** argv) {
  const tessera::base::ProgramInfo info = {
      "simulate", "Runs simulated clusters, one for each seed, and checks the rules of the design.",
      "[flags]"};
  tessera::base::ParseCommandLineOrExit(argc, argv, info);
  tessera::base::StartLogging("simulate");
  const uint64_t first = absl::GetFlag(FLAGS_first_seed), seeds = absl::GetFlag(FLAGS_seeds);
  const absl::Time began = absl::Now();
  uint64_t events = 0, tasks = 0, crashes = 0, stops = 0, views = 0, failed = 0;
  double virtual_seconds = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    tessera::sim::RunResult result = tessera::sim::RunSeed(seed, absl::GetFlag(FLAGS_verbose));
    if (result.failure.empty() && absl::GetFlag(FLAGS_twice)) {
      const auto again = tessera::sim::RunSeed(seed);
      if (again.digest != result.digest) {
        result.failure = "runs are a function of their seed: a second run differs";
      }
    }
    events += result.events;
    tasks += result.tasks;
    crashes += result.crashes;
    stops += result.stops;
    views += result.views;
    virtual_seconds += result.virtual_seconds;
    if (absl::GetFlag(FLAGS_verbose)) {
      std::cout << "seed " << seed << ": " << result.shape << ", " << result.tasks << " tasks, "
                << result.crashes << " crashes, " << result.stops << " stops, " << result.leaders
                << " leaders, " << result.events << " events\n";
    }
    if (!result.failure.empty()) {
      ++failed;
      std::cout << "seed " << seed << " FAILED: " << result.failure << "\n  (" << result.shape
                << "; replay: make sim SEEDS=1 FIRST=" << seed << ")" << std::endl;
      if (failed >= 20) {
        std::cout << "too many failures, stopping\n";
        break;
      }
    }
  }
  std::printf(
      "%llu seeds, %llu failed; %llu tasks, %llu crashes, %llu stops, %llu views compared, %llu "
      "events, %.0f virtual hours in "
      "%.1f s\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(tasks), static_cast<unsigned long long>(crashes),
      static_cast<unsigned long long>(stops), static_cast<unsigned long long>(views),
      static_cast<unsigned long long>(events), virtual_seconds / 3600,
      absl::ToDoubleSeconds(absl::Now() - began));
  return failed == 0 ? 0 : 1;
}
