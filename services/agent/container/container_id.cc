#include "services/agent/container/container_id.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::agent {

absl::Status ContainerId::Validate() const {
  if (text_.empty()) return absl::InvalidArgumentError("container_id is empty");
  if (text_.size() > kMaximumBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("container_id is longer than ", kMaximumBytes, " bytes: ", text_.size()));
  }
  for (const unsigned char c : text_) {
    if (c <= ' ' || c == 0x7f || c == '/') {
      return absl::InvalidArgumentError(
          "container_id holds a character out of: space, control characters, \"/\"");
    }
  }
  if (text_.front() == '.' || text_.back() == '.' || text_.find("..") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("container_id \"", text_, "\" has an empty name between its dots"));
  }
  if (static_cast<size_t>(std::count(text_.begin(), text_.end(), '.')) >= kMaximumDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("container_id has more than ", kMaximumDepth, " names"));
  }
  return absl::OkStatus();
}

ContainerId ContainerId::Parent() const {
  const size_t dot = text_.rfind('.');
  return dot == std::string::npos ? ContainerId() : ContainerId(text_.substr(0, dot));
}

ContainerId ContainerId::Pod() const { return text_.substr(0, text_.find('.')); }

ContainerId ContainerId::Child(std::string_view name) const {
  return text_ + "." + std::string(name);
}

bool ContainerId::IsAncestorOf(const ContainerId& other) const {
  return other.text_.size() > text_.size() && other.text_.compare(0, text_.size(), text_) == 0 &&
         other.text_[text_.size()] == '.';
}

}  // namespace tessera::agent
