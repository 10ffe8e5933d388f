// The tables that the reading commands print, and what `tessera weights` is told.
//
// Pure: what a state-svc answered in, text out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/model/v1/offer.pb.h"
#include "protos/tessera/state/v1/state_service.pb.h"

namespace tessera::cli {

std::string AgentsTable(const std::vector<state::v1::AgentView>& agents, absl::Time now);
std::string FrameworksTable(const std::vector<state::v1::FrameworkView>& frameworks,
                            absl::Time now);
std::string TasksTable(const std::vector<state::v1::TaskView>& tasks);
std::string OffersTable(const std::vector<model::v1::Offer>& offers);
std::string RolesTable(const std::vector<state::v1::RoleView>& roles);
std::string ClusterTable(const state::v1::GetClusterResponse& answer);

// Weights in thousandths by role, of arguments ROLE=WEIGHT; the last one of a role counts.
// INVALID_ARGUMENT names the argument that is malformed.
absl::StatusOr<std::map<std::string, int64_t>> ParseWeights(
    const std::vector<std::string>& arguments);

}  // namespace tessera::cli
