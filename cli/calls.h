// The calls that commands make, each one function: finds the server, follows the leader, pages
// through lists, and gives up after --timeout with an error for people.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/agent/v1/agent_service.pb.h"
#include "protos/tessera/operators/v1/operator_service.pb.h"
#include "protos/tessera/state/v1/state_service.pb.h"

namespace tessera::cli {

absl::StatusOr<state::v1::GetClusterResponse> GetCluster();
absl::StatusOr<std::vector<state::v1::AgentView>> ListAgents(
    const std::vector<std::string>& agent_ids = {});
absl::StatusOr<std::vector<state::v1::FrameworkView>> ListFrameworks(bool with_completed = false);
// Tasks that match all that is set in `filter` (its page is ignored).
absl::StatusOr<std::vector<state::v1::TaskView>> ListTasks(state::v1::ListTasksRequest filter);
absl::StatusOr<std::vector<model::v1::Offer>> ListOffers(const std::string& framework_id = "");

// The newest task with this id; NOT_FOUND, or INVALID_ARGUMENT when several frameworks have one.
absl::StatusOr<state::v1::TaskView> FindTask(const std::string& framework_id,
                                             const std::string& task_id);

// All roles that have a framework, a weight or a quota.
absl::StatusOr<std::vector<state::v1::RoleView>> ListRoles();

// Sets weights, in thousandths, by role; all or none.
absl::Status UpdateWeights(const std::map<std::string, int64_t>& weights_milli);
// Sets quotas, or takes them away; all or none.
absl::Status UpdateQuota(const operators::v1::UpdateQuotaRequest& request);
absl::Status TeardownFramework(const std::string& framework_id);
absl::Status KillTask(const std::string& framework_id, const std::string& task_id,
                      std::optional<absl::Duration> grace);

// Maintenance of machines; the codes are those of the calls of the same names.
absl::StatusOr<operators::v1::GetMaintenanceScheduleResponse> GetMaintenanceSchedule();
absl::StatusOr<operators::v1::GetMaintenanceStatusResponse> GetMaintenanceStatus();
absl::Status UpdateMaintenanceSchedule(
    const operators::v1::UpdateMaintenanceScheduleRequest& request);
absl::Status StartMaintenance(const operators::v1::StartMaintenanceRequest& request);
absl::Status StopMaintenance(const operators::v1::StopMaintenanceRequest& request);

// Why a framework is not offered what it wants.
absl::StatusOr<operators::v1::ExplainAllocationResponse> ExplainAllocation(
    const operators::v1::ExplainAllocationRequest& request);

// Of one agent, whose AgentService is at `address`.
absl::StatusOr<std::vector<agent::v1::Container>> ListContainers(const std::string& address);

// GET of a path of the state server. The body, whatever its type.
absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& path);

}  // namespace tessera::cli
