#include "services/base/bytes.h"

#include <array>
#include <charconv>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tessera::base {
namespace {

struct Unit {
  char letter;
  int shift;
};

constexpr std::array<Unit, 4> kUnits = {{{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}}};

// The power of two that a unit's name stands for, -1 for no unit.
int ShiftOf(std::string_view unit) {
  if (unit.empty() || unit == "B") return 0;
  const std::string_view rest = unit.substr(1);
  if (!rest.empty() && rest != "B" && rest != "iB") return -1;
  for (const Unit& known : kUnits) {
    if (unit.front() == known.letter) return known.shift;
  }
  return -1;
}

}  // namespace

absl::StatusOr<Bytes> Bytes::Parse(std::string_view text) {
  const auto refuse = [text](const char* why) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(text), "' ", why, "; write a whole number and a unit, such as 512MiB"));
  };
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return refuse("is too large");
  if (error != std::errc()) return refuse("does not start with a number");
  if (number < 0) return refuse("is negative");
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const int shift = ShiftOf(unit);
  if (shift < 0) return refuse("has an unknown unit");
  if (number > (std::numeric_limits<int64_t>::max() >> shift)) return refuse("is too large");
  return Bytes(number << shift);
}

std::string Bytes::ToString() const {
  if (count_ != 0) {
    for (const Unit& unit : kUnits) {
      const int64_t size = int64_t{1} << unit.shift;
      if (count_ % size == 0) {
        return absl::StrCat(count_ / size, std::string(1, unit.letter), "iB");
      }
    }
  }
  return absl::StrCat(count_, "B");
}

bool AbslParseFlag(absl::string_view text, Bytes* bytes, std::string* error) {
  absl::StatusOr<Bytes> parsed = Bytes::Parse(std::string_view(text.data(), text.size()));
  if (!parsed.ok()) {
    *error = std::string(parsed.status().message());
    return false;
  }
  *bytes = *parsed;
  return true;
}

std::string AbslUnparseFlag(const Bytes& bytes) { return bytes.ToString(); }

}  // namespace tessera::base
