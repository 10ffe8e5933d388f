// `tessera why FRAMEWORK`: why a framework is not offered what it wants.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

// The argument is a framework's id, or its name where only one has it.
absl::StatusOr<int> Why(const std::vector<std::string>& arguments);

}  // namespace tessera::cli
