// ExplainAllocation: the question of a message to the core, and its answer back.
#pragma once

#include "absl/status/statusor.h"
#include "protos/tessera/allocator/v1/allocator_service.pb.h"
#include "services/allocator/core/allocator_core.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

// Changes neither the core nor its names.
//   NOT_FOUND         UNKNOWN_FRAMEWORK; UNKNOWN_ROLE when it does not subscribe to the role
//   INVALID_ARGUMENT  INVALID_FIELD
absl::StatusOr<v1::ExplainAllocationResponse> ExplainFromProto(
    const v1::ExplainAllocationRequest& request, const AllocatorCore& core,
    const Vocabulary& words);

}  // namespace tessera::allocator
