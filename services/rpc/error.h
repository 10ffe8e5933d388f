// Errors with a reason that a program can read.
//
// An absl::Status carries a tessera.model.v1.ErrorDetail as payload; status.h takes it over the
// wire.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "protos/tessera/model/v1/error.pb.h"

namespace tessera::rpc {

using Reason = model::v1::ErrorDetail::Reason;

// A status with a reason and nothing else to say. `code` must not be OK.
absl::Status Error(absl::StatusCode code, Reason reason, std::string_view message);

// A status with the whole detail. `code` must not be OK.
absl::Status Error(absl::StatusCode code, const model::v1::ErrorDetail& detail,
                   std::string_view message);

// INVALID_ARGUMENT with INVALID_FIELD; `field` is the path of what is wrong, e.g. "task.name".
absl::Status InvalidField(std::string_view field, std::string_view message);

// UNAVAILABLE with NOT_LEADER. `leader_address` is `host:port`, or empty when nobody leads.
absl::Status NotLeader(std::string_view leader_address);

// RESOURCE_EXHAUSTED with OVERLOADED: the answer when a strand refuses an event.
absl::Status Overloaded(std::string_view what);

// The detail that a status carries, if any.
std::optional<model::v1::ErrorDetail> DetailOf(const absl::Status& status);

// The reason of a status, REASON_UNSPECIFIED when it has none.
Reason ReasonOf(const absl::Status& status);

// The payload's type.
inline constexpr std::string_view kErrorDetailUrl =
    "type.googleapis.com/tessera.model.v1.ErrorDetail";

}  // namespace tessera::rpc
