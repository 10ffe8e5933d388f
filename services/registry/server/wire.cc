#include "services/registry/server/wire.h"

#include <glog/logging.h>

#include <string>
#include <vector>

#include "services/rpc/error.h"

namespace tessera::registry {
namespace {

using model::v1::ErrorDetail;

void Set(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

std::vector<std::string> Prefixes(const google::protobuf::RepeatedPtrField<std::string>& from) {
  return {from.begin(), from.end()};
}

}  // namespace

CommitRequested FromWire(CallId call, const v1::CommitRequest& request) {
  CommitRequested event{.call = call, .epoch = request.epoch()};
  for (const v1::Condition& condition : request.conditions()) {
    event.conditions.push_back({condition.key(), condition.version()});
  }
  for (const v1::Write& write : request.writes()) {
    event.writes.push_back({write.key(), write.has_value() ? MakeValue(write.value()) : nullptr});
  }
  return event;
}

ReadRequested FromWire(CallId call, const v1::ReadRequest& request) {
  return {.call = call,
          .prefixes = Prefixes(request.prefixes()),
          .page_size = request.page_size(),
          .page_token = request.page_token()};
}

WatchRequested FromWire(StreamId stream, const v1::WatchRequest& request) {
  return {.stream = stream,
          .prefixes = Prefixes(request.prefixes()),
          .after_version = request.after_version()};
}

CampaignRequested FromWire(StreamId stream, const v1::CampaignRequest& request) {
  return {.stream = stream,
          .candidate_id = request.candidate_id(),
          .address = request.address(),
          .http_address = request.http_address()};
}

RenewRequested FromWire(CallId call, const v1::RenewRequest& request) {
  return {.call = call, .candidate_id = request.candidate_id(), .epoch = request.epoch()};
}

ResignRequested FromWire(CallId call, const v1::ResignRequest& request) {
  return {.call = call, .candidate_id = request.candidate_id(), .epoch = request.epoch()};
}

v1::CommitResponse ToWire(const CommitAnswer& answer) {
  v1::CommitResponse response;
  response.set_version(answer.version);
  return response;
}

v1::ReadResponse ToWire(const ReadAnswer& answer) {
  v1::ReadResponse response;
  response.set_version(answer.version);
  response.set_next_page_token(answer.next_page_token);
  for (const Record& record : answer.records) {
    v1::Record* out = response.add_records();
    out->set_key(record.key);
    out->set_value(*record.value);
    out->set_version(record.version);
  }
  return response;
}

v1::WatchResponse ToWire(const WatchSend& send) {
  v1::WatchResponse response;
  for (const auto& commit : send.commits) {
    v1::WatchResponse::Commit* out = response.add_commits();
    out->set_version(commit->version);
    for (const Write& write : commit->writes) {
      v1::Write* out_write = out->add_writes();
      out_write->set_key(write.key);
      if (write.value != nullptr) out_write->set_value(*write.value);
    }
  }
  return response;
}

v1::CampaignResponse ToWire(const CampaignSend& send) {
  v1::CampaignResponse response;
  if (send.leader.has_value()) {
    v1::Leader* leader = response.mutable_leader();
    leader->set_candidate_id(send.leader->candidate_id);
    leader->set_address(send.leader->address);
    leader->set_http_address(send.leader->http_address);
    leader->set_epoch(send.leader->epoch);
  }
  if (send.won_for.has_value()) {
    CHECK(send.leader.has_value());
    response.mutable_lease()->set_epoch(send.leader->epoch);
    Set(*send.won_for, response.mutable_lease()->mutable_expires_in());
  }
  return response;
}

v1::RenewResponse ToWire(const RenewAnswer& answer) {
  v1::RenewResponse response;
  Set(answer.expires_in, response.mutable_expires_in());
  return response;
}

absl::Status ToStatus(Refusal refusal, const std::string& message, const std::string& acting) {
  switch (refusal) {
    case Refusal::kNone:
      return absl::OkStatus();
    case Refusal::kVersionConflict:
      return rpc::Error(absl::StatusCode::kAborted, ErrorDetail::VERSION_CONFLICT, message);
    case Refusal::kStaleEpoch:
      return rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH, message);
    case Refusal::kStorageFailed:
      return rpc::Error(absl::StatusCode::kUnavailable, ErrorDetail::STORAGE_FAILED, message);
    case Refusal::kNotActing: {
      ErrorDetail detail;
      detail.set_reason(ErrorDetail::NOT_LEADER);
      detail.set_leader_address(acting);
      return rpc::Error(absl::StatusCode::kUnavailable, detail, message);
    }
    case Refusal::kTakingOver:
      return rpc::Error(absl::StatusCode::kUnavailable, ErrorDetail::RECOVERING, message);
    case Refusal::kMalformed:
      return rpc::Error(absl::StatusCode::kInvalidArgument, ErrorDetail::INVALID_FIELD, message);
    case Refusal::kOverloaded:
      return rpc::Error(absl::StatusCode::kResourceExhausted, ErrorDetail::OVERLOADED, message);
    case Refusal::kSnapshotRequired:
      return rpc::Error(absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED, message);
    case Refusal::kReplaced:
      return rpc::Error(absl::StatusCode::kAborted, ErrorDetail::CONFLICTING_TRANSITION, message);
  }
  LOG(FATAL) << "a refusal without a status: " << static_cast<int>(refusal);
}

}  // namespace tessera::registry
