// What tests of agent-svc tell the agent to do, and how they wait for what comes of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"
#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::agent::testing {

// A launch without its incarnation, which FakeMaster gives.
inline agentlink::v1::TaskLaunch TaskOf(const std::string& id, const std::string& command,
                                        int64_t mem = 64) {
  model::v1::TaskInfo info;
  info.set_id(id);
  info.set_name(id);
  info.mutable_command()->set_shell(true);
  info.mutable_command()->set_value(command);
  agentlink::v1::TaskLaunch launch;
  launch.set_task_id(id);
  launch.set_info(info.SerializeAsString());
  auto* cpus = launch.add_resources();
  cpus->set_name("cpus");
  cpus->mutable_scalar()->set_milli(100);
  auto* memory = launch.add_resources();
  memory->set_name("mem");
  memory->mutable_scalar()->set_milli(mem * 1000);
  return launch;
}

inline agentlink::v1::MasterMessage RunTask(const std::string& id, const std::string& command,
                                            int64_t mem = 64) {
  agentlink::v1::MasterMessage message;
  message.mutable_run_task()->set_framework_id("fw");
  *message.mutable_run_task()->mutable_task() = TaskOf(id, command, mem);
  return message;
}

// Changes what the framework wrote of the task.
inline void Describe(agentlink::v1::TaskLaunch* launch,
                     const std::function<void(model::v1::TaskInfo*)>& change) {
  model::v1::TaskInfo info;
  info.ParseFromString(launch->info());
  change(&info);
  launch->set_info(info.SerializeAsString());
}

// A group of a default executor that begins with it.
inline agentlink::v1::MasterMessage RunTaskGroup(
    const std::string& executor_id, const std::vector<agentlink::v1::TaskLaunch>& tasks) {
  agentlink::v1::MasterMessage message;
  auto* group = message.mutable_run_task_group();
  group->set_framework_id("fw");
  model::v1::ExecutorInfo info;
  info.set_id(executor_id);
  info.set_type(model::v1::ExecutorInfo::DEFAULT);
  group->mutable_executor()->set_executor_id(executor_id);
  group->mutable_executor()->set_info(info.SerializeAsString());
  group->mutable_executor()->set_launch_executor(true);
  for (const auto& task : tasks) *group->add_tasks() = task;
  return message;
}

// FakeMaster says which launch of the id is meant: the newest.
inline agentlink::v1::MasterMessage KillTask(const std::string& id, int64_t grace_seconds) {
  agentlink::v1::MasterMessage message;
  message.mutable_kill_task()->set_framework_id("fw");
  message.mutable_kill_task()->set_task_id(id);
  message.mutable_kill_task()->mutable_kill_policy()->mutable_grace_period()->set_seconds(
      grace_seconds);
  return message;
}

// Waits until it is so; false when it does not come to be in time.
inline bool Await(const std::function<bool()>& so, absl::Duration timeout = absl::Seconds(30)) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!so()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace tessera::agent::testing
