// One simulated cluster from one seed: all cores in one thread, faults drawn from the seed, judged
// from outside.
//
// A run has two parts. In the first, processes crash or stop, streams break and networks part, at
// rates drawn for the whole run (swarm testing: some runs have only one kind of fault, some all).
// In the second everything is healed, and the cluster must come to rest: all work done, all books
// even, all readers shown the same.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/faults.h"
#include "tests/sim/run_kind.h"

namespace tessera::sim {

struct RunResult {
  uint64_t seed = 0;
  // What broke, empty when all held.
  std::string failure;
  // Folds in everything that happened.
  uint64_t digest = 0;
  uint64_t events = 0;
  uint64_t tasks = 0;
  // What hurt, and how often.
  FaultCounts faults;
  uint64_t leaders = 0;
  // How many times what a reader was shown was held against what a master had.
  uint64_t views = 0;
  // Changes of quotas and weights that operators were confirmed.
  uint64_t quota_changes = 0;
  // Allocations that were judged while some quota was set.
  uint64_t quota_judgements = 0;
  // Of the needy: wishes that were fulfilled, and the one that came nearest to its bound, in the
  // allocator's runs over all agents and in seconds.
  uint64_t wishes = 0;
  uint64_t worst_wish_runs = 0;
  uint64_t worst_wish_runs_max = 0;
  double worst_wish_seconds = 0;
  double virtual_seconds = 0;
  // One line on what the run consisted of.
  std::string shape;
};

// The command by which people run the seed again.
std::string ReplayCommand(uint64_t seed, RunKind kind);

// Runs one seed. With `verbose` tells on stderr what it does.
RunResult RunSeed(uint64_t seed, RunKind kind, bool verbose = false);

}  // namespace tessera::sim
