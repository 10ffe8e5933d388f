// Carries the agent's core: turns its effects into streams, log writes and container operations,
// and what comes back into events.
//
//   gRPC, runtime, log, chores ──events──▶ strand ── core ──effects──▶ the same
//
// Effects are carried out on the strand's thread and never block for long: the runtime, the log and
// the chores have threads of their own. Readers take View(), an immutable snapshot.
//
// Threads: Start and Stop from the owner; everything else from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/checkpoint/log_writer.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/agent_core.h"
#include "services/agent/server/agent_metrics.h"
#include "services/agent/server/chores.h"
#include "services/rpc/clock.h"
#include "services/rpc/strand.h"

namespace tessera::agent {

class MasterLink;

class AgentShell {
 public:
  struct Options {
    AgentConfig config;
    // What the log held.
    std::vector<checkpoint::Record> records;
    bool rebooted = false;
    // How full the disk of the sandboxes is, looked at this often.
    absl::Duration disk_watch_interval = absl::Minutes(1);
    // Called once, when what the recovery found is durable: the boot id may be noted. Any thread.
    std::function<void()> on_recovered;
    // The agent cannot go on. Called at most once, on the strand.
    std::function<void(const std::string& message)> on_fatal;
  };

  // `metrics` outlives the shell. Servers may be given the shell before Start: until then it is an
  // agent that has not recovered.
  explicit AgentShell(AgentMetrics* metrics);
  ~AgentShell();
  AgentShell(const AgentShell&) = delete;
  AgentShell& operator=(const AgentShell&) = delete;

  // `log` is recovered and outlives the shell; `runtime` outlives Stop(), and its termination
  // callback is OnTerminated.
  void Start(Options options, RecordLog* log, ContainerRuntime* runtime);
  // Ends the link and the threads. Containers run on.
  void Stop();

  void OnTerminated(const ContainerTermination& termination);

  std::shared_ptr<const AgentView> View() const;
  // Not before View() says that the agent has recovered.
  ContainerRuntime* runtime() const { return runtime_; }

  // Operators' calls. `done` comes exactly once, on the strand, unless Forget is called before.
  // Returns the call's number, 0 when the agent is overloaded (`done` never comes).
  using OperatorCallback =
      std::function<void(absl::Status, const std::optional<ContainerTermination>&)>;
  uint64_t Signal(const std::string& container_id, int signal_number, const auth::Caller& caller,
                  OperatorCallback done);
  uint64_t Wait(const std::string& container_id, const auth::Caller& caller, OperatorCallback done);
  // The caller is gone. True: `done` will not come any more.
  bool Forget(uint64_t call);

 private:
  using CoreStrand = rpc::Strand<AgentCore, Event, Effect>;

  void CarryOut(std::vector<Effect> effects);
  void Do(RecoverContainers& effect);
  void Do(OpenLink& effect);
  void Do(SendToMaster& effect);
  void Do(CloseLink& effect);
  void Do(Persist& effect);
  void Do(CreatePod& effect);
  void Do(UpdatePod& effect);
  void Do(DestroyPod& effect);
  void Do(LaunchContainer& effect);
  void Do(KillContainer& effect);
  void Do(DestroyContainer& effect);
  void Do(SignalContainer& effect);
  void Do(ReleaseContainer& effect);
  void Do(DeleteSandbox& effect);
  void Do(AnswerOperator& effect);
  void Do(Fatal& effect);
  void Publish(const AgentCore& core);
  void NoteRecovered(uint64_t durable);
  uint64_t AddCall(OperatorCallback done);

  AgentMetrics* const metrics_;
  const rpc::Clock clock_;
  std::function<void()> on_recovered_;
  std::function<void(const std::string&)> on_fatal_;
  ContainerRuntime* runtime_ = nullptr;
  std::unique_ptr<AgentCore> core_;

  std::shared_ptr<MasterLink> link_;  // the strand's own
  uint64_t link_number_ = 0;
  static constexpr uint64_t kNotRecovered = ~uint64_t{0};
  uint64_t last_persist_ = 0;
  std::atomic<uint64_t> recovery_persist_{kNotRecovered};
  std::atomic<bool> noted_{false};
  uint64_t published_version_ = 0;
  std::shared_ptr<const AgentView> view_;  // std::atomic_load / store

  absl::Mutex mu_;
  uint64_t last_call_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, OperatorCallback> calls_ ABSL_GUARDED_BY(mu_);
  // Links whose end has not come yet.
  int open_links_ ABSL_GUARDED_BY(mu_) = 0;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::weak_ptr<MasterLink>> links_ ABSL_GUARDED_BY(mu_);

  std::unique_ptr<CoreStrand> strand_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<Chores> chores_;
};

}  // namespace tessera::agent
