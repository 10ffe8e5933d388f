// What a burst of launches costs the agent's core, a task: from the master's message to the running
// container, with a snapshot for readers after each event. One `figure agent_burst.tasks_<n>
// <value> us` of cpu time a task for each size of burst: it must not grow with n.

#include <time.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protos/tessera/model/v1/framework.pb.h"
#include "services/agent/core/agent_core.h"
#include "services/model/wire/incarnation.h"

namespace tessera::agent {
namespace {

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

model::v1::Resource Scalar(const std::string& name, int64_t milli, bool allocated) {
  model::v1::Resource resource;
  resource.set_name(name);
  resource.mutable_scalar()->set_milli(milli);
  if (allocated) resource.set_allocation_role("web");
  return resource;
}

// An agent, and a world that answers at once.
class Burst {
 public:
  Burst()
      : core_(
            Config(), [this] { return Uuid(); }, base::Rng(1)) {
    Step(Started{});
    while (link_ == 0) {
      now_ = core_.NextDeadline();
      Step(Wake{});
    }
    agentlink::v1::ConnectResponse batch;
    batch.set_epoch(1);
    batch.add_messages()->mutable_registered()->set_agent_id("agent-1");
    Step(LinkReceived{link_, batch});
    batch.clear_messages();
    model::v1::FrameworkInfo framework;
    framework.set_id("fw");
    framework.set_user("root");
    auto* describe = batch.add_messages()->mutable_describe_framework();
    describe->set_framework_id("fw");
    describe->set_info(framework.SerializeAsString());
    Step(LinkReceived{link_, batch});
  }

  // Returns how many tasks run in the end.
  uint64_t Run(int tasks) {
    for (int i = 1; i <= tasks; ++i) {
      agentlink::v1::ConnectResponse batch;
      batch.set_epoch(1);
      auto* run = batch.add_messages()->mutable_run_task();
      run->set_framework_id("fw");
      run->set_resource_version(version_);
      model::v1::TaskInfo info;
      info.set_id("task-" + std::to_string(i));
      info.set_name("a task");
      info.mutable_command()->set_shell(true);
      info.mutable_command()->set_value("sleep 1000");
      run->mutable_task()->set_task_id(info.id());
      run->mutable_task()->set_info(info.SerializeAsString());
      *run->mutable_task()->add_resources() = Scalar("cpus", 10, true);
      *run->mutable_task()->add_resources() = Scalar("mem", 32'000, true);
      *run->mutable_task()->mutable_incarnation() =
          model::wire::ToProto({1, static_cast<uint64_t>(i)});
      Step(LinkReceived{link_, std::move(batch)});
    }
    return core_.View()->tasks[model::v1::TASK_RUNNING];
  }

 private:
  static AgentConfig Config() {
    AgentConfig config;
    config.info.set_hostname("host");
    *config.info.add_resources() = Scalar("cpus", 1'000'000, false);
    *config.info.add_resources() = Scalar("mem", int64_t{1'000'000} * 1000, false);
    config.masters = {"m:1"};
    return config;
  }

  std::string Uuid() {
    std::string uuid(16, '\0');
    ++uuids_;
    for (int i = 0; i < 8; ++i) uuid[i] = static_cast<char>(uuids_ >> (8 * i));
    return uuid;
  }

  void Step(Event event) {
    std::vector<Event> events;
    events.push_back(std::move(event));
    while (!events.empty()) {
      Effects effects;
      for (const Event& next : std::exchange(events, {})) core_.Step(now_, next, &effects);
      if (core_.view_version() != shown_) {
        shown_ = core_.view_version();
        view_ = core_.View();
      }
      for (const Effect& effect : effects) Answer(effect, &events);
    }
  }

  void Answer(const Effect& effect, std::vector<Event>* events) {
    if (const auto* persist = std::get_if<Persist>(&effect)) {
      events->push_back(Persisted{persist->id});
    } else if (const auto* open = std::get_if<OpenLink>(&effect)) {
      link_ = open->link;
    } else if (const auto* send = std::get_if<SendToMaster>(&effect)) {
      if (send->message.has_register_()) version_ = send->message.register_().resource_version();
      if (!send->message.has_status_update()) return;
      const auto& update = send->message.status_update();
      agentlink::v1::ConnectResponse batch;
      batch.set_epoch(1);
      auto* acknowledge = batch.add_messages()->mutable_acknowledge_update();
      *acknowledge->mutable_incarnation() = update.incarnation();
      acknowledge->set_uuid(update.status().uuid());
      events->push_back(LinkReceived{link_, std::move(batch)});
    } else if (const auto* launch = std::get_if<LaunchContainer>(&effect)) {
      LaunchedContainer launched;
      launched.container_id = launch->spec.container_id;
      launched.identity.init_pid = 100;
      launched.started = now_;
      events->push_back(ContainerLaunched{launch->spec.container_id, launched});
    } else if (std::holds_alternative<RecoverContainers>(effect)) {
      events->push_back(ContainersRecovered{RecoveryResult{}});
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  uint64_t uuids_ = 0;
  uint64_t link_ = 0;
  uint64_t version_ = 0;
  uint64_t shown_ = 0;
  std::shared_ptr<const AgentView> view_;
  AgentCore core_;
};

int Main() {
  for (const int tasks : {1'000, 10'000, 20'000}) {
    Burst burst;
    const double began = CpuSeconds();
    const uint64_t running = burst.Run(tasks);
    const double seconds = CpuSeconds() - began;
    if (running != static_cast<uint64_t>(tasks)) {
      std::fprintf(stderr, "%llu of %d tasks run\n", static_cast<unsigned long long>(running),
                   tasks);
      return 1;
    }
    std::printf("figure agent_burst.tasks_%d %.1f us\n", tasks, seconds / tasks * 1e6);
  }
  return 0;
}

}  // namespace
}  // namespace tessera::agent

int main() { return tessera::agent::Main(); }
