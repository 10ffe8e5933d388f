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

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/checkpoint/log_writer.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/agent_core.h"
#include "services/agent/server/agent_metrics.h"
#include "services/agent/server/chores.h"
#include "services/agent/server/master_link.h"
#include "services/agent/server/operator_calls.h"
#include "services/agent/server/recovery_mark.h"
#include "services/rpc/shell.h"

namespace tessera::agent {

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
  uint64_t Signal(const std::string& container_id, int signal_number, const auth::Caller& caller,
                  OperatorCalls::Callback done);
  uint64_t Wait(const std::string& container_id, const auth::Caller& caller,
                OperatorCalls::Callback done);
  // The caller is gone. True: `done` will not come any more.
  bool Forget(uint64_t call);

 private:
  using CoreShell = rpc::Shell<AgentCore, Event, Effect, AgentShell>;
  friend CoreShell;

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
  void Flush() { links_.Flush(); }
  // Publishes the view.
  void AfterBatch(absl::Time now, const AgentCore& core);
  // Hands a call's question to the core; the call's number, or 0 when it takes no more.
  uint64_t Ask(uint64_t call, Event question);

  AgentMetrics* const metrics_;
  std::function<void(const std::string&)> on_fatal_;
  ContainerRuntime* runtime_ = nullptr;
  uint64_t published_version_ = 0;
  std::shared_ptr<const AgentView> view_;  // std::atomic_load / store
  OperatorCalls operator_calls_;
  std::unique_ptr<RecoveryMark> recovery_mark_;
  MasterLinks links_;
  CoreShell core_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<Chores> chores_;
};

}  // namespace tessera::agent
