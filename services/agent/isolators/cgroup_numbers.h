// Reads numbers out of cgroup files: a single value, or `key value` lines.
//
// Pure. A file that is not there or does not hold the number gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera::agent {

// The number that the file consists of. Nothing for `max`.
std::optional<int64_t> SingleNumber(const absl::StatusOr<std::string>& file);

// The number in the line `key <number>`.
std::optional<int64_t> NumberOf(const absl::StatusOr<std::string>& file, std::string_view key);

// Lines in the file.
std::optional<int64_t> CountLines(const absl::StatusOr<std::string>& file);

}  // namespace tessera::agent
