#include "services/agent/server/agent_shell.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/server/agent_random.h"
#include "services/rpc/clock.h"

namespace tessera::agent {
namespace {

constexpr size_t kOperatorCallsMax = 4096;

// Without payloads, which are for programs.
std::string Words(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

// Answers of the runtime that only tell of a race with a container's end.
void LogUnlessGone(const char* what, const std::string& container_id, const absl::Status& status) {
  if (status.ok() || absl::IsNotFound(status)) return;
  LOG(WARNING) << what << " of " << container_id << " failed: " << Words(status);
}

}  // namespace

AgentShell::AgentShell(AgentMetrics* metrics)
    : metrics_(metrics),
      view_(std::make_shared<const AgentView>()),
      operator_calls_(kOperatorCallsMax),
      core_(rpc::StrandOptions{.name = "agent"}, rpc::MonotonicClock(), Wake{}, this) {}

AgentShell::~AgentShell() { Stop(); }

void AgentShell::Start(Options options, RecordLog* log, ContainerRuntime* runtime) {
  runtime_ = runtime;
  on_fatal_ = std::move(options.on_fatal);
  recovery_mark_ = std::make_unique<RecoveryMark>(std::move(options.on_recovered));
  const std::string sandbox_root = options.config.sandbox_root;
  writer_ = std::make_unique<LogWriter>(
      log,
      [this](uint64_t id) {
        core_.PushReserved(Persisted{id});
        recovery_mark_->Durable(id);
      },
      [this](bool low) { core_.PushReserved(LogSpace{low}); });
  metrics_->SetSources([this] {
    return AgentMetrics::Sources{.view = View(),
                                 .runtime = runtime_->Counters(),
                                 .strand = &core_.metrics(),
                                 .steps = core_.StepCounts(),
                                 .effects = core_.EffectCounts(),
                                 .log = &writer_->counters()};
  });
  chores_ = std::make_unique<Chores>(sandbox_root, options.disk_watch_interval,
                                     [this](double used) { core_.PushReserved(DiskUsed{used}); });
  core_.Start(std::make_unique<AgentCore>(std::move(options.config), MakeUuidSource(),
                                          base::Rng(RandomSeed())),
              Started{std::move(options.records), options.rebooted});
}

void AgentShell::Stop() {
  metrics_->SetSources(nullptr);
  core_.Stop();
  links_.CancelAll(absl::CancelledError("the agent stops"));
  chores_.reset();
  // What the core wanted to be durable is still written.
  writer_.reset();
}

void AgentShell::OnTerminated(const ContainerTermination& termination) {
  core_.PushReserved(ContainerEnded{termination});
}

std::shared_ptr<const AgentView> AgentShell::View() const { return std::atomic_load(&view_); }

void AgentShell::AfterBatch(absl::Time, const AgentCore& core) {
  if (core.view_version() == published_version_) return;
  published_version_ = core.view_version();
  auto view = core.View();
  if (view->recovered) recovery_mark_->Recovered();
  std::atomic_store(&view_, std::move(view));
}

// ---- Operators ----

uint64_t AgentShell::Signal(const std::string& container_id, int signal_number,
                            const auth::Caller& caller, OperatorCalls::Callback done) {
  const uint64_t call = operator_calls_.Add(std::move(done));
  return Ask(call, OperatorSignal{call, container_id, signal_number, caller});
}

uint64_t AgentShell::Wait(const std::string& container_id, const auth::Caller& caller,
                          OperatorCalls::Callback done) {
  const uint64_t call = operator_calls_.Add(std::move(done));
  return Ask(call, OperatorWait{call, container_id, caller});
}

uint64_t AgentShell::Ask(uint64_t call, Event question) {
  if (call == 0 || core_.Push(std::move(question)).ok()) return call;
  operator_calls_.Remove(call);
  return 0;
}

bool AgentShell::Forget(uint64_t call) {
  if (!operator_calls_.Remove(call)) return false;
  core_.PushReserved(OperatorGone{call});
  return true;
}

// ---- Effects ----

void AgentShell::Do(RecoverContainers& effect) {
  LOG(INFO) << "Looking for " << effect.expected_container_ids.size() << " containers";
  ExpectedContainers expected;
  expected.pods.assign(effect.expected_pod_ids.begin(), effect.expected_pod_ids.end());
  expected.containers.assign(effect.expected_container_ids.begin(),
                             effect.expected_container_ids.end());
  runtime_->Recover(std::move(expected), [this](absl::StatusOr<RecoveryResult> result) {
    if (result.ok()) {
      for (const ContainerId& id : result->destroyed_orphans) {
        LOG(WARNING) << "Destroyed container " << id << ", which nobody expected";
      }
    }
    core_.PushReserved(ContainersRecovered{std::move(result)});
  });
}

void AgentShell::Do(OpenLink& effect) {
  LOG(INFO) << "Connecting to the master at " << effect.address;
  const uint64_t number = effect.link;
  links_.Open(
      number, effect.address,
      [this, number](agentlink::v1::ConnectResponse batch) {
        return core_.Push(LinkReceived{number, std::move(batch)});
      },
      [this, number, address = effect.address](const absl::Status& status) {
        LOG(INFO) << "The link to the master at " << address << " has ended: " << Words(status);
        core_.PushReserved(LinkClosed{number, status});
      });
}

void AgentShell::Do(SendToMaster& effect) { links_.Queue(effect.link, std::move(effect.message)); }

void AgentShell::Do(CloseLink& effect) {
  if (links_.Close(effect.link, effect.reason)) {
    LOG(WARNING) << "Gave up the link to the master: " << Words(effect.reason);
  }
}

void AgentShell::Do(Persist& effect) {
  recovery_mark_->Persisting(effect.id);
  writer_->Write(effect.id, std::move(effect.records), effect.replace);
}

void AgentShell::Do(CreatePod& effect) {
  const std::string id = effect.spec.pod_id;
  runtime_->CreatePod(std::move(effect.spec), [this, id](PodResult result) {
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
      LOG(WARNING) << "Making pod " << id << " failed: " << failure->message;
    }
    core_.PushReserved(PodCreated{id, std::move(result)});
  });
}

void AgentShell::Do(UpdatePod& effect) {
  runtime_->UpdatePod(effect.pod_id, effect.limits,
                      [id = effect.pod_id](absl::Status s) { LogUnlessGone("Update", id, s); });
}

void AgentShell::Do(DestroyPod& effect) {
  runtime_->DestroyPod(effect.pod_id, [this, id = effect.pod_id](absl::Status status) {
    LogUnlessGone("Destroy", id, status);
    core_.PushReserved(PodDestroyed{id, std::move(status)});
  });
}

void AgentShell::Do(LaunchContainer& effect) {
  const std::string id = effect.spec.container_id;
  const int64_t began = absl::GetCurrentTimeNanos();
  runtime_->Launch(std::move(effect.spec), [this, id, began](LaunchResult result) {
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
      LOG(WARNING) << "Launch of container " << id << " failed: " << failure->message;
    } else {
      metrics_->ObserveLaunch(absl::Nanoseconds(absl::GetCurrentTimeNanos() - began));
    }
    core_.PushReserved(ContainerLaunched{id, std::move(result)});
  });
}

void AgentShell::Do(KillContainer& effect) {
  runtime_->Kill(effect.container_id, effect.grace,
                 [id = effect.container_id](absl::Status s) { LogUnlessGone("Kill", id, s); });
}

void AgentShell::Do(DestroyContainer& effect) {
  runtime_->Destroy(effect.container_id, [id = effect.container_id](absl::Status s) {
    LogUnlessGone("Destroy", id, s);
  });
}

void AgentShell::Do(SignalContainer& effect) {
  runtime_->Signal(effect.container_id, effect.signal_number,
                   [id = effect.container_id](absl::Status s) { LogUnlessGone("Signal", id, s); });
}

void AgentShell::Do(ReleaseContainer& effect) {
  runtime_->Release(effect.container_id, [id = effect.container_id](absl::Status s) {
    LogUnlessGone("Release", id, s);
  });
}

void AgentShell::Do(DeleteSandbox& effect) {
  chores_->DeleteTree(effect.path, effect.with_empty_parents,
                      [this, id = effect.id](absl::Status status) {
                        if (!status.ok()) LOG(WARNING) << status.ToString();
                        core_.PushReserved(SandboxDeleted{id, std::move(status)});
                      });
}

void AgentShell::Do(AnswerOperator& effect) {
  operator_calls_.Answer(effect.call, effect.status, effect.termination);
}

void AgentShell::Do(Fatal& effect) {
  if (on_fatal_) std::exchange(on_fatal_, nullptr)(effect.message);
}

}  // namespace tessera::agent
