// `tessera quota show`, `set` and `remove`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

// Roles with a guarantee or a limit, beside what they hold.
absl::StatusOr<int> ShowQuotas(const std::vector<std::string>& arguments);
// Replaces guarantees and limits of one role by those of the flags.
absl::StatusOr<int> SetQuota(const std::vector<std::string>& arguments);
absl::StatusOr<int> RemoveQuotas(const std::vector<std::string>& roles);

}  // namespace tessera::cli
