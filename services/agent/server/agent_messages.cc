#include "services/agent/server/agent_messages.h"

#include "services/agent/core/task_outcome.h"
#include "services/agent/core/wire_time.h"

namespace tessera::agent {

v1::Container ToMessage(const ContainerView& container) {
  v1::Container message;
  message.set_id(container.container_id);
  switch (container.state) {
    case ContainerView::State::kStarting:
      message.set_state(v1::Container::STARTING);
      break;
    case ContainerView::State::kRunning:
      message.set_state(v1::Container::RUNNING);
      break;
    case ContainerView::State::kEnding:
      message.set_state(v1::Container::ENDING);
      break;
    case ContainerView::State::kEnded:
      message.set_state(v1::Container::ENDED);
      break;
  }
  message.set_framework_id(container.framework_id);
  message.set_executor_id(container.executor_id);
  message.set_task_id(container.task_id);
  message.set_init_pid(container.init_pid);
  if (container.started != absl::InfinitePast()) {
    *message.mutable_start_time() = ToTimestamp(container.started);
  }
  message.set_sandbox(container.sandbox);
  for (const model::v1::Resource& resource : container.resources) {
    *message.add_resources() = resource;
  }
  if (container.termination.has_value()) {
    *message.mutable_termination() = ToMessage(*container.termination);
  }
  return message;
}

v1::Usage ToMessage(const ContainerUsage& usage) {
  v1::Usage message;
  *message.mutable_time() = ToTimestamp(usage.taken);
  if (usage.cpu_user_time)
    message.set_cpu_user_seconds(absl::ToDoubleSeconds(*usage.cpu_user_time));
  if (usage.cpu_system_time) {
    message.set_cpu_system_seconds(absl::ToDoubleSeconds(*usage.cpu_system_time));
  }
  if (usage.cpus_limit_milli) {
    message.set_cpu_limit(static_cast<double>(*usage.cpus_limit_milli) / 1000.0);
  }
  if (usage.cpu_periods) message.set_cpu_periods(*usage.cpu_periods);
  if (usage.cpu_throttled_periods) message.set_cpu_throttled_periods(*usage.cpu_throttled_periods);
  if (usage.cpu_throttled_time) {
    message.set_cpu_throttled_seconds(absl::ToDoubleSeconds(*usage.cpu_throttled_time));
  }
  if (usage.memory_total_bytes) message.set_memory_total_bytes(*usage.memory_total_bytes);
  if (usage.memory_limit_bytes) message.set_memory_limit_bytes(*usage.memory_limit_bytes);
  if (usage.memory_rss_bytes) message.set_memory_rss_bytes(*usage.memory_rss_bytes);
  if (usage.memory_cache_bytes) message.set_memory_cache_bytes(*usage.memory_cache_bytes);
  if (usage.processes) message.set_processes(static_cast<uint32_t>(*usage.processes));
  if (usage.threads) message.set_threads(static_cast<uint32_t>(*usage.threads));
  return message;
}

v1::Termination ToMessage(const ContainerTermination& termination) {
  v1::Termination message;
  message.set_wait_status(termination.wait_status);
  message.set_message(termination.message);
  *message.mutable_time() = ToTimestamp(termination.ended);
  if (termination.limitation.has_value()) {
    message.set_reason(ReasonOf(*termination.limitation));
    *message.add_limitation() = MaximumUsed(*termination.limitation);
  }
  return message;
}

}  // namespace tessera::agent
