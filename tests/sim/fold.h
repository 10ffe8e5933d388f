// Folds effects of cores, with the contents of their messages, into the digest of a run.
//
// FoldAll(&digest, a, b, c) takes numbers, texts, times, statuses, messages, and optionals,
// variants and lists of them. Anything else does not compile: what is new in a core is folded, too,
// or left out by whoever adapts the core to the simulator, with a reason.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"
#include "services/base/strong_id.h"
#include "services/model/description.h"
#include "services/model/incarnation.h"
#include "tests/sim/digest.h"

namespace tessera::sim {

// The bytes are those of a deterministic serialisation: equal messages have equal ones.
void Fold(Digest* digest, const google::protobuf::MessageLite& message);

inline void Fold(Digest* digest, std::string_view text) { digest->Add(text); }
inline void Fold(Digest* digest, const std::string& text) { digest->Add(text); }
inline void Fold(Digest* digest, absl::Duration duration) {
  digest->Add(static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration)));
}
inline void Fold(Digest* digest, absl::Time time) {
  digest->Add(static_cast<uint64_t>(absl::ToUnixNanos(time)));
}
inline void Fold(Digest* digest, const absl::Status& status) {
  digest->Add(static_cast<uint64_t>(status.code()));
  digest->Add(std::string_view(status.message().data(), status.message().size()));
}
inline void Fold(Digest* digest, const model::Description& description) {
  digest->Add(description.bytes());
}
inline void Fold(Digest* digest, const model::Incarnation& incarnation) {
  digest->Add(incarnation.epoch);
  digest->Add(incarnation.number);
}
template <typename Number>
requires(std::is_integral_v<Number> || std::is_enum_v<Number>) void Fold(Digest* digest,
                                                                         Number number) {
  digest->Add(static_cast<uint64_t>(number));
}
template <typename Tag, typename Number>
void Fold(Digest* digest, const base::StrongId<Tag, Number>& id) {
  digest->Add(static_cast<uint64_t>(id.value()));
}

template <typename T>
void Fold(Digest* digest, const std::optional<T>& value);
template <typename T>
void Fold(Digest* digest, const std::vector<T>& values);
template <typename T>
void Fold(Digest* digest, const std::shared_ptr<T>& value);
template <typename... T>
void Fold(Digest* digest, const std::variant<T...>& value);
template <typename T>
void Fold(Digest* digest, const absl::StatusOr<T>& value);

template <typename... T>
void FoldAll(Digest* digest, const T&... values) {
  (Fold(digest, values), ...);
}

template <typename T>
void Fold(Digest* digest, const std::optional<T>& value) {
  digest->Add(value.has_value());
  if (value.has_value()) Fold(digest, *value);
}
template <typename T>
void Fold(Digest* digest, const std::vector<T>& values) {
  digest->Add(values.size());
  for (const T& value : values) Fold(digest, value);
}
template <typename T>
void Fold(Digest* digest, const std::shared_ptr<T>& value) {
  digest->Add(value != nullptr);
  if (value != nullptr) Fold(digest, *value);
}
template <typename... T>
void Fold(Digest* digest, const std::variant<T...>& value) {
  digest->Add(value.index());
  std::visit([digest](const auto& held) { Fold(digest, held); }, value);
}
template <typename T>
void Fold(Digest* digest, const absl::StatusOr<T>& value) {
  Fold(digest, value.status());
  if (value.ok()) Fold(digest, *value);
}

}  // namespace tessera::sim
