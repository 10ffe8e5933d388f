// absl::Status to grpc::Status and back, with the reason that it carries (error.h).
//
// ToGrpc packs the ErrorDetail into the binary error details in the shape of google.rpc.Status, so
// that any language's tools find it in the trailing metadata `grpc-status-details-bin`. These two
// are the only places where the two kinds of status meet.
//
// Threads: pure functions.
#pragma once

#include "absl/status/status.h"
#include "services/rpc/error.h"

namespace grpc {
class Status;
}

namespace tessera::rpc {

// Messages are cut at 4 KiB, because they travel in a header.
grpc::Status ToGrpc(const absl::Status& status);

// Unknown codes become UNKNOWN; details that cannot be read are dropped, the rest is kept.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace tessera::rpc
