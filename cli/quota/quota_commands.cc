#include "cli/quota/quota_commands.h"

#include <iostream>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "cli/calls.h"
#include "cli/endpoints.h"
#include "cli/message_json.h"
#include "cli/quota/quota_text.h"
#include "services/base/status_macros.h"

ABSL_FLAG(std::string, guarantee, "",
          "amounts like cpus:4;mem:1024 (mem and disk in MiB) that are kept for the role");
ABSL_FLAG(std::string, limit, "",
          "amounts that the role may not exceed; what is not named is not limited");
ABSL_FLAG(bool, force, false,
          "set it even if the cluster is too small for it now, or the role has more already");

namespace tessera::cli {

absl::StatusOr<int> ShowQuotas(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", arguments[0], "\""));
  }
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(auto roles, ListRoles());
  std::erase_if(roles, [](const state::v1::RoleView& view) {
    return view.role().guarantees().amounts().empty() && view.role().limits().amounts().empty();
  });
  if (json) {
    RETURN_IF_ERROR(PrintJson(roles));
  } else {
    std::cout << QuotaTable(roles);
  }
  return 0;
}

absl::StatusOr<int> SetQuota(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) {
    return absl::InvalidArgumentError(
        "name one role: `tessera quota set ROLE --guarantee=cpus:4;mem:1024 --limit=cpus:8`");
  }
  operators::v1::UpdateQuotaRequest request;
  auto* config = request.add_configs();
  config->set_role(arguments[0]);
  ASSIGN_OR_RETURN(*config->mutable_guarantees(),
                   ParseAmounts("guarantee", absl::GetFlag(FLAGS_guarantee)));
  ASSIGN_OR_RETURN(*config->mutable_limits(), ParseAmounts("limit", absl::GetFlag(FLAGS_limit)));
  if (config->guarantees().amounts().empty() && config->limits().amounts().empty()) {
    return absl::InvalidArgumentError(
        "neither --guarantee nor --limit is given: `tessera quota remove ROLE` takes a quota away");
  }
  request.set_force(absl::GetFlag(FLAGS_force));
  RETURN_IF_ERROR(UpdateQuota(request));
  return 0;
}

absl::StatusOr<int> RemoveQuotas(const std::vector<std::string>& roles) {
  if (roles.empty()) return absl::InvalidArgumentError("name the roles");
  operators::v1::UpdateQuotaRequest request;
  for (const std::string& role : roles) request.add_configs()->set_role(role);
  RETURN_IF_ERROR(UpdateQuota(request));
  return 0;
}

}  // namespace tessera::cli
