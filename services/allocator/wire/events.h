// ClusterEvent messages to the core's events, and its allocations to messages.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "protos/tessera/allocator/v1/allocator_service.pb.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

// Appends the events that a message stands for (more than one when resources of several roles come
// back together). Interns new names. Errors, each of which ends the stream:
//   INVALID_ARGUMENT     malformed; names the field
//   OUT_OF_RANGE         SNAPSHOT_REQUIRED: an id that must be known is not
//   RESOURCE_EXHAUSTED   a table of names is full
// `region`: the master's; empty when agents of all regions count as near.
absl::Status EventsFromProto(const v1::ClusterEvent& message, const std::string& region,
                             Vocabulary* words, std::vector<Event>* events);

void AllocationToProto(const Allocation& allocation, const Vocabulary& words,
                       v1::Allocation* message);
void AllocationToProto(const InverseAllocation& allocation, const Vocabulary& words,
                       v1::InverseAllocation* message);

}  // namespace tessera::allocator
