// Messages of the contracts as JSON, for scripts.
#pragma once

#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace tessera::cli {

// One JSON array of messages, with the field names of the contracts.
template <typename Message>
absl::Status PrintJson(const std::vector<Message>& messages) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::cout << "[";
  for (size_t i = 0; i < messages.size(); ++i) {
    std::string json;
    const auto status = google::protobuf::util::MessageToJsonString(messages[i], &json, options);
    if (!status.ok()) return absl::InternalError(std::string(status.message()));
    std::cout << (i > 0 ? ",\n " : "") << json;
  }
  std::cout << "]\n";
  return absl::OkStatus();
}

}  // namespace tessera::cli
