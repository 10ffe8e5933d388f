// What goes into the master's core and what comes out of it.
//
// Payloads are the messages of protos/. Ids of streams and calls are given by the shell and never
// reused within a process; ids of registry requests are given by the core. A refusal is an
// absl::Status that carries an ErrorDetail (services/rpc/error.h).
//
// What the shell promises
// - Events of one stream come in order; StreamClosed, AgentStreamClosed and AllocatorDisconnected
//   come exactly once and last, also after the core itself closed the stream.
// - Every registry request is answered once by the event of the same id. One that got no answer in
//   time is answered with DEADLINE_EXCEEDED or UNAVAILABLE: what became of it is then unknown.
// - What agents bring has passed CheckDescriptions (launch_request.h).
// - Effects are carried out in order. Messages to a stream that has ended are dropped.
// - A Wake comes soon after NextDeadline() has passed; an early or superfluous one does no harm.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/auth/caller.h"
#include "services/base/note.h"
#include "services/base/strong_id.h"
#include "services/feed/rows.h"
#include "services/master/core/contracts.h"
#include "services/master/core/launch_request.h"

namespace tessera::master {

// A Subscribe stream of a framework.
using StreamId = base::StrongId<struct StreamIdTag, uint64_t>;
// A Connect stream of an agent.
using AgentStreamId = base::StrongId<struct AgentStreamIdTag, uint64_t>;
// A unary call of a framework or an operator.
using CallId = base::StrongId<struct CallIdTag, uint64_t>;
// A stream to the allocator.
using LinkId = base::StrongId<struct LinkIdTag, uint64_t>;
// A request to the registry.
using RequestId = base::StrongId<struct RequestIdTag, uint64_t>;

// ---- Events -----------------------------------------------------------------------------------

// The process is ready to serve: the core begins to strive for leadership.
struct Started {};

// The process will end: the core resigns and closes what is open. Nothing follows but answers and
// Wake, until Stopped.
struct StopRequested {};

struct Wake {};

struct SubscribeOpened {
  StreamId stream;
  sched::SubscribeRequest request;
  auth::Caller caller;
};

// The framework's stream has ended, whoever ended it.
struct StreamClosed {
  StreamId stream;
};

using SchedulerRequest = std::variant<
    AcceptOffers, sched::DeclineOffersRequest, sched::ReviveOffersRequest,
    sched::SuppressOffersRequest, sched::UnsuppressOffersRequest, sched::ClearFiltersRequest,
    sched::SetDemandRequest, sched::AnswerInverseOffersRequest, sched::KillTaskRequest,
    sched::AcknowledgeRequest, sched::ReconcileTasksRequest, sched::ReconcileOperationsRequest,
    sched::SendMessageRequest, sched::ShutdownExecutorRequest, sched::UpdateFrameworkRequest,
    sched::TeardownRequest>;

struct SchedulerCall {
  CallId call;
  SchedulerRequest request;
  auth::Caller caller;
};

struct AgentStreamOpened {
  AgentStreamId stream;
  auth::Caller caller;
};

struct AgentMessages {
  AgentStreamId stream;
  link::ConnectRequest batch;
  auth::Caller caller;
};

struct AgentStreamClosed {
  AgentStreamId stream;
  absl::Status status;
};

// The hostnames whose agents may be offered, from now on and by every reign of this process; none:
// all agents.
struct WhitelistRead {
  std::optional<std::vector<std::string>> hostnames;
};

// A stream asked for by ConnectAllocator is open.
struct AllocatorConnected {
  LinkId link;
};

struct AllocatorMessage {
  LinkId link;
  alloc::AllocateResponse response;
};

// The stream has ended, or could not be opened.
struct AllocatorDisconnected {
  LinkId link;
  absl::Status status;
};

// One message of the campaign's stream.
struct CampaignUpdate {
  RequestId id;
  reg::CampaignResponse response;
};

// The campaign's stream has ended.
struct CampaignEnded {
  RequestId id;
  absl::Status status;
};

struct Renewed {
  RequestId id;
  absl::StatusOr<reg::RenewResponse> answer;
};

struct Resigned {
  RequestId id;
  absl::Status status;
};

struct ReadDone {
  RequestId id;
  absl::StatusOr<reg::ReadResponse> answer;
};

struct Committed {
  RequestId id;
  absl::StatusOr<reg::CommitResponse> answer;
};

using OperatorRequest =
    std::variant<ops::UpdateQuotaRequest, ops::UpdateWeightsRequest, ops::ReserveResourcesRequest,
                 ops::UnreserveResourcesRequest, ops::CreateVolumesRequest,
                 ops::DestroyVolumesRequest, ops::ResizeVolumeRequest,
                 ops::UpdateMaintenanceScheduleRequest, ops::GetMaintenanceScheduleRequest,
                 ops::GetMaintenanceStatusRequest, ops::StartMaintenanceRequest,
                 ops::StopMaintenanceRequest, ops::DrainAgentRequest, ops::DeactivateAgentRequest,
                 ops::ReactivateAgentRequest, ops::MarkAgentGoneRequest,
                 ops::TeardownFrameworkRequest, ops::KillTaskRequest>;

struct OperatorCall {
  CallId call;
  OperatorRequest request;
  auth::Caller caller;
};

using Event =
    std::variant<Started, StopRequested, Wake, SubscribeOpened, StreamClosed, SchedulerCall,
                 AgentStreamOpened, AgentMessages, AgentStreamClosed, AllocatorConnected,
                 AllocatorMessage, AllocatorDisconnected, CampaignUpdate, CampaignEnded, Renewed,
                 Resigned, ReadDone, Committed, OperatorCall, WhitelistRead>;
static_assert(auth::kCarriesCallers<Event, Started, StopRequested, Wake, StreamClosed,
                                    AgentStreamClosed, AllocatorConnected, AllocatorMessage,
                                    AllocatorDisconnected, CampaignUpdate, CampaignEnded, Renewed,
                                    Resigned, ReadDone, Committed, WhitelistRead>);

// ---- Effects ----------------------------------------------------------------------------------

struct ToFramework {
  StreamId stream;
  sched::SubscribeResponse response;
  // About how many bytes it has on the wire.
  size_t bytes = 0;
};

// Ends the stream after what was sent before.
struct CloseFramework {
  StreamId stream;
  absl::Status status;
};

struct ToAgent {
  AgentStreamId stream;
  link::ConnectResponse response;
  // About how many bytes it has on the wire.
  size_t bytes = 0;
};

// Ends the stream after what was sent before.
struct CloseAgent {
  AgentStreamId stream;
  absl::Status status;
};

using SchedulerAnswer = std::variant<
    sched::AcceptOffersResponse, sched::DeclineOffersResponse, sched::ReviveOffersResponse,
    sched::SuppressOffersResponse, sched::UnsuppressOffersResponse, sched::ClearFiltersResponse,
    sched::SetDemandResponse, sched::AnswerInverseOffersResponse, sched::KillTaskResponse,
    sched::AcknowledgeResponse, sched::ReconcileTasksResponse, sched::ReconcileOperationsResponse,
    sched::SendMessageResponse, sched::ShutdownExecutorResponse, sched::UpdateFrameworkResponse,
    sched::TeardownResponse>;

// The answer to a SchedulerCall, of the type that belongs to its request. Exactly one a call.
struct Reply {
  CallId call;
  absl::StatusOr<SchedulerAnswer> answer;
};

using OperatorAnswer =
    std::variant<ops::UpdateQuotaResponse, ops::UpdateWeightsResponse,
                 ops::ReserveResourcesResponse, ops::UnreserveResourcesResponse,
                 ops::CreateVolumesResponse, ops::DestroyVolumesResponse, ops::ResizeVolumeResponse,
                 ops::UpdateMaintenanceScheduleResponse, ops::GetMaintenanceScheduleResponse,
                 ops::GetMaintenanceStatusResponse, ops::StartMaintenanceResponse,
                 ops::StopMaintenanceResponse, ops::DrainAgentResponse,
                 ops::DeactivateAgentResponse, ops::ReactivateAgentResponse,
                 ops::MarkAgentGoneResponse, ops::TeardownFrameworkResponse, ops::KillTaskResponse>;

// The answer to an OperatorCall; as Reply.
struct OperatorReply {
  CallId call;
  absl::StatusOr<OperatorAnswer> answer;
};

// Opens a stream to the allocator, closing an older one; answered by AllocatorConnected or
// AllocatorDisconnected with this id.
struct ConnectAllocator {
  LinkId link;
};

struct ToAllocator {
  LinkId link;
  alloc::AllocateRequest request;
};

// Ends the stream to the allocator; AllocatorDisconnected follows.
struct CloseAllocator {
  LinkId link;
};

// Opens a campaign; CampaignUpdate and one CampaignEnded answer. A newer one replaces it.
struct Campaign {
  RequestId id;
  reg::CampaignRequest request;
};

struct Renew {
  RequestId id;
  reg::RenewRequest request;
};

struct Read {
  RequestId id;
  reg::ReadRequest request;
};

struct Commit {
  RequestId id;
  reg::CommitRequest request;
};

// Ends the campaign's stream; CampaignEnded follows. What is asked of the registry later reaches it
// later.
struct EndCampaign {
  RequestId id;
};

// Gives the lease up; answered by Resigned.
struct Resign {
  RequestId id;
  reg::ResignRequest request;
};

// After StopRequested: the core has given up what it held and asks for nothing more.
struct Stopped {};

// Changes for the followers of the state feed. With `reset` everything published before is
// forgotten first: a new leader begins. Versions of one epoch have no gaps.
struct PublishFeed {
  uint64_t epoch = 0;
  bool reset = false;
  feed::Delta delta;
};

// Proof for the followers of the state feed that this master leads and what it has published is the
// present: to be sent after all changes before it.
struct FeedHeartbeat {
  uint64_t epoch = 0;
};

// Words for the people who run this master.
using base::Note;

// This master leads from now on: it has read the registry and takes calls.
struct LeadershipBegan {
  uint64_t epoch = 0;
};

// It leads no more. Every stream was closed before; it goes on as a standby.
struct LeadershipEnded {
  std::string reason;
};

using Effect = std::variant<ToFramework, CloseFramework, ToAgent, CloseAgent, Reply, OperatorReply,
                            ConnectAllocator, ToAllocator, CloseAllocator, Campaign, Renew, Read,
                            Commit, EndCampaign, Resign, Stopped, PublishFeed, FeedHeartbeat, Note,
                            LeadershipBegan, LeadershipEnded>;
using Effects = std::vector<Effect>;

}  // namespace tessera::master
