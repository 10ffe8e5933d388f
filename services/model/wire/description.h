// Descriptions as bytes: made from messages, read into messages, and cut, without encoding them
// again.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "services/model/description.h"

namespace tessera::model::wire {

// The bytes of the message; equal messages give equal bytes (maps are sorted).
Description Describe(const google::protobuf::MessageLite& message);

// The bytes of a serialised message without the top-level field `number`, everything else as it
// stands. INVALID_ARGUMENT when they are no message at all.
absl::StatusOr<std::string> WithoutField(std::string_view bytes, int number);

// Reads the bytes. INVALID_ARGUMENT naming the message when they are none of its kind.
template <typename Message>
absl::StatusOr<Message> ReadDescription(const Description& description) {
  Message message;
  if (!message.ParseFromString(description.bytes())) {
    return absl::InvalidArgumentError("the bytes are no " + message.GetTypeName());
  }
  return message;
}

}  // namespace tessera::model::wire
