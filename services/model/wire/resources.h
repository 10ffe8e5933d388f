// Resources and quantities from and to the messages of protos/tessera/model/v1/resources.proto.
//
// For the edges of a service: what FromProto returns has been validated, and a refusal is
// InvalidArgument naming the field. ToProto of a value and back gives an equal value, including
// the fields that are not part of a resource's identity.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <vector>

#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "services/model/quantities.h"
#include "services/model/resources.h"

namespace tessera::model::wire {

// More objects than this in one message are refused.
inline constexpr int kResourceObjectsMax = 100'000;
// More names than this in one Quantities are refused: each is looked for among the others.
inline constexpr size_t kQuantityNamesMax = 1'000;

using ResourceMessages = google::protobuf::RepeatedPtrField<v1::Resource>;

absl::StatusOr<Resource> FromProto(const v1::Resource& message);
// As FromProto, without the mark of allocation.
absl::StatusOr<Resource> UnallocatedFromProto(const v1::Resource& message);
// Also refuses a name with two kinds and a persistence id that occurs twice in a role. Objects
// that can be added are merged; their sum is bounded as one object is (kResourceThousandthsMax).
absl::StatusOr<Resources> FromProto(const ResourceMessages& messages);
// Messages become objects one to one and in order; each is valid by itself.
absl::StatusOr<std::vector<Resource>> ObjectsFromProto(const ResourceMessages& messages);

void ToProto(const Resource& resource, v1::Resource* message);
// Replaces what `messages` held.
void ToProto(const Resources& resources, ResourceMessages* messages);

Scalar FromProto(const v1::Scalar& message);
void ToProto(Scalar scalar, v1::Scalar* message);

absl::StatusOr<Ranges> FromProto(const v1::Ranges& message);
void ToProto(const Ranges& ranges, v1::Ranges* message);

absl::StatusOr<StringSet> FromProto(const v1::Set& message);
void ToProto(const StringSet& set, v1::Set* message);

Labels FromProto(const v1::Labels& message);
void ToProto(const Labels& labels, v1::Labels* message);

// Refuses negative amounts, those above kQuantityThousandthsMax, and empty names.
absl::StatusOr<Quantities> FromProto(const v1::Quantities& message);
void ToProto(const Quantities& quantities, v1::Quantities* message);

}  // namespace tessera::model::wire
