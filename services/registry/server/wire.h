// The registry's messages to events and effects to messages; refusals to statuses.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "protos/tessera/registry/v1/registry_service.pb.h"
#include "services/registry/core/registry_events.h"

namespace tessera::registry {

CommitRequested FromWire(CallId call, const v1::CommitRequest& request);
ReadRequested FromWire(CallId call, const v1::ReadRequest& request);
WatchRequested FromWire(StreamId stream, const v1::WatchRequest& request);
CampaignRequested FromWire(StreamId stream, const v1::CampaignRequest& request);
RenewRequested FromWire(CallId call, const v1::RenewRequest& request);
ResignRequested FromWire(CallId call, const v1::ResignRequest& request);

v1::CommitResponse ToWire(const CommitAnswer& answer);
v1::ReadResponse ToWire(const ReadAnswer& answer);
v1::WatchResponse ToWire(const WatchSend& send);
v1::CampaignResponse ToWire(const CampaignSend& send);
v1::RenewResponse ToWire(const RenewAnswer& answer);

// The status that a refusal is on the wire, with its reason; OK for kNone. `acting`: for
// kNotActing, where the registry that acts serves; may be empty.
absl::Status ToStatus(Refusal refusal, const std::string& message, const std::string& acting = "");

}  // namespace tessera::registry
