// Resource messages to bags and back.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "services/allocator/core/bag.h"
#include "services/allocator/core/quota_table.h"

namespace tessera::allocator {

using ResourceMessages = google::protobuf::RepeatedPtrField<model::v1::Resource>;

// Interns what is new. `field` names the messages in errors. INVALID_ARGUMENT: malformed.
// OUT_OF_RANGE (SNAPSHOT_REQUIRED): a negative amount. RESOURCE_EXHAUSTED: too many kinds or roles.
// Scalars with a name beyond the bound of Amounts are allocated, but count for nothing else.
// Scalars above kResourceThousandthsMax are cut off there.
absl::StatusOr<Bag> BagFromProto(const ResourceMessages& messages, const std::string& field,
                                 Vocabulary* words);

// The same, one bag for each allocation role, which every message must have.
absl::StatusOr<std::vector<std::pair<RoleNum, Bag>>> BagsByRole(const ResourceMessages& messages,
                                                                const std::string& field,
                                                                Vocabulary* words);

// Every resource is marked as allocated to `role`.
void BagToProto(const Bag& bag, const std::string& role, const Vocabulary& words,
                ResourceMessages* messages);

// Names that are absent have no guarantee and no limit; a limit of 0 is one. Amounts above
// kQuantityThousandthsMax are cut off there.
absl::StatusOr<Quota> QuotaFromProto(const model::v1::Quantities& guarantees,
                                     const model::v1::Quantities& limits, Vocabulary* words);

// INVALID_ARGUMENT, naming the field, when it is no valid name of a role.
absl::StatusOr<RoleNum> RoleFromProto(const std::string& role, const std::string& field,
                                      Vocabulary* words);

// The stream cannot go on: what the master says contradicts what it said before.
absl::Status SnapshotRequired(const std::string& message);

}  // namespace tessera::allocator
