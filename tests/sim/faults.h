// What hurt, counted where it hurt.
//
// A fault that is drawn and hits nothing tests nothing: a crash while the disk is idle, a cut wire
// that nobody used. So each kind is counted at the moment when it has had an effect that the
// product must deal with, and the tests demand that over their seeds every kind did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::sim {

enum class Bite {
  // ---- Crashes at an effect: the process died right before, right after, or soon after it.
  kAgentPersists,
  kAgentLaunches,
  kAgentReports,
  kAgentListsInventory,
  kMasterLaunches,
  kMasterCommits,
  kMasterAcknowledges,
  kMasterAnswersAccept,
  kRegistryPersists,
  kRegistryAnswersCommit,
  kFrameworkAccepts,
  kFrameworkAcknowledges,
  // ---- Disks.
  // An agent crashed with records that were not synced.
  kAgentCrashWithUnsynced,
  // And a part of a frame of its log was on the disk.
  kAgentLogTorn,
  // The registry crashed with batches that were not synced.
  kRegistryCrashWithUnsynced,
  // Commits without an answer that were found there, or not, after a crash.
  kCommitWithoutAnswerSurvived,
  kCommitWithoutAnswerLost,
  // A sync took longer than a second.
  kSyncStalled,
  // An agent dialled anew while tasks that it had been sent were not on its disk.
  kRedialWithUnsyncedTasks,
  // An agent was sent a task while its disk gave no space.
  kTaskWithoutLogSpace,
  // ---- Network.
  kWireBroken,
  kWireSilent,
  kPartition,
  kOneWayPartition,
  // What a process said before it crashed arrived after it had.
  kWordsOutlivedProcess,
  // What a silent wire held back arrived when it was healed.
  kLateDelivery,
  // A call was carried out and its caller never heard of it.
  kCallWithoutAnswer,
  // A framework was sent a status that it had heard before.
  kStatusTwice,
  // ---- Processes and machines.
  kCrash,
  kOrderlyStop,
  // A process started with another idea of the time than it had before.
  kClockJumped,
  // A machine was booted while containers ran on it.
  kReboot,
  // An agent came back without its log, as another agent of the same address.
  kAgentReinstalled,
  // A second agent announced the address of another one.
  kTwoAgentsOneAddress,
  // ---- People and frameworks.
  kIdReusedAtOnce,
  kGroupLaunched,
  // A group began on an executor that had ended, or was ending.
  kExecutorNameReused,
  // A launch with an executor of a framework's own.
  kExecutorRefused,
  kOperatorKill,
  kAgentDrained,
  kAgentDeactivated,
  kAgentMarkedGone,
  kMaintenance,
  kQuotaChanged,
  kCount,
};

inline constexpr size_t kBites = static_cast<size_t>(Bite::kCount);

// `crashes_with_unsynced`-like: one word for tables.
const char* NameOf(Bite bite);

class FaultCounts {
 public:
  void Add(Bite bite, uint64_t times = 1) { counts_[static_cast<size_t>(bite)] += times; }
  uint64_t of(Bite bite) const { return counts_[static_cast<size_t>(bite)]; }
  void Merge(const FaultCounts& other) {
    for (size_t i = 0; i < kBites; ++i) counts_[i] += other.counts_[i];
  }

 private:
  std::array<uint64_t, kBites> counts_{};
};

}  // namespace tessera::sim
