#include "services/model/ids.h"

#include "absl/strings/str_cat.h"
#include "services/model/text.h"

namespace tessera::model {

absl::Status ValidateId(std::string_view what, std::string_view id) {
  const auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(what), " ", Quoted(id), " ", std::string(why)));
  };
  if (id.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(what), " must not be empty"));
  }
  if (id.size() > kIdBytesMax) return refuse("is longer than 255 bytes");
  if (id == "." || id == "..") return refuse("is reserved by file systems");
  for (const char c : id) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return refuse("holds a control character");
    }
    if (c == '/' || c == '\\') return refuse("holds a slash or backslash");
  }
  return absl::OkStatus();
}

}  // namespace tessera::model
