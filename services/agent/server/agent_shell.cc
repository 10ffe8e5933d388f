#include "services/agent/server/agent_shell.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/server/agent_random.h"
#include "services/agent/server/master_link.h"
#include "services/base/file_io.h"
#include "services/rpc/error.h"

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
      clock_(rpc::MonotonicClock()),
      view_(std::make_shared<const AgentView>()) {}

AgentShell::~AgentShell() { Stop(); }

void AgentShell::Start(Options options, RecordLog* log, ContainerRuntime* runtime) {
  runtime_ = runtime;
  on_recovered_ = std::move(options.on_recovered);
  on_fatal_ = std::move(options.on_fatal);
  const std::string sandbox_root = options.config.sandbox_root;
  core_ = std::make_unique<AgentCore>(std::move(options.config), MakeUuidSource(),
                                      base::Rng(RandomSeed()));
  rpc::StrandOptions strand_options;
  strand_options.name = "agent-strand";
  strand_ = std::make_unique<CoreStrand>(
      strand_options, core_.get(), clock_, Event(Wake{}),
      [this](absl::Time, std::vector<Effect> effects) { CarryOut(std::move(effects)); },
      [this](absl::Time, const AgentCore& core) { Publish(core); });
  writer_ = std::make_unique<LogWriter>(
      log,
      [this](uint64_t id) {
        strand_->PushReserved(Persisted{id});
        NoteRecovered(id);
      },
      [this](bool low) { strand_->PushReserved(LogSpace{low}); });
  metrics_->SetSources([this] {
    return AgentMetrics::Sources{View(), runtime_->Counters(), &strand_->metrics(),
                                 &writer_->counters()};
  });
  chores_ =
      std::make_unique<Chores>(sandbox_root, options.disk_watch_interval,
                               [this](double used) { strand_->PushReserved(DiskUsed{used}); });
  strand_->PushReserved(Started{std::move(options.records), options.rebooted});
  {
    absl::MutexLock lock(&mu_);
    started_ = true;
  }
  strand_->Start();
}

void AgentShell::Stop() {
  {
    absl::MutexLock lock(&mu_);
    if (stopping_ || !started_) return;
    stopping_ = true;
  }
  metrics_->SetSources(nullptr);
  strand_->Stop();
  {
    // Streams call back until they have ended.
    absl::MutexLock lock(&mu_);
    for (const auto& weak : links_) {
      if (const auto link = weak.lock()) link->Cancel(absl::CancelledError("the agent stops"));
    }
    mu_.Await(absl::Condition(
        +[](int* open) { return *open == 0; }, &open_links_));
  }
  link_.reset();
  chores_.reset();
  // What the core wanted to be durable is still written.
  writer_.reset();
}

void AgentShell::OnTerminated(const ContainerTermination& termination) {
  strand_->PushReserved(ContainerEnded{termination});
}

std::shared_ptr<const AgentView> AgentShell::View() const { return std::atomic_load(&view_); }

void AgentShell::Publish(const AgentCore& core) {
  if (core.view_version() == published_version_) return;
  published_version_ = core.view_version();
  auto view = core.View();
  if (view->recovered && recovery_persist_ == kNotRecovered) {
    recovery_persist_ = last_persist_;
    if (last_persist_ == 0) NoteRecovered(0);
  }
  std::atomic_store(&view_, std::move(view));
}

// What the recovery found is durable once everything up to the persist before its publication is.
void AgentShell::NoteRecovered(uint64_t durable) {
  if (durable < recovery_persist_ || noted_.exchange(true)) return;
  if (on_recovered_) on_recovered_();
}

// ---- Operators ----

uint64_t AgentShell::AddCall(OperatorCallback done) {
  absl::MutexLock lock(&mu_);
  if (calls_.size() >= kOperatorCallsMax || stopping_ || !started_) return 0;
  calls_[++last_call_] = std::move(done);
  return last_call_;
}

uint64_t AgentShell::Signal(const std::string& container_id, int signal_number,
                            const auth::Caller& caller, OperatorCallback done) {
  const uint64_t call = AddCall(std::move(done));
  if (call == 0 || strand_->Push(OperatorSignal{call, container_id, signal_number, caller}))
    return call;
  Forget(call);
  return 0;
}

uint64_t AgentShell::Wait(const std::string& container_id, const auth::Caller& caller,
                          OperatorCallback done) {
  const uint64_t call = AddCall(std::move(done));
  if (call == 0 || strand_->Push(OperatorWait{call, container_id, caller})) return call;
  Forget(call);
  return 0;
}

bool AgentShell::Forget(uint64_t call) {
  {
    absl::MutexLock lock(&mu_);
    if (calls_.erase(call) == 0) return false;
  }
  strand_->PushReserved(OperatorGone{call});
  return true;
}

// ---- Effects ----

void AgentShell::CarryOut(std::vector<Effect> effects) {
  for (Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
  if (link_ != nullptr) link_->Flush();
}

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
    strand_->PushReserved(ContainersRecovered{std::move(result)});
  });
}

void AgentShell::Do(OpenLink& effect) {
  if (link_ != nullptr) link_->Flush();
  LOG(INFO) << "Connecting to the master at " << effect.address;
  const uint64_t number = effect.link;
  absl::MutexLock lock(&mu_);
  ++open_links_;
  link_ = MasterLink::Open(
      effect.address,
      [this, number](agentlink::v1::ConnectResponse batch) -> absl::Status {
        if (strand_->Push(LinkReceived{number, std::move(batch)})) return absl::OkStatus();
        return rpc::Overloaded("the agent's events");
      },
      [this, number, address = effect.address](const absl::Status& status) {
        LOG(INFO) << "The link to the master at " << address << " has ended: " << Words(status);
        strand_->PushReserved(LinkClosed{number, status});
        absl::MutexLock ended_lock(&mu_);
        --open_links_;
      });
  link_number_ = number;
  std::erase_if(links_, [](const auto& weak) { return weak.expired(); });
  links_.push_back(link_);
}

void AgentShell::Do(SendToMaster& effect) {
  if (effect.link == link_number_ && link_ != nullptr) link_->Queue(std::move(effect.message));
}

void AgentShell::Do(CloseLink& effect) {
  if (effect.link != link_number_ || link_ == nullptr) return;
  LOG(WARNING) << "Giving up the link to the master: " << Words(effect.reason);
  link_->Flush();
  link_->Cancel(effect.reason);
}

void AgentShell::Do(Persist& effect) {
  last_persist_ = effect.id;
  writer_->Write(effect.id, std::move(effect.records), effect.replace);
}

void AgentShell::Do(CreatePod& effect) {
  const std::string id = effect.spec.pod_id;
  runtime_->CreatePod(std::move(effect.spec), [this, id](PodResult result) {
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
      LOG(WARNING) << "Making pod " << id << " failed: " << failure->message;
    }
    strand_->PushReserved(PodCreated{id, std::move(result)});
  });
}

void AgentShell::Do(UpdatePod& effect) {
  runtime_->UpdatePod(effect.pod_id, effect.limits,
                      [id = effect.pod_id](absl::Status s) { LogUnlessGone("Update", id, s); });
}

void AgentShell::Do(DestroyPod& effect) {
  runtime_->DestroyPod(effect.pod_id, [this, id = effect.pod_id](absl::Status status) {
    LogUnlessGone("Destroy", id, status);
    strand_->PushReserved(PodDestroyed{id, std::move(status)});
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
    strand_->PushReserved(ContainerLaunched{id, std::move(result)});
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
                        strand_->PushReserved(SandboxDeleted{id, std::move(status)});
                      });
}

void AgentShell::Do(AnswerOperator& effect) {
  OperatorCallback done;
  {
    absl::MutexLock lock(&mu_);
    auto found = calls_.find(effect.call);
    if (found == calls_.end()) return;
    done = std::move(found->second);
    calls_.erase(found);
  }
  done(effect.status, effect.termination);
}

void AgentShell::Do(Fatal& effect) {
  if (on_fatal_) std::exchange(on_fatal_, nullptr)(effect.message);
}

}  // namespace tessera::agent
