// Typed identifiers: a FrameworkId cannot be passed where a TaskId is wanted.
//
// An id is an opaque string. Which strings are allowed is said by ValidateId; typed ids
// themselves do not check, so that an id read from a record can be shown even if it is bad.
#pragma once

#include <compare>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace tessera::model {

inline constexpr size_t kIdBytesMax = 255;

// Not empty, at most 255 bytes, neither "." nor "..", no control character, no "/" and no "\".
// InvalidArgument tells `what` (for example "task id") and the rule that is broken.
absl::Status ValidateId(std::string_view what, std::string_view id);

template <typename Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}

  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }
  // Checks the generic rule; the message starts with the kind of id.
  absl::Status Validate() const { return ValidateId(Tag::kWhat, value_); }

  friend bool operator==(const StrongId&, const StrongId&) = default;
  friend std::strong_ordering operator<=>(const StrongId& left, const StrongId& right) {
    return left.value_ <=> right.value_;
  }
  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value_;
  }
  template <typename H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  std::string value_;
};

namespace id_tags {
struct Framework { static constexpr std::string_view kWhat = "framework id"; };
struct Agent { static constexpr std::string_view kWhat = "agent id"; };
struct Offer { static constexpr std::string_view kWhat = "offer id"; };
struct InverseOffer { static constexpr std::string_view kWhat = "inverse offer id"; };
struct Task { static constexpr std::string_view kWhat = "task id"; };
struct Executor { static constexpr std::string_view kWhat = "executor id"; };
struct Container { static constexpr std::string_view kWhat = "container id"; };
struct Operation { static constexpr std::string_view kWhat = "operation id"; };
struct Persistence { static constexpr std::string_view kWhat = "persistence id"; };
struct Provider { static constexpr std::string_view kWhat = "resource provider id"; };
struct Role { static constexpr std::string_view kWhat = "role"; };
}  // namespace id_tags

using FrameworkId = StrongId<id_tags::Framework>;
using AgentId = StrongId<id_tags::Agent>;
using OfferId = StrongId<id_tags::Offer>;
using InverseOfferId = StrongId<id_tags::InverseOffer>;
using TaskId = StrongId<id_tags::Task>;
using ExecutorId = StrongId<id_tags::Executor>;
using ContainerId = StrongId<id_tags::Container>;
using OperationId = StrongId<id_tags::Operation>;
using PersistenceId = StrongId<id_tags::Persistence>;
using ProviderId = StrongId<id_tags::Provider>;
// Follows the rules of role.h, not the generic id rule: use ValidateRole.
using RoleName = StrongId<id_tags::Role>;

}  // namespace tessera::model

template <typename Tag>
struct std::hash<tessera::model::StrongId<Tag>> {
  size_t operator()(const tessera::model::StrongId<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.value());
  }
};
