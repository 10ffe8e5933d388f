#include "services/agent/isolators/cgroup_numbers.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace tessera::agent {
namespace {

std::optional<int64_t> Parse(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return static_cast<int64_t>(std::min<uint64_t>(number, std::numeric_limits<int64_t>::max()));
}

}  // namespace

std::optional<int64_t> SingleNumber(const absl::StatusOr<std::string>& file) {
  if (!file.ok()) return std::nullopt;
  return Parse(*file);
}

std::optional<int64_t> NumberOf(const absl::StatusOr<std::string>& file, std::string_view key) {
  if (!file.ok()) return std::nullopt;
  std::string_view left = *file;
  while (!left.empty()) {
    const size_t newline = left.find('\n');
    const std::string_view line = left.substr(0, newline);
    if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == ' ') {
      return Parse(line.substr(key.size() + 1));
    }
    if (newline == std::string_view::npos) break;
    left.remove_prefix(newline + 1);
  }
  return std::nullopt;
}

std::optional<int64_t> CountLines(const absl::StatusOr<std::string>& file) {
  if (!file.ok()) return std::nullopt;
  return std::count(file->begin(), file->end(), '\n');
}

}  // namespace tessera::agent
