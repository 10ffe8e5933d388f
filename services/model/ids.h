// Typed identifiers: a FrameworkId cannot be passed where a TaskId is wanted.
//
// An id is an opaque string. Which strings are allowed is said by ValidateId; typed ids do not
// check by themselves, so that a bad id can still be shown.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "services/base/strong_id.h"

namespace tessera::model {

inline constexpr size_t kIdBytesMax = 255;

// Not empty, at most 255 bytes, neither "." nor "..", no control character, no "/" and no "\".
// InvalidArgument tells `what` (for example "task id") and the rule that is broken.
absl::Status ValidateId(std::string_view what, std::string_view id);

namespace id_tags {
struct Framework {
  static constexpr std::string_view kWhat = "framework id";
};
struct Agent {
  static constexpr std::string_view kWhat = "agent id";
};
struct Task {
  static constexpr std::string_view kWhat = "task id";
};
}  // namespace id_tags

// The same, for a typed id; the message starts with the kind of id.
template <typename Tag>
absl::Status ValidateId(const base::StrongId<Tag>& id) {
  return ValidateId(Tag::kWhat, id.value());
}

using FrameworkId = base::StrongId<id_tags::Framework>;
using AgentId = base::StrongId<id_tags::Agent>;
using TaskId = base::StrongId<id_tags::Task>;

}  // namespace tessera::model
