// Quotas as people write and read them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "protos/tessera/state/v1/state_service.pb.h"

namespace tessera::cli {

// "cpus:4;mem:1024", up to three decimals; zero counts, as a limit of nothing. InvalidArgument
// names `flag` and what is wrong.
absl::StatusOr<model::v1::Quantities> ParseAmounts(const std::string& flag,
                                                   const std::string& text);

// A table of the roles with a quota.
std::string QuotaTable(const std::vector<state::v1::RoleView>& roles);

}  // namespace tessera::cli
