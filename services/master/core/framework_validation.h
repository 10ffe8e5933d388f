// What a framework may say of itself. Pure; the first broken rule is told.
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/master/core/contracts.h"
#include "services/master/core/master_config.h"

namespace tessera::master {

// INVALID_ARGUMENT (INVALID_FIELD) or RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE).
absl::Status ValidateFramework(const MasterConfig& config, const pb::FrameworkInfo& info,
                               const google::protobuf::RepeatedPtrField<std::string>& suppressed,
                               const pb::OfferConstraints& constraints);

// What is valid of an agent's word about a framework that this master does not know: whatever
// ValidateFramework would refuse is left out, and when the rest is still too large, all but what
// must not change while the framework lives. Refusing it would keep the agent and its tasks out;
// the framework says itself what it is when it subscribes. RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE)
// when even that is too much. Rules of this cluster, such as allowed roles, are for subscriptions.
absl::StatusOr<pb::FrameworkInfo> ValidPart(const MasterConfig& config,
                                            const pb::FrameworkInfo& info);

// What stays the same as long as the framework lives. INVALID_ARGUMENT names the field.
absl::Status ValidateChange(const pb::FrameworkInfo& before, const pb::FrameworkInfo& after);

// The duration of a filter, the default when it is absent. INVALID_ARGUMENT when it is negative or
// longer than 365 days.
absl::StatusOr<absl::Duration> RefuseDuration(const MasterConfig& config,
                                              const pb::Filters& filters);

}  // namespace tessera::master
