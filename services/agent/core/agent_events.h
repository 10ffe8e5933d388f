// What goes into the agent's core and what comes out of it.
//
// Place: the seam between AgentCore (agent_core.h) and whoever carries it: server/ in agent-svc,
// the simulator in tests. An effect with an answer names the event that answers it.
//
// Durability: Persist is answered by Persisted, which says that everything up to that id will be in
// Started after a crash. The core holds back what may only be said or done then; the shell carries
// out effects in their order and has no ordering rule of its own. Persisted is only ever sent for
// what is durable: a shell that cannot write tries again until it can.
//
// Links: a link is one stream to a master, named by a number that is never used twice. The core
// ignores events of links that it has closed or replaced.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"
#include "services/agent/checkpoint/record.pb.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/container/container_spec.h"
#include "services/auth/caller.h"

namespace tessera::agent {

// ---- Events ----

// A deadline of the core has passed.
struct Wake {};

// First event of all: what the log holds, in order. Answer to nothing.
struct Started {
  std::vector<checkpoint::Record> records;
  // The machine was booted since the records were written: their containers are gone.
  bool rebooted = false;
};

// Answers RecoverContainers.
struct ContainersRecovered {
  absl::StatusOr<RecoveryResult> result;
};

// The master of this link sent a batch.
struct LinkReceived {
  uint64_t link = 0;
  agentlink::v1::ConnectResponse batch;
};

// The link is over, or never came to be. Sent once for each OpenLink, also after CloseLink. The
// status carries a model.v1.ErrorDetail (services/rpc/error.h) when the master gave one.
struct LinkClosed {
  uint64_t link = 0;
  absl::Status status;
};

// Everything up to and including Persist `id` is durable.
struct Persisted {
  uint64_t id = 0;
};

// Answers CreatePod.
struct PodCreated {
  std::string pod_id;
  PodResult result;
};

// Answers DestroyPod. OK: nothing is left of the pod but its sandbox.
struct PodDestroyed {
  std::string pod_id;
  absl::Status status;
};

// Answers LaunchContainer.
struct ContainerLaunched {
  std::string container_id;
  LaunchResult result;
};

// A launched container has ended; once per container, never before its ContainerLaunched.
struct ContainerEnded {
  ContainerTermination termination;
};

// Answers DeleteSandbox.
struct SandboxDeleted {
  std::string id;
  absl::Status status;
};

// How full the file system of the sandboxes is, in [0, 1]. Sent from time to time, or never.
struct DiskUsed {
  double fraction = 0;
};

// The disk gives the log no more space, or gives some again. Sent when it changes; until then it
// does.
struct LogSpace {
  bool low = false;
};

// An operator asks for a signal to a container (SIGKILL destroys it). Answered by AnswerOperator.
struct OperatorSignal {
  uint64_t call = 0;
  std::string container_id;
  int signal_number = 0;
  auth::Caller caller;
};

// An operator waits for a container's end. Answered by AnswerOperator when it has come.
struct OperatorWait {
  uint64_t call = 0;
  std::string container_id;
  auth::Caller caller;
};

// The operator's call went away: no answer is wanted.
struct OperatorGone {
  uint64_t call = 0;
};

using Event =
    std::variant<Wake, Started, ContainersRecovered, LinkReceived, LinkClosed, Persisted,
                 PodCreated, PodDestroyed, ContainerLaunched, ContainerEnded, SandboxDeleted,
                 DiskUsed, LogSpace, OperatorSignal, OperatorWait, OperatorGone>;
// The master's messages come by a link that the agent itself dialled.
static_assert(
    auth::kCarriesCallers<Event, Wake, Started, ContainersRecovered, LinkReceived, LinkClosed,
                          Persisted, PodCreated, PodDestroyed, ContainerLaunched, ContainerEnded,
                          SandboxDeleted, DiskUsed, LogSpace, OperatorGone>);

// ---- Effects ----

// ContainerRuntime::Recover. Answered by ContainersRecovered. Emitted once, for Started.
struct RecoverContainers {
  std::vector<std::string> expected_pod_ids;
  std::vector<std::string> expected_container_ids;
};

// Dial `address` and open AgentLinkService.Connect. What is sent on the link before it is connected
// waits. Ends with LinkClosed.
struct OpenLink {
  uint64_t link = 0;
  std::string address;
};

struct SendToMaster {
  uint64_t link = 0;
  agentlink::v1::AgentMessage message;
};

// End the link, for this reason. LinkClosed follows (and is ignored).
struct CloseLink {
  uint64_t link = 0;
  absl::Status reason;
};

// Append `records` to the log, or make them its whole content when `replace` is set. Ids grow by
// one. Answered by Persisted; one answer may stand for many.
struct Persist {
  uint64_t id = 0;
  std::vector<checkpoint::Record> records;
  bool replace = false;
};

// ContainerRuntime::CreatePod, UpdatePod, DestroyPod. Created and destroyed are answered by
// PodCreated and PodDestroyed; nothing is asked of a pod between the two and their answers. An
// update is not answered: the next one carries all limits again.
struct CreatePod {
  PodSpec spec;
};
struct UpdatePod {
  std::string pod_id;
  ContainerResources limits;
};
struct DestroyPod {
  std::string pod_id;
};

// ContainerRuntime::Launch. Answered by ContainerLaunched.
struct LaunchContainer {
  ContainerSpec spec;
};

// ContainerRuntime::Kill, Destroy, Signal, Release. Not answered: the core asks again when the end
// does not come.
struct KillContainer {
  std::string container_id;
  absl::Duration grace;
};
struct DestroyContainer {
  std::string container_id;
};
struct SignalContainer {
  std::string container_id;
  int signal_number = 0;
};
struct ReleaseContainer {
  std::string container_id;
};

// Delete the sandbox of a container or pod with all that is in it, and the directories above it as
// far as nothing else is in them. Answered by SandboxDeleted.
struct DeleteSandbox {
  std::string id;
  std::string path;
  // False: the sandbox lies in that of a pod, which stays.
  bool with_empty_parents = true;
};

// Answers an operator's call. `termination` is set for waits that end well.
struct AnswerOperator {
  uint64_t call = 0;
  absl::Status status;
  std::optional<ContainerTermination> termination;
};

// The agent cannot go on: say why and exit. Containers are left alone.
struct Fatal {
  std::string message;
};

using Effect =
    std::variant<RecoverContainers, OpenLink, SendToMaster, CloseLink, Persist, CreatePod,
                 UpdatePod, DestroyPod, LaunchContainer, KillContainer, DestroyContainer,
                 SignalContainer, ReleaseContainer, DeleteSandbox, AnswerOperator, Fatal>;
using Effects = std::vector<Effect>;

}  // namespace tessera::agent
