#include "services/rpc/error.h"

#include <glog/logging.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace tessera::rpc {
namespace {

absl::string_view Abseil(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status Error(absl::StatusCode code, const model::v1::ErrorDetail& detail,
                   std::string_view message) {
  CHECK(code != absl::StatusCode::kOk);
  absl::Status status(code, Abseil(message));
  status.SetPayload(Abseil(kErrorDetailUrl), absl::Cord(detail.SerializeAsString()));
  return status;
}

absl::Status Error(absl::StatusCode code, Reason reason, std::string_view message) {
  model::v1::ErrorDetail detail;
  detail.set_reason(reason);
  return Error(code, detail, message);
}

absl::Status InvalidField(std::string_view field, std::string_view message) {
  model::v1::ErrorDetail detail;
  detail.set_reason(model::v1::ErrorDetail::INVALID_FIELD);
  detail.set_field(std::string(field));
  return Error(absl::StatusCode::kInvalidArgument, detail,
               absl::StrCat(Abseil(field), ": ", Abseil(message)));
}

absl::Status NotLeader(std::string_view leader_address) {
  model::v1::ErrorDetail detail;
  detail.set_reason(model::v1::ErrorDetail::NOT_LEADER);
  detail.set_leader_address(std::string(leader_address));
  return Error(
      absl::StatusCode::kUnavailable, detail,
      leader_address.empty()
          ? std::string("this master does not lead, and no leader is known yet; try again")
          : absl::StrCat("this master does not lead; the leader is ", Abseil(leader_address)));
}

absl::Status Overloaded(std::string_view what) {
  return Error(absl::StatusCode::kResourceExhausted, model::v1::ErrorDetail::OVERLOADED,
               absl::StrCat("too much waits (", Abseil(what), "); back off and try again"));
}

std::optional<model::v1::ErrorDetail> DetailOf(const absl::Status& status) {
  const auto payload = status.GetPayload(Abseil(kErrorDetailUrl));
  if (!payload.has_value()) return std::nullopt;
  model::v1::ErrorDetail detail;
  if (!detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

Reason ReasonOf(const absl::Status& status) {
  const auto detail = DetailOf(status);
  return detail.has_value() ? detail->reason() : model::v1::ErrorDetail::REASON_UNSPECIFIED;
}

}  // namespace tessera::rpc
