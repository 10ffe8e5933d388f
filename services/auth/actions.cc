#include "services/auth/actions.h"

#include <algorithm>

namespace tessera::auth {
namespace {

constexpr RpcAction kTable[] = {
    {"/tessera.agent.v1.AgentService/Attach", Action::kAttachContainer},
    {"/tessera.agent.v1.AgentService/Exec", Action::kExecInContainer},
    {"/tessera.agent.v1.AgentService/GetAgent", Action::kViewAgent},
    {"/tessera.agent.v1.AgentService/KillContainer", Action::kKillContainer},
    {"/tessera.agent.v1.AgentService/LaunchContainer", Action::kLaunchContainer},
    {"/tessera.agent.v1.AgentService/ListContainers", Action::kViewContainers},
    {"/tessera.agent.v1.AgentService/ListFiles", Action::kReadSandbox},
    {"/tessera.agent.v1.AgentService/ListImages", Action::kViewImages},
    {"/tessera.agent.v1.AgentService/PruneImages", Action::kPruneImages},
    {"/tessera.agent.v1.AgentService/ReadFile", Action::kReadSandbox},
    {"/tessera.agent.v1.AgentService/RemoveContainer", Action::kRemoveContainer},
    {"/tessera.agent.v1.AgentService/WaitContainer", Action::kViewContainers},
    {"/tessera.agentlink.v1.AgentLinkService/Connect", Action::kRegisterAgent},
    {"/tessera.allocator.v1.AllocatorService/Allocate", Action::kDriveAllocator},
    {"/tessera.allocator.v1.AllocatorService/ExplainAllocation", Action::kExplainAllocation},
    {"/tessera.executor.v1.ExecutorService/SendMessage", Action::kRunExecutor},
    {"/tessera.executor.v1.ExecutorService/Subscribe", Action::kRunExecutor},
    {"/tessera.executor.v1.ExecutorService/Update", Action::kRunExecutor},
    {"/tessera.operators.v1.OperatorService/CreateVolumes", Action::kCreateVolumes},
    {"/tessera.operators.v1.OperatorService/DeactivateAgent", Action::kDeactivateAgent},
    {"/tessera.operators.v1.OperatorService/DestroyVolumes", Action::kDestroyVolumes},
    {"/tessera.operators.v1.OperatorService/DrainAgent", Action::kDrainAgent},
    {"/tessera.operators.v1.OperatorService/ExplainAllocation", Action::kExplainAllocation},
    {"/tessera.operators.v1.OperatorService/GetMaintenanceSchedule", Action::kViewMaintenance},
    {"/tessera.operators.v1.OperatorService/GetMaintenanceStatus", Action::kViewMaintenance},
    {"/tessera.operators.v1.OperatorService/KillTask", Action::kKillTask},
    {"/tessera.operators.v1.OperatorService/MarkAgentGone", Action::kMarkAgentGone},
    {"/tessera.operators.v1.OperatorService/ReactivateAgent", Action::kReactivateAgent},
    {"/tessera.operators.v1.OperatorService/ReserveResources", Action::kReserveResources},
    {"/tessera.operators.v1.OperatorService/ResizeVolume", Action::kResizeVolume},
    {"/tessera.operators.v1.OperatorService/StartMaintenance", Action::kStartMaintenance},
    {"/tessera.operators.v1.OperatorService/StopMaintenance", Action::kStopMaintenance},
    {"/tessera.operators.v1.OperatorService/TeardownFramework", Action::kTeardownFramework},
    {"/tessera.operators.v1.OperatorService/UnreserveResources", Action::kUnreserveResources},
    {"/tessera.operators.v1.OperatorService/UpdateMaintenanceSchedule",
     Action::kUpdateMaintenanceSchedule},
    {"/tessera.operators.v1.OperatorService/UpdateQuota", Action::kUpdateQuota},
    {"/tessera.operators.v1.OperatorService/UpdateWeights", Action::kUpdateWeights},
    {"/tessera.registry.v1.RegistryService/Campaign", Action::kCampaign},
    {"/tessera.registry.v1.RegistryService/Commit", Action::kWriteRegistry},
    {"/tessera.registry.v1.RegistryService/Read", Action::kReadRegistry},
    {"/tessera.registry.v1.RegistryService/Renew", Action::kCampaign},
    {"/tessera.registry.v1.RegistryService/Resign", Action::kCampaign},
    {"/tessera.registry.v1.RegistryService/Watch", Action::kReadRegistry},
    {"/tessera.scheduler.v1.SchedulerService/AcceptOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/Acknowledge", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/AnswerInverseOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/ClearFilters", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/DeclineOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/KillTask", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/ReconcileOperations", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/ReconcileTasks", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/ReviveOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/SendMessage", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/SetDemand", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/ShutdownExecutor", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/Subscribe", Action::kRegisterFramework},
    {"/tessera.scheduler.v1.SchedulerService/SuppressOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/Teardown", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/UnsuppressOffers", Action::kActAsFramework},
    {"/tessera.scheduler.v1.SchedulerService/UpdateFramework", Action::kRegisterFramework},
    {"/tessera.state.v1.StateFeedService/Follow", Action::kFollowState},
    {"/tessera.state.v1.StateService/GetCluster", Action::kViewCluster},
    {"/tessera.state.v1.StateService/ListAgents", Action::kViewAgents},
    {"/tessera.state.v1.StateService/ListFrameworks", Action::kViewFrameworks},
    {"/tessera.state.v1.StateService/ListOffers", Action::kViewOffers},
    {"/tessera.state.v1.StateService/ListRoles", Action::kViewRoles},
    {"/tessera.state.v1.StateService/ListTasks", Action::kViewTasks},
    {"/tessera.state.v1.StateService/Watch", Action::kWatchState},
};
static_assert(std::is_sorted(std::begin(kTable), std::end(kTable),
                             [](const RpcAction& a, const RpcAction& b) { return a.rpc < b.rpc; }));

}  // namespace

std::string_view ActionName(Action action) {
  switch (action) {
    case Action::kReadRegistry:
      return "read_registry";
    case Action::kWriteRegistry:
      return "write_registry";
    case Action::kCampaign:
      return "campaign";
    case Action::kDriveAllocator:
      return "drive_allocator";
    case Action::kFollowState:
      return "follow_state";
    case Action::kRegisterAgent:
      return "register_agent";
    case Action::kRunExecutor:
      return "run_executor";
    case Action::kRegisterFramework:
      return "register_framework";
    case Action::kActAsFramework:
      return "act_as_framework";
    case Action::kViewCluster:
      return "view_cluster";
    case Action::kViewAgents:
      return "view_agents";
    case Action::kViewFrameworks:
      return "view_frameworks";
    case Action::kViewTasks:
      return "view_tasks";
    case Action::kViewOffers:
      return "view_offers";
    case Action::kViewRoles:
      return "view_roles";
    case Action::kWatchState:
      return "watch_state";
    case Action::kExplainAllocation:
      return "explain_allocation";
    case Action::kViewMaintenance:
      return "view_maintenance";
    case Action::kUpdateQuota:
      return "update_quota";
    case Action::kUpdateWeights:
      return "update_weights";
    case Action::kReserveResources:
      return "reserve_resources";
    case Action::kUnreserveResources:
      return "unreserve_resources";
    case Action::kCreateVolumes:
      return "create_volumes";
    case Action::kDestroyVolumes:
      return "destroy_volumes";
    case Action::kResizeVolume:
      return "resize_volume";
    case Action::kUpdateMaintenanceSchedule:
      return "update_maintenance_schedule";
    case Action::kStartMaintenance:
      return "start_maintenance";
    case Action::kStopMaintenance:
      return "stop_maintenance";
    case Action::kDrainAgent:
      return "drain_agent";
    case Action::kDeactivateAgent:
      return "deactivate_agent";
    case Action::kReactivateAgent:
      return "reactivate_agent";
    case Action::kMarkAgentGone:
      return "mark_agent_gone";
    case Action::kTeardownFramework:
      return "teardown_framework";
    case Action::kKillTask:
      return "kill_task";
    case Action::kViewAgent:
      return "view_agent";
    case Action::kViewContainers:
      return "view_containers";
    case Action::kLaunchContainer:
      return "launch_container";
    case Action::kKillContainer:
      return "kill_container";
    case Action::kRemoveContainer:
      return "remove_container";
    case Action::kReadSandbox:
      return "read_sandbox";
    case Action::kAttachContainer:
      return "attach_container";
    case Action::kExecInContainer:
      return "exec_in_container";
    case Action::kViewImages:
      return "view_images";
    case Action::kPruneImages:
      return "prune_images";
  }
  return "unknown";
}

std::span<const RpcAction> RpcActions() { return kTable; }

std::optional<Action> ActionOf(std::string_view rpc) {
  const auto* found =
      std::lower_bound(std::begin(kTable), std::end(kTable), rpc,
                       [](const RpcAction& row, std::string_view name) { return row.rpc < name; });
  if (found == std::end(kTable) || found->rpc != rpc) return std::nullopt;
  return found->action;
}

}  // namespace tessera::auth
