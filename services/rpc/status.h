// Errors with a reason that a program can read, and their way over the wire.
//
// An absl::Status carries a tessera.model.v1.ErrorDetail as payload. ToGrpc packs it into the binary
// error details of a gRPC status in the shape of google.rpc.Status (so that any language's tools
// find it under `grpc-status-details-bin`); FromGrpc is the way back. These two are the only places
// where the two kinds of status meet.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "protos/tessera/model/v1/error.pb.h"

namespace grpc {
class Status;
}

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

// Messages are cut at 4 KiB, because they travel in a header.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace tessera::rpc
