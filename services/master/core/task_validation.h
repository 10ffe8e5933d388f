// What a task, an executor and a group may be. Pure; the first broken rule is told, as
// INVALID_ARGUMENT whose message is the text of the status that the framework gets.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/master/core/books.h"
#include "services/master/core/contracts.h"

namespace tessera::master {

// A task or executor with its resources read: allocated to the role of the offers.
struct CheckedTask {
  model::Resources resources;
  // Of an executor that does not run on the agent yet; empty otherwise.
  model::Resources executor_resources;
  // The executor's id, and whether it has to be booked; empty for a command.
  std::string executor_id;
  bool new_executor = false;
};

struct LaunchContext {
  const MasterConfig& config;
  const Framework& framework;
  const Agent& agent;
  const std::string& role;
  const model::Resources& available;
};

// Everything but the fit: id, agent, durations, checks, container, resources by themselves.
absl::StatusOr<model::Resources> CheckTaskAlone(const LaunchContext& context,
                                                const pb::TaskInfo& task);

// A task of Launch, its executor and the fit into what is available.
absl::StatusOr<CheckedTask> CheckTask(const LaunchContext& context, const pb::TaskInfo& task);

struct CheckedGroup {
  std::vector<model::Resources> tasks;
  model::Resources executor_resources;
  bool new_executor = false;
};

// A group: its executor, every member, and the fit of all together.
absl::StatusOr<CheckedGroup> CheckGroup(const LaunchContext& context,
                                        const pb::ExecutorInfo& executor,
                                        const pb::TaskGroupInfo& group);

}  // namespace tessera::master
