#include "services/master/core/framework_validation.h"

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/master/core/times.h"
#include "services/model/ids.h"
#include "services/model/role.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status TooLarge(const MasterConfig& config) {
  return rpc::Error(
      absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
      absl::StrCat("a framework's description may have at most ", config.framework_bytes_max,
                   " bytes, with its constraints and ", "suppressed roles"));
}

bool IsFailoverTimeout(const google::protobuf::Duration& timeout) {
  return IsValid(timeout) && DurationOf(timeout) >= absl::ZeroDuration();
}

absl::Status CheckFilters(const pb::OfferFilters& filters) {
  for (const pb::Quantities& quantities : filters.min_allocatable()) {
    if (absl::Status status = model::wire::FromProto(quantities).status(); !status.ok()) {
      return rpc::InvalidField("info.offer_filters", std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRole(const MasterConfig& config, const std::string& role) {
  if (absl::Status status = model::ValidateRole(role); !status.ok()) {
    return rpc::InvalidField("info.roles", std::string(status.message()));
  }
  if (role == model::kAnyRole || config.allowed_roles.empty()) return absl::OkStatus();
  for (const std::string& allowed : config.allowed_roles) {
    if (role == allowed) return absl::OkStatus();
  }
  return rpc::InvalidField(
      "info.roles", absl::StrCat("role '", role, "' is not among those that this cluster allows"));
}

absl::Status CheckConstraints(const pb::OfferConstraints& constraints) {
  for (const auto& [role, by_role] : constraints.by_role()) {
    if (by_role.groups().empty()) {
      return rpc::InvalidField("offer_constraints.by_role", "a role without groups");
    }
    for (const auto& group : by_role.groups()) {
      if (group.constraints().empty()) {
        return rpc::InvalidField("offer_constraints.by_role.groups", "an empty group");
      }
      for (const auto& constraint : group.constraints()) {
        if (constraint.attribute().empty() ||
            constraint.predicate_case() == pb::OfferConstraints::Constraint::PREDICATE_NOT_SET) {
          return rpc::InvalidField("offer_constraints.by_role.groups.constraints",
                                   "a constraint needs an attribute and a predicate");
        }
        if (constraint.matches().size() > 4096 || constraint.not_matches().size() > 4096) {
          return rpc::InvalidField("offer_constraints.by_role.groups.constraints",
                                   "an expression is longer than 4096 bytes");
        }
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateFramework(const MasterConfig& config, const pb::FrameworkInfo& info,
                               const google::protobuf::RepeatedPtrField<std::string>& suppressed,
                               const pb::OfferConstraints& constraints) {
  size_t bytes = info.ByteSizeLong() + constraints.ByteSizeLong();
  for (const std::string& role : suppressed) bytes += role.size() + 2;
  if (bytes > config.framework_bytes_max) return TooLarge(config);
  if (!info.id().empty()) {
    if (absl::Status status = model::ValidateId("framework id", info.id()); !status.ok()) {
      return rpc::InvalidField("info.id", std::string(status.message()));
    }
  }
  if (info.roles_size() > static_cast<int>(config.roles_per_framework_max)) {
    return rpc::InvalidField("info.roles", absl::StrCat("at most ", config.roles_per_framework_max,
                                                        " roles a framework"));
  }
  std::set<std::string> roles;
  for (const std::string& role : info.roles()) {
    RETURN_IF_ERROR(CheckRole(config, role));
    if (!roles.insert(role).second) {
      return rpc::InvalidField("info.roles", absl::StrCat("role '", role, "' is listed twice"));
    }
  }
  std::set<std::string> silent;
  for (const std::string& role : suppressed) {
    if (!roles.contains(role)) {
      return rpc::InvalidField("suppressed_roles",
                               absl::StrCat("role '", role, "' is not among info.roles"));
    }
    if (!silent.insert(role).second) {
      return rpc::InvalidField("suppressed_roles",
                               absl::StrCat("role '", role, "' is listed twice"));
    }
  }
  if (info.has_failover_timeout() && !IsFailoverTimeout(info.failover_timeout())) {
    return rpc::InvalidField("info.failover_timeout",
                             "must not be negative, nor longer than ten thousand years");
  }
  if (info.user() == "root" && !config.root_submissions) {
    return rpc::InvalidField("info.user", "this cluster does not run tasks as root");
  }
  for (int capability : info.capabilities()) {
    if (capability == pb::FrameworkInfo::CAPABILITY_UNSPECIFIED) {
      return rpc::InvalidField("info.capabilities", "an unspecified capability");
    }
  }
  for (const auto& [role, filters] : info.offer_filters()) RETURN_IF_ERROR(CheckFilters(filters));
  return CheckConstraints(constraints);
}

absl::StatusOr<pb::FrameworkInfo> ValidPart(const MasterConfig& config,
                                            const pb::FrameworkInfo& info) {
  pb::FrameworkInfo valid;
  valid.set_id(info.id());
  valid.set_user(info.user());
  if (info.has_principal()) valid.set_principal(info.principal());
  valid.set_checkpoint(info.checkpoint());
  std::set<std::string> roles;
  for (const std::string& role : info.roles()) {
    if (roles.size() < config.roles_per_framework_max && model::ValidateRole(role).ok() &&
        roles.insert(role).second) {
      valid.add_roles(role);
    }
  }
  std::set<int> capabilities;
  for (int capability : info.capabilities()) {
    if (capability != pb::FrameworkInfo::CAPABILITY_UNSPECIFIED &&
        capabilities.insert(capability).second) {
      valid.add_capabilities(static_cast<pb::FrameworkInfo::Capability>(capability));
    }
  }
  if (info.has_failover_timeout() && IsFailoverTimeout(info.failover_timeout())) {
    *valid.mutable_failover_timeout() = info.failover_timeout();
  }
  if (valid.ByteSizeLong() > config.framework_bytes_max) return TooLarge(config);

  pb::FrameworkInfo whole = info;
  *whole.mutable_roles() = valid.roles();
  *whole.mutable_capabilities() = valid.capabilities();
  if (!valid.has_failover_timeout()) whole.clear_failover_timeout();
  for (const auto& [role, filters] : info.offer_filters()) {
    if (!roles.contains(role) || !CheckFilters(filters).ok()) {
      whole.mutable_offer_filters()->erase(role);
    }
  }
  return whole.ByteSizeLong() <= config.framework_bytes_max ? whole : valid;
}

absl::Status ValidateChange(const pb::FrameworkInfo& before, const pb::FrameworkInfo& after) {
  if (before.user() != after.user()) {
    return rpc::InvalidField("info.user", "cannot change while the framework lives");
  }
  if (before.checkpoint() != after.checkpoint()) {
    return rpc::InvalidField("info.checkpoint", "cannot change while the framework lives");
  }
  if (before.principal() != after.principal()) {
    return rpc::InvalidField("info.principal", "cannot change while the framework lives");
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> RefuseDuration(const MasterConfig& config,
                                              const pb::Filters& filters) {
  if (!filters.has_refuse_duration()) return config.default_refuse_duration;
  const absl::Duration duration = DurationOf(filters.refuse_duration());
  if (!IsValid(filters.refuse_duration()) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(24 * 365)) {
    return rpc::InvalidField("filters.refuse_duration", "must be between 0 and 365 days");
  }
  return duration;
}

}  // namespace tessera::master
