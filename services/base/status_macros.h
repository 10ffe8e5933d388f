// Early return for functions that return absl::Status or absl::StatusOr.
//
// These two macros are the only ones of the tree that hide control flow.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace tessera::base {

// `status` with "context: " before its message; code and payloads stay. OK stays OK.
inline absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&annotated](auto type_url, const absl::Cord& payload) {
    annotated.SetPayload(type_url, payload);
  });
  return annotated;
}

namespace internal {
inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}
}  // namespace internal
}  // namespace tessera::base

// Returns the status of `expr` (a Status or StatusOr) from this function unless it is OK.
#define RETURN_IF_ERROR(expr)                                                               \
  do {                                                                                      \
    const auto& tessera_result_ = (expr);                                                   \
    if (!tessera_result_.ok()) return ::tessera::base::internal::StatusOf(tessera_result_); \
  } while (false)

#define TESSERA_CONCAT_INNER_(a, b) a##b
#define TESSERA_CONCAT_(a, b) TESSERA_CONCAT_INNER_(a, b)

// ASSIGN_OR_RETURN(auto value, ReturnsStatusOr()): moves the value out, or returns the status.
// An expression with a comma outside parentheses needs parentheses of its own.
#define ASSIGN_OR_RETURN(lhs, expr) \
  TESSERA_ASSIGN_OR_RETURN_(TESSERA_CONCAT_(tessera_status_or_, __LINE__), lhs, expr)
#define TESSERA_ASSIGN_OR_RETURN_(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result.ok()) return result.status();          \
  lhs = *std::move(result)
