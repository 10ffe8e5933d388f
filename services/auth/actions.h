// What each rpc lets its caller do, by one name: what a policy will speak of.
//
// The table is complete: actions_test compares it with protos/descriptors.binpb and fails for an
// rpc without exactly one action and for a row without an rpc. Which object an action is about (the
// role of a framework, the user of a task) stands in the messages; the core that knows it decides.
// gRPC's own health and reflection services are not listed.
//
// Threads: immutable.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace tessera::auth {

enum class Action {
  // The inner contracts: one service of the cluster to another.
  kReadRegistry,
  kWriteRegistry,
  kCampaign,
  kDriveAllocator,
  kFollowState,
  kRegisterAgent,
  kRunExecutor,
  // Frameworks.
  kRegisterFramework,
  kActAsFramework,
  // Readers.
  kViewCluster,
  kViewAgents,
  kViewFrameworks,
  kViewTasks,
  kViewOffers,
  kViewRoles,
  kWatchState,
  kExplainAllocation,
  kViewMaintenance,
  // Operators of the cluster.
  kUpdateQuota,
  kUpdateWeights,
  kReserveResources,
  kUnreserveResources,
  kCreateVolumes,
  kDestroyVolumes,
  kResizeVolume,
  kUpdateMaintenanceSchedule,
  kStartMaintenance,
  kStopMaintenance,
  kDrainAgent,
  kDeactivateAgent,
  kReactivateAgent,
  kMarkAgentGone,
  kTeardownFramework,
  kKillTask,
  // Operators of one agent.
  kViewAgent,
  kViewContainers,
  kLaunchContainer,
  kKillContainer,
  kRemoveContainer,
  kReadSandbox,
  kAttachContainer,
  kExecInContainer,
  kViewImages,
  kPruneImages,
};

// The action's name in policies, metrics and logs: lower case with underscores.
std::string_view ActionName(Action action);

struct RpcAction {
  // `/package.Service/Method`, as gRPC spells it.
  std::string_view rpc;
  Action action;
};

// All of them, in the order of their rpcs.
std::span<const RpcAction> RpcActions();

// None: no rpc of ours has this name.
std::optional<Action> ActionOf(std::string_view rpc);

}  // namespace tessera::auth
