#include "services/auth/request_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tessera::auth {
namespace {

constexpr size_t kBytesMax = 64;

}  // namespace

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kBytesMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == ':' || c == '-';
         });
}

RequestIds::RequestIds(uint64_t seed)
    : prefix_(absl::StrCat(absl::Hex(seed, absl::kZeroPad16), "-")) {}

std::string RequestIds::Next() {
  return absl::StrCat(prefix_, absl::Hex(made_.fetch_add(1, std::memory_order_relaxed) + 1));
}

std::string RequestIds::TakeOrMake(std::string_view offered) {
  return IsRequestId(offered) ? std::string(offered) : Next();
}

}  // namespace tessera::auth
