#include "services/agent/runtime/orphans.h"

#include <glog/logging.h>
#include <signal.h>

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "services/agent/runtime/process_identity.h"

namespace tessera::agent {
namespace {

constexpr int kOrphanEndMilliseconds = 10'000;

// The number in `c7`, `p3` or `p3/c7`: its last.
uint64_t NumberOfCgroup(const std::string& name) {
  uint64_t number = 0;
  const size_t letter = name.find_last_of("cp");
  const bool read =
      letter != std::string::npos && absl::SimpleAtoi(name.substr(letter + 1), &number);
  return read ? number : 0;
}

}  // namespace

bool DestroyOrphan(RuntimeParts* parts, const ContainerId& id) {
  const absl::StatusOr<ContainerState> state = parts->states.Read(id);
  bool ran = false;
  std::vector<SavedUndo> undo;
  if (state.ok() && state->identity.boot_id == parts->boot_id) {
    undo = state->undo;
    const absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(state->identity, parts->boot_id);
    if (pidfd.ok()) {
      ran = true;
      parts->executor.Signal(pidfd->get(), SIGKILL);
      LOG_IF(ERROR, !WaitForEnd(pidfd->get(), kOrphanEndMilliseconds))
          << "orphaned container " << id << " does not end";
    }
    if (!state->own_pids) parts->executor.KillCgroup(state->cgroup).IgnoreError();
  }
  const absl::Status undone = parts->runner.TakeBack(id, undo);
  LOG_IF(ERROR, !undone.ok()) << "orphaned container " << id << ": " << undone.message();
  if (undone.ok()) parts->states.Remove(id);
  return ran;
}

void DestroyOrphanedPod(RuntimeParts* parts, const ContainerId& id) {
  const absl::StatusOr<PodState> state = parts->states.ReadPod(id);
  // Of a file that cannot be read the sweep takes the cgroup. What another boot has made in the
  // kernel is gone, and its names may be others' now.
  const bool same_boot = state.ok() && state->boot_id == parts->boot_id;
  const absl::Status undone =
      parts->runner.TakeBack(id, same_boot ? state->undo : std::vector<SavedUndo>());
  LOG_IF(ERROR, !undone.ok()) << "orphaned pod " << id << ": " << undone.message();
  if (undone.ok()) parts->states.RemovePod(id);
}

void TakeBackOrphanedSteps(RuntimeParts* parts, const std::set<ContainerId>& known) {
  for (const ContainerId& owner : parts->runner.Owners()) {
    if (known.count(owner) > 0) continue;
    const absl::Status undone = parts->runner.TakeBack(owner, {});
    LOG_IF(ERROR, !undone.ok()) << "cannot take back what " << owner
                                << " has made: " << undone.message();
  }
}

uint64_t SweepCgroups(RuntimeParts* parts, const std::set<std::string>& owned) {
  uint64_t highest = 0;
  for (const std::string& cgroup : parts->tree.List()) {
    highest = std::max(highest, NumberOfCgroup(cgroup));
    if (cgroup.find('/') != std::string::npos || owned.count(cgroup) > 0) continue;
    const absl::Status killed = parts->executor.KillCgroup(cgroup);
    LOG_IF(ERROR, !killed.ok()) << "orphaned cgroup: " << killed.message();
    parts->reaper.Remove(cgroup, {});
  }
  return highest;
}

}  // namespace tessera::agent
