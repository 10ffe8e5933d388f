#include "tests/sim/registry_process.h"

#include <utility>

#include "services/rpc/error.h"

namespace tessera::sim {

namespace {

using model::v1::ErrorDetail;

absl::Status StatusOf(registry::Refusal refusal, const std::string& message) {
  switch (refusal) {
    case registry::Refusal::kVersionConflict:
      return rpc::Error(absl::StatusCode::kAborted, ErrorDetail::VERSION_CONFLICT, message);
    case registry::Refusal::kStaleEpoch:
      return rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH, message);
    case registry::Refusal::kStorageFailed:
      return rpc::Error(absl::StatusCode::kUnavailable, ErrorDetail::STORAGE_FAILED, message);
    case registry::Refusal::kMalformed:
      return rpc::Error(absl::StatusCode::kInvalidArgument, ErrorDetail::INVALID_FIELD, message);
    case registry::Refusal::kOverloaded:
      return rpc::Error(absl::StatusCode::kResourceExhausted, ErrorDetail::OVERLOADED, message);
    case registry::Refusal::kSnapshotRequired:
      return rpc::Error(absl::StatusCode::kOutOfRange, ErrorDetail::SNAPSHOT_REQUIRED, message);
    case registry::Refusal::kReplaced:
      return absl::AbortedError(message);
    case registry::Refusal::kNone:
      return absl::OkStatus();
  }
  return absl::InternalError("unknown refusal");
}

void SetDuration(absl::Duration value, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

template <typename Map>
auto Take(Map* map, uint64_t id) {
  auto node = map->extract(id);
  return node.empty() ? typename Map::mapped_type() : std::move(node.mapped());
}

}  // namespace

RegistryProcess::RegistryProcess(World* world, registry::RegistryConfig config)
    : Process(&world->loop, "registry"),
      world_(world),
      config_(std::move(config)),
      rng_(world->rng.Fork()),
      disk_(std::make_shared<registry::MemoryDisk>()) {
  world->registry = this;
}

void RegistryProcess::OnStart() {
  store_ = std::make_unique<registry::MemoryStore>(disk_);
  const auto contents = store_->Recover();
  if (!contents.ok()) {
    world_->verdict.Fail("the registry starts", std::string(contents.status().message()));
    return;
  }
  std::map<std::string, std::string> content;
  for (const registry::Record& record : contents->records) content[record.key] = *record.value;
  world_->durability.Recovered(contents->version, content);
  core_ = std::make_unique<registry::RegistryCore>(config_, *contents, loop().now());
  runner_ = std::make_unique<CoreRunner<registry::RegistryCore, registry::Event, registry::Effect>>(
      this, core_.get(), registry::Event(registry::Wake{}),
      [this](std::vector<registry::Effect> effects) { CarryOut(std::move(effects)); });
  runner_->Arm();
}

void RegistryProcess::OnCrash() {
  // Of what was written and not synced, a part may have reached the disk.
  disk_->Crash(rng_.Below(4));
  runner_.reset();
  core_.reset();
  store_.reset();
  commits_.clear();
  reads_.clear();
  renewals_.clear();
  campaigns_.clear();
  world_->network.Drop(this);
}

void RegistryProcess::CarryOut(std::vector<registry::Effect> effects) {
  for (registry::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
}

void RegistryProcess::Do(registry::Persist& persist) {
  const absl::Status appended = store_->Append(persist.batch);
  if (!appended.ok()) {
    world_->verdict.Fail("the store takes batches", std::string(appended.message()));
    return;
  }
  Later(absl::Milliseconds(rng_.Exponential(1)), [this, id = persist.id] {
    if (store_->Sync().ok()) runner_->Step(registry::Persisted{id});
  });
}

void RegistryProcess::Do(registry::CommitAnswer& answer) {
  PendingCommit pending = Take(&commits_, answer.call);
  if (!pending.answer) return;
  if (answer.refusal != registry::Refusal::kNone) {
    pending.answer(StatusOf(answer.refusal, answer.message));
    return;
  }
  world_->durability.Acknowledged(answer.version, pending.changes);
  registry::v1::CommitResponse response;
  response.set_version(answer.version);
  pending.answer(std::move(response));
}

void RegistryProcess::Do(registry::ReadAnswer& answer) {
  const auto reply = Take(&reads_, answer.call);
  if (!reply) return;
  if (answer.refusal != registry::Refusal::kNone) {
    reply(StatusOf(answer.refusal, answer.message));
    return;
  }
  registry::v1::ReadResponse response;
  for (const registry::Record& record : answer.records) {
    auto* out = response.add_records();
    out->set_key(record.key);
    out->set_value(*record.value);
    out->set_version(record.version);
  }
  response.set_version(answer.version);
  response.set_next_page_token(answer.next_page_token);
  reply(std::move(response));
}

void RegistryProcess::Do(registry::RenewAnswer& answer) {
  const auto reply = Take(&renewals_, answer.call);
  if (!reply) return;
  if (answer.refusal != registry::Refusal::kNone) {
    reply(StatusOf(answer.refusal, answer.message));
    return;
  }
  registry::v1::RenewResponse response;
  SetDuration(answer.expires_in, response.mutable_expires_in());
  reply(std::move(response));
}

void RegistryProcess::Do(registry::ResignAnswer&) {}
void RegistryProcess::Do(registry::WatchSend&) {}

void RegistryProcess::Do(registry::CampaignSend& send) {
  const auto it = campaigns_.find(send.stream);
  if (it == campaigns_.end()) return;
  registry::v1::CampaignResponse response;
  if (send.leader) {
    response.mutable_leader()->set_candidate_id(send.leader->candidate_id);
    response.mutable_leader()->set_address(send.leader->address);
    response.mutable_leader()->set_http_address(send.leader->http_address);
    response.mutable_leader()->set_epoch(send.leader->epoch);
    if (send.won_for) {
      response.mutable_lease()->set_epoch(send.leader->epoch);
      SetDuration(*send.won_for, response.mutable_lease()->mutable_expires_in());
    }
  }
  it->second.send(std::move(response));
}

void RegistryProcess::Do(registry::EndStream& end) {
  const CampaignStream stream = Take(&campaigns_, end.stream);
  if (stream.end) stream.end(StatusOf(end.refusal, end.message));
}

void RegistryProcess::Do(registry::Halt& halt) {
  world_->verdict.Fail("the registry goes on", halt.reason);
}

void RegistryProcess::Commit(const registry::v1::CommitRequest& request,
                             Answer<registry::v1::CommitResponse> answer) {
  registry::CommitRequested event;
  event.call = next_id_++;
  event.epoch = request.epoch();
  PendingCommit pending{std::move(answer), {}};
  for (const auto& condition : request.conditions()) {
    event.conditions.push_back({condition.key(), condition.version()});
  }
  for (const auto& write : request.writes()) {
    event.writes.push_back(
        {write.key(), write.has_value() ? registry::MakeValue(write.value()) : nullptr});
    pending.changes.push_back(
        {write.key(), write.has_value() ? std::optional(write.value()) : std::nullopt});
  }
  commits_.emplace(event.call, std::move(pending));
  runner_->Step(event);
}

void RegistryProcess::Read(const registry::v1::ReadRequest& request,
                           Answer<registry::v1::ReadResponse> answer) {
  registry::ReadRequested event;
  event.call = next_id_++;
  event.prefixes.assign(request.prefixes().begin(), request.prefixes().end());
  event.page_size = request.page_size();
  event.page_token = request.page_token();
  reads_.emplace(event.call, std::move(answer));
  runner_->Step(event);
}

void RegistryProcess::Renew(const registry::v1::RenewRequest& request,
                            Answer<registry::v1::RenewResponse> answer) {
  const uint64_t id = next_id_++;
  renewals_.emplace(id, std::move(answer));
  runner_->Step(registry::RenewRequested{id, request.candidate_id(), request.epoch()});
}

void RegistryProcess::Resign(const registry::v1::ResignRequest& request) {
  runner_->Step(registry::ResignRequested{next_id_++, request.candidate_id(), request.epoch()});
}

uint64_t RegistryProcess::Campaign(const registry::v1::CampaignRequest& request,
                                   std::function<void(registry::v1::CampaignResponse)> send,
                                   std::function<void(absl::Status)> end) {
  const uint64_t id = next_id_++;
  campaigns_[id] = {std::move(send), std::move(end)};
  runner_->Step(registry::CampaignRequested{id, request.candidate_id(), request.address(),
                                            request.http_address()});
  return id;
}

void RegistryProcess::EndCampaign(uint64_t stream) {
  if (campaigns_.erase(stream) > 0) runner_->Step(registry::StreamEnded{stream});
}

}  // namespace tessera::sim
