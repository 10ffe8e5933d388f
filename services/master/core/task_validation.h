// Whether what a framework asks to launch may run on the offers that it names. Pure; the first
// broken rule is told, as INVALID_ARGUMENT whose message is the text of the status that the
// framework gets. What can be judged by a description alone is judged by ReadTask.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/master/core/books.h"
#include "services/master/core/launch_request.h"

namespace tessera::master {

// The executor of what is launched.
struct CheckedExecutor {
  // Of one that lives on the agent; not valid when it has to be booked.
  model::Incarnation living;
  // What it has to be given, allocated to the role of the offers; empty when it lives.
  model::Resources resources;
};

struct CheckedTask {
  // Allocated to the role of the offers.
  model::Resources resources;
  // Of a task that names one.
  std::optional<CheckedExecutor> executor;
};

struct LaunchContext {
  const MasterConfig& config;
  const Framework& framework;
  const Agent& agent;
  const std::string& role;
  // What is left of the offers.
  const model::Resources& available;
};

// A task of Launch, its executor and the fit into what is available.
absl::StatusOr<CheckedTask> CheckTask(const LaunchContext& context, const TaskRequest& task);

struct CheckedGroup {
  std::vector<model::Resources> tasks;
  CheckedExecutor executor;
};

// A group: its executor, every member, and the fit of all together.
absl::StatusOr<CheckedGroup> CheckGroup(const LaunchContext& context,
                                        const ExecutorRequest& executor,
                                        const std::vector<TaskRequest>& tasks);

}  // namespace tessera::master
