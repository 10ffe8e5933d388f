// Tasks in dense rows. They are found by id through their framework's row.
//
// Invariants: a task holds resources on its agent exactly while `holds()` is true, which turns
// false once, at the first terminal state or UNREACHABLE, and true again only when its agent brings
// it back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "services/master/core/indexes.h"
#include "services/master/core/master_events.h"
#include "services/master/core/slots.h"
#include "services/model/resources.h"
#include "services/model/wire/task_state.h"

namespace tessera::master {

using model::wire::IsTerminal;
// Forwarded only to frameworks that are PARTITION_AWARE.
bool NeedsPartitionAware(pb::TaskState state);

struct Task {
  TaskIndex index;
  FrameworkIndex framework;
  // Not valid once its agent has left the table.
  AgentIndex agent;
  std::string agent_id;
  // The description without `data`.
  std::shared_ptr<const pb::TaskInfo> info;
  // With allocation roles.
  model::Resources resources;
  pb::TaskState state = pb::TASK_STAGING;
  // The newest status forwarded to the framework by this master, without `data`.
  std::shared_ptr<const pb::TaskStatus> forwarded;
  absl::Time unreachable_since = absl::InfinitePast();
  // Its number in the framework's order of unreachable tasks; 0 when it is none.
  uint64_t unreachable_order = 0;
  // A kill was asked for; repeated when the agent comes back.
  bool kill_wanted = false;
  std::optional<pb::KillPolicy> kill_policy;

  const std::string& id() const { return info->id(); }
  bool unreachable() const { return unreachable_order != 0; }
  bool holds() const { return !unreachable() && !IsTerminal(state); }
};

using TaskTable = Slots<TaskIndex, Task>;

}  // namespace tessera::master
