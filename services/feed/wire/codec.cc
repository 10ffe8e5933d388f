#include "services/feed/wire/codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/model/wire/fields.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::feed {
namespace {

using google::protobuf::RepeatedPtrField;

// ---- times --------------------------------------------------------------------------------------

void SetTime(absl::Time time, google::protobuf::Timestamp* message) {
  absl::Duration since = time - absl::UnixEpoch();
  int64_t seconds = absl::IDivDuration(since, absl::Seconds(1), &since);
  if (since < absl::ZeroDuration()) {
    since += absl::Seconds(1);
    --seconds;
  }
  message->set_seconds(seconds);
  message->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(since)));
}

absl::Time TimeOf(const google::protobuf::Timestamp& message) {
  return absl::FromUnixSeconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

// ---- resources ----------------------------------------------------------------------------------

model::Resources ResourcesOf(const RepeatedPtrField<pb::Resource>& messages, size_t* malformed) {
  auto resources = model::wire::FromProto(messages);
  if (resources.ok()) return *std::move(resources);
  ++*malformed;
  return {};
}

// ---- states of newer versions -------------------------------------------------------------------

pb::TaskState KnownState(pb::TaskState state) {
  return pb::TaskState_IsValid(state) ? state : pb::TASK_STATE_UNSPECIFIED;
}

TaskPlace KnownPlace(TaskPlace place) {
  return place == TASK_PLACE_UNREACHABLE || place == TASK_PLACE_COMPLETED ? place
                                                                          : TASK_PLACE_ACTIVE;
}

StatusPtr StatusFrom(std::string&& bytes) {
  // Parsed for what is computed on, and so that what is kept is a status.
  pb::TaskStatus parsed;
  if (!parsed.ParseFromString(bytes)) return nullptr;
  auto status = std::make_shared<Status>();
  status->state = KnownState(parsed.state());
  status->timestamp = TimeOf(parsed.timestamp());
  status->bytes = std::move(bytes);
  return status;
}

// ---- to the wire; one for each kind of change ---------------------------------------------------

void Write(const ClusterSet& set, wire::Change* to) {
  *to->mutable_cluster_set()->mutable_cluster() = *set.cluster;
}

void Write(const AgentSet& set, wire::Change* to) {
  *to->mutable_agent_set()->mutable_agent() = *set.agent;
}

void Write(const AgentRemoved& removed, wire::Change* to) {
  to->mutable_agent_removed()->set_agent_id(removed.agent_id);
}

void Write(const FrameworkSet& set, wire::Change* to) {
  const FrameworkRow& row = *set.framework;
  wire::FrameworkRecord* record = to->mutable_framework_set()->mutable_framework();
  record->set_info(row.info.bytes());
  record->set_state(row.state);
  const auto set_time = [](absl::Time time, auto mutable_time) {
    if (time != absl::InfinitePast()) SetTime(time, mutable_time());
  };
  set_time(row.registered_time, [&] { return record->mutable_registered_time(); });
  set_time(row.reregistered_time, [&] { return record->mutable_reregistered_time(); });
  set_time(row.unregistered_time, [&] { return record->mutable_unregistered_time(); });
  for (const std::string& role : row.suppressed_roles) record->add_suppressed_roles(role);
}

void Write(const FrameworkRemoved& removed, wire::Change* to) {
  to->mutable_framework_removed()->set_framework_id(removed.framework_id);
}

void Write(const TaskSet& set, wire::Change* to) {
  const TaskRow& row = set.task;
  const TaskFacts& facts = *row.facts;
  to->mutable_task_set()->set_place(row.place);
  wire::TaskRecord* record = to->mutable_task_set()->mutable_task();
  record->set_framework_id(facts.framework_id);
  record->set_info(facts.info.bytes());
  record->set_state(row.state);
  for (const StatusPtr& status : row.statuses) record->add_statuses(status->bytes);
  record->set_status_update_state(row.status_update_state);
  record->set_status_update_uuid(row.status_update_uuid);
  *record->mutable_incarnation() = model::wire::ToProto(facts.incarnation);
  record->set_agent_id(facts.agent_id);
  model::wire::ToProto(facts.resources, record->mutable_resources());
  record->set_executor_id(facts.executor_id);
  if (facts.executor.valid()) *record->mutable_executor() = model::wire::ToProto(facts.executor);
}

void Write(const TaskStatusAdded& added, wire::Change* to) {
  wire::Change::TaskStatusAdded* message = to->mutable_task_status_added();
  message->set_framework_id(added.framework_id);
  message->set_task_id(added.task_id);
  message->set_status(added.status->bytes);
  message->set_state(added.state);
  *message->mutable_incarnation() = model::wire::ToProto(added.incarnation);
}

void Write(const TaskMoved& moved, wire::Change* to) {
  v1::Change::TaskMoved* message = to->mutable_task_moved();
  message->set_framework_id(moved.framework_id);
  message->set_task_id(moved.task_id);
  message->set_place(moved.place);
  *message->mutable_incarnation() = model::wire::ToProto(moved.incarnation);
}

void Write(const TaskRemoved& removed, wire::Change* to) {
  v1::Change::TaskRemoved* message = to->mutable_task_removed();
  message->set_framework_id(removed.framework_id);
  message->set_task_id(removed.task_id);
  *message->mutable_incarnation() = model::wire::ToProto(removed.incarnation);
}

void Write(const ExecutorSet& set, wire::Change* to) {
  const ExecutorRow& row = *set.executor;
  wire::ExecutorRecord* record = to->mutable_executor_set()->mutable_executor();
  record->set_framework_id(row.framework_id);
  record->set_agent_id(row.agent_id);
  record->set_executor_id(row.executor_id);
  *record->mutable_incarnation() = model::wire::ToProto(row.incarnation);
  model::wire::ToProto(row.resources, record->mutable_resources());
  record->set_info(row.info.bytes());
}

void Write(const ExecutorRemoved& removed, wire::Change* to) {
  v1::Change::ExecutorRemoved* message = to->mutable_executor_removed();
  message->set_framework_id(removed.framework_id);
  message->set_executor_id(removed.executor_id);
  *message->mutable_incarnation() = model::wire::ToProto(removed.incarnation);
}

void Write(const OfferSet& set, wire::Change* to) {
  to->mutable_offer_set()->set_offer(set.offer->offer.bytes());
}

void Write(const OfferRemoved& removed, wire::Change* to) {
  to->mutable_offer_removed()->set_offer_id(removed.offer_id);
}

void Write(const RoleSet& set, wire::Change* to) {
  *to->mutable_role_set()->mutable_role() = *set.role;
}

void Write(const RoleRemoved& removed, wire::Change* to) {
  to->mutable_role_removed()->set_role(removed.role);
}

// ---- from the wire; nothing: the change is malformed --------------------------------------------

using Read = std::optional<Change>;

Read FromMessage(v1::Change::ClusterSet&& set, size_t*) {
  return ClusterSet{std::make_shared<const v1::ClusterRecord>(std::move(*set.mutable_cluster()))};
}

Read FromMessage(v1::Change::AgentSet&& set, size_t*) {
  pb::AgentRecord& record = *set.mutable_agent();
  if (record.info().id().empty()) return std::nullopt;
  if (!pb::AgentState_IsValid(record.state())) record.clear_state();
  return AgentSet{std::make_shared<const pb::AgentRecord>(std::move(record))};
}

Read FromMessage(v1::Change::AgentRemoved&& removed, size_t*) {
  return AgentRemoved{std::move(*removed.mutable_agent_id())};
}

Read FromMessage(wire::Change::FrameworkSet&& set, size_t*) {
  wire::FrameworkRecord& record = *set.mutable_framework();
  pb::FrameworkInfo info;
  if (!info.ParseFromString(record.info()) || info.id().empty()) return std::nullopt;
  auto row = std::make_shared<FrameworkRow>();
  row->id = info.id();
  row->state =
      pb::FrameworkState_IsValid(record.state()) ? record.state() : pb::FRAMEWORK_STATE_UNSPECIFIED;
  row->roles.assign(info.roles().begin(), info.roles().end());
  row->suppressed_roles.assign(record.suppressed_roles().begin(), record.suppressed_roles().end());
  if (record.has_registered_time()) row->registered_time = TimeOf(record.registered_time());
  if (record.has_reregistered_time()) row->reregistered_time = TimeOf(record.reregistered_time());
  if (record.has_unregistered_time()) row->unregistered_time = TimeOf(record.unregistered_time());
  row->info = model::Description(std::move(*record.mutable_info()));
  return FrameworkSet{std::move(row)};
}

Read FromMessage(v1::Change::FrameworkRemoved&& removed, size_t*) {
  return FrameworkRemoved{std::move(*removed.mutable_framework_id())};
}

Read FromMessage(wire::Change::TaskSet&& set, size_t* malformed) {
  wire::TaskRecord& record = *set.mutable_task();
  const std::optional<std::string_view> id =
      model::wire::LastBytesField(record.info(), pb::TaskInfo::kIdFieldNumber);
  const model::Incarnation incarnation = model::wire::FromProto(record.incarnation());
  if (!id.has_value() || id->empty() || record.framework_id().empty() || !incarnation.valid()) {
    return std::nullopt;
  }
  auto facts = std::make_shared<TaskFacts>();
  facts->task_id = std::string(*id);
  facts->incarnation = incarnation;
  facts->framework_id = std::move(*record.mutable_framework_id());
  facts->agent_id = std::move(*record.mutable_agent_id());
  facts->executor_id = std::move(*record.mutable_executor_id());
  facts->executor = model::wire::FromProto(record.executor());
  facts->resources = ResourcesOf(record.resources(), malformed);
  facts->info = model::Description(std::move(*record.mutable_info()));
  TaskRow row;
  row.facts = std::move(facts);
  row.place = KnownPlace(set.place());
  row.state = KnownState(record.state());
  row.status_update_state = KnownState(record.status_update_state());
  row.status_update_uuid = std::move(*record.mutable_status_update_uuid());
  row.statuses.reserve(record.statuses_size());
  for (std::string& bytes : *record.mutable_statuses()) {
    if (StatusPtr status = StatusFrom(std::move(bytes))) {
      row.statuses.push_back(std::move(status));
    } else {
      ++*malformed;
    }
  }
  return TaskSet{std::move(row)};
}

Read FromMessage(wire::Change::TaskStatusAdded&& added, size_t*) {
  StatusPtr status = StatusFrom(std::move(*added.mutable_status()));
  if (status == nullptr) return std::nullopt;
  return TaskStatusAdded{
      std::move(*added.mutable_framework_id()), std::move(*added.mutable_task_id()),
      model::wire::FromProto(added.incarnation()), std::move(status), KnownState(added.state())};
}

Read FromMessage(v1::Change::TaskMoved&& moved, size_t*) {
  return TaskMoved{std::move(*moved.mutable_framework_id()), std::move(*moved.mutable_task_id()),
                   model::wire::FromProto(moved.incarnation()), KnownPlace(moved.place())};
}

Read FromMessage(v1::Change::TaskRemoved&& removed, size_t*) {
  return TaskRemoved{std::move(*removed.mutable_framework_id()),
                     std::move(*removed.mutable_task_id()),
                     model::wire::FromProto(removed.incarnation())};
}

Read FromMessage(wire::Change::ExecutorSet&& set, size_t* malformed) {
  wire::ExecutorRecord& record = *set.mutable_executor();
  const model::Incarnation incarnation = model::wire::FromProto(record.incarnation());
  if (record.framework_id().empty() || record.executor_id().empty() || !incarnation.valid()) {
    return std::nullopt;
  }
  auto row = std::make_shared<ExecutorRow>();
  row->framework_id = std::move(*record.mutable_framework_id());
  row->agent_id = std::move(*record.mutable_agent_id());
  row->executor_id = std::move(*record.mutable_executor_id());
  row->incarnation = incarnation;
  row->resources = ResourcesOf(record.resources(), malformed);
  row->info = model::Description(std::move(*record.mutable_info()));
  return ExecutorSet{std::move(row)};
}

Read FromMessage(v1::Change::ExecutorRemoved&& removed, size_t*) {
  return ExecutorRemoved{std::move(*removed.mutable_framework_id()),
                         std::move(*removed.mutable_executor_id()),
                         model::wire::FromProto(removed.incarnation())};
}

Read FromMessage(wire::Change::OfferSet&& set, size_t* malformed) {
  pb::Offer offer;
  if (!offer.ParseFromString(set.offer()) || offer.id().empty()) return std::nullopt;
  auto row = std::make_shared<OfferRow>();
  row->id = offer.id();
  row->framework_id = offer.framework_id();
  row->agent_id = offer.agent_id();
  row->role = offer.role();
  row->resources = ResourcesOf(offer.resources(), malformed);
  row->offer = model::Description(std::move(*set.mutable_offer()));
  return OfferSet{std::move(row)};
}

Read FromMessage(v1::Change::OfferRemoved&& removed, size_t*) {
  return OfferRemoved{std::move(*removed.mutable_offer_id())};
}

Read FromMessage(v1::Change::RoleSet&& set, size_t*) {
  if (set.role().name().empty()) return std::nullopt;
  return RoleSet{std::make_shared<const v1::RoleRecord>(std::move(*set.mutable_role()))};
}

Read FromMessage(v1::Change::RoleRemoved&& removed, size_t*) {
  return RoleRemoved{std::move(*removed.mutable_role())};
}

Read ReadChange(wire::Change&& message, size_t* malformed) {
  using C = wire::Change;
  // No default: the compiler names a kind that is missing here.
  switch (message.kind_case()) {
    case C::kClusterSet:
      return FromMessage(std::move(*message.mutable_cluster_set()), malformed);
    case C::kAgentSet:
      return FromMessage(std::move(*message.mutable_agent_set()), malformed);
    case C::kAgentRemoved:
      return FromMessage(std::move(*message.mutable_agent_removed()), malformed);
    case C::kFrameworkSet:
      return FromMessage(std::move(*message.mutable_framework_set()), malformed);
    case C::kFrameworkRemoved:
      return FromMessage(std::move(*message.mutable_framework_removed()), malformed);
    case C::kTaskSet:
      return FromMessage(std::move(*message.mutable_task_set()), malformed);
    case C::kTaskStatusAdded:
      return FromMessage(std::move(*message.mutable_task_status_added()), malformed);
    case C::kTaskMoved:
      return FromMessage(std::move(*message.mutable_task_moved()), malformed);
    case C::kTaskRemoved:
      return FromMessage(std::move(*message.mutable_task_removed()), malformed);
    case C::kExecutorSet:
      return FromMessage(std::move(*message.mutable_executor_set()), malformed);
    case C::kExecutorRemoved:
      return FromMessage(std::move(*message.mutable_executor_removed()), malformed);
    case C::kOfferSet:
      return FromMessage(std::move(*message.mutable_offer_set()), malformed);
    case C::kOfferRemoved:
      return FromMessage(std::move(*message.mutable_offer_removed()), malformed);
    case C::kRoleSet:
      return FromMessage(std::move(*message.mutable_role_set()), malformed);
    case C::kRoleRemoved:
      return FromMessage(std::move(*message.mutable_role_removed()), malformed);
    case C::KIND_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::vector<Change> ReadChanges(RepeatedPtrField<wire::Change>* messages, size_t* malformed) {
  std::vector<Change> changes;
  changes.reserve(messages->size());
  for (wire::Change& message : *messages) FromWire(std::move(message), &changes, malformed);
  return changes;
}

std::string Serialised(const wire::FollowResponse& message) { return message.SerializeAsString(); }

}  // namespace

void ToWire(const Change& change, wire::Change* message) {
  std::visit([message](const auto& kind) { Write(kind, message); }, change);
}

bool FromWire(wire::Change&& message, std::vector<Change>* changes, size_t* malformed) {
  Read read = ReadChange(std::move(message), malformed);
  if (!read.has_value()) {
    ++*malformed;
    return false;
  }
  changes->push_back(*std::move(read));
  return true;
}

std::string Encode(uint64_t epoch, const Delta& delta) {
  wire::FollowResponse message;
  message.set_epoch(epoch);
  message.set_format(kFeedFormat);
  message.mutable_delta()->set_version(delta.version);
  for (const Change& change : delta.changes) ToWire(change, message.mutable_delta()->add_changes());
  return Serialised(message);
}

std::string Encode(uint64_t epoch, const SnapshotPart& part) {
  wire::FollowResponse message;
  message.set_epoch(epoch);
  message.set_format(kFeedFormat);
  wire::SnapshotChunk* chunk = message.mutable_snapshot();
  chunk->set_version(part.version);
  chunk->set_first(part.first);
  chunk->set_last(part.last);
  for (const Change& change : part.changes) ToWire(change, chunk->add_changes());
  return Serialised(message);
}

std::string Encode(uint64_t epoch, const HeartbeatTold& told) {
  wire::FollowResponse message;
  message.set_epoch(epoch);
  message.set_format(kFeedFormat);
  v1::Heartbeat* heartbeat = message.mutable_heartbeat();
  heartbeat->set_sequence(told.sequence);
  heartbeat->set_hops(told.hops);
  absl::Duration age = std::max(told.age, absl::ZeroDuration());
  heartbeat->mutable_age()->set_seconds(absl::IDivDuration(age, absl::Seconds(1), &age));
  heartbeat->mutable_age()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(age)));
  return Serialised(message);
}

absl::StatusOr<FeedPiece> Decode(wire::FollowResponse&& message) {
  if (message.format() == 0 || message.format() > kFeedFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the feed is of format ", message.format(), ", this version reads format ",
                     kFeedFormat, ": upgrade the followers before what they follow"));
  }
  FeedPiece piece;
  piece.epoch = message.epoch();
  switch (message.kind_case()) {
    case wire::FollowResponse::kSnapshot: {
      wire::SnapshotChunk& chunk = *message.mutable_snapshot();
      piece.kind = SnapshotPart{chunk.version(), chunk.first(), chunk.last(),
                                ReadChanges(chunk.mutable_changes(), &piece.malformed)};
      break;
    }
    case wire::FollowResponse::kDelta: {
      wire::Delta& delta = *message.mutable_delta();
      piece.kind = Delta{delta.version(), ReadChanges(delta.mutable_changes(), &piece.malformed)};
      break;
    }
    case wire::FollowResponse::kHeartbeat: {
      // An age that makes no sense counts as none.
      const v1::Heartbeat& heartbeat = message.heartbeat();
      const absl::Duration age =
          absl::Seconds(heartbeat.age().seconds()) + absl::Nanoseconds(heartbeat.age().nanos());
      piece.kind = HeartbeatTold{heartbeat.sequence(), std::max(age, absl::ZeroDuration()),
                                 heartbeat.hops()};
      break;
    }
    case wire::FollowResponse::KIND_NOT_SET:
      break;
  }
  return piece;
}

v1::Change ToPublic(const Change& change) {
  wire::Change carried;
  ToWire(change, &carried);
  v1::Change message;
  message.ParseFromString(carried.SerializeAsString());
  return message;
}

std::optional<Change> FromPublic(const v1::Change& change) {
  wire::Change carried;
  carried.ParseFromString(change.SerializeAsString());
  size_t malformed = 0;
  return ReadChange(std::move(carried), &malformed);
}

pb::TaskRecord ToRecord(const TaskRow& task) {
  wire::Change carried;
  Write(TaskSet{task}, &carried);
  pb::TaskRecord record;
  record.ParseFromString(carried.task_set().task().SerializeAsString());
  return record;
}

pb::FrameworkRecord ToRecord(const FrameworkRow& framework) {
  wire::Change carried;
  Write(FrameworkSet{std::make_shared<const FrameworkRow>(framework)}, &carried);
  pb::FrameworkRecord record;
  record.ParseFromString(carried.framework_set().framework().SerializeAsString());
  return record;
}

}  // namespace tessera::feed
