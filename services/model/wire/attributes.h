// Attributes from and to the messages of protos/tessera/model/v1/agent.proto.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/agent.pb.h"
#include "services/model/attributes.h"

namespace tessera::model::wire {

using AttributeMessages = google::protobuf::RepeatedPtrField<v1::Attribute>;

// InvalidArgument for an attribute without a name or value, or with malformed ranges or items.
absl::StatusOr<Attributes> FromProto(const AttributeMessages& messages);
// Replaces what `messages` held.
void ToProto(const Attributes& attributes, AttributeMessages* messages);

}  // namespace tessera::model::wire
