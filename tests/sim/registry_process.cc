#include "tests/sim/registry_process.h"

#include <utility>

#include "services/registry/server/wire.h"
#include "services/registry/store/store_format.h"
#include "tests/sim/fold.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kStopPatience = absl::Seconds(5);

absl::Status Stopping() { return absl::UnavailableError("the registry stops; try again soon"); }

template <typename Map>
auto Take(Map* map, uint64_t id) {
  auto node = map->extract(id);
  return node.empty() ? typename Map::mapped_type() : std::move(node.mapped());
}

}  // namespace

void RegistryProcess::Tap::Fold(Digest* digest, const registry::Persist& effect) {
  FoldAll(digest, effect.guard.term, effect.guard.number, registry::EncodeBatch(effect.batch));
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::CommitAnswer& effect) {
  FoldAll(digest, effect.call, effect.refusal, effect.message, effect.version);
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::ReadAnswer& effect) {
  FoldAll(digest, effect.call, effect.refusal, effect.message, effect.version,
          effect.next_page_token);
  for (const registry::Record& record : effect.records) {
    FoldAll(digest, record.key, record.value, record.version);
  }
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::RenewAnswer& effect) {
  FoldAll(digest, effect.call, effect.refusal, effect.message, effect.expires_in);
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::ResignAnswer& effect) {
  FoldAll(digest, effect.call, effect.refusal, effect.message);
}
// Nobody watches here.
void RegistryProcess::Tap::Fold(Digest* digest, const registry::WatchSend& effect) {
  FoldAll(digest, effect.stream, effect.commits.size());
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::CampaignSend& effect) {
  FoldAll(digest, effect.stream, registry::ToWire(effect));
}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::EndStream& effect) {
  FoldAll(digest, effect.stream, effect.refusal, effect.message);
}
void RegistryProcess::Tap::Fold(Digest*, const registry::AcquireStore&) {}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::Settle& effect) {
  FoldAll(digest, effect.guard.term, effect.guard.number);
}
// Words for people decide nothing.
void RegistryProcess::Tap::Fold(Digest*, const registry::Note&) {}
void RegistryProcess::Tap::Fold(Digest* digest, const registry::Halt& effect) {
  FoldAll(digest, effect.reason);
}

RegistryProcess::RegistryProcess(World* world, registry::RegistryConfig config,
                                 DiskShape disk_shape)
    : Process(&world->loop, "registry"),
      world_(world),
      config_(std::move(config)),
      disk_shape_(disk_shape),
      rng_(world->rng.Fork()),
      disk_(std::make_shared<registry::MemoryDisk>()) {
  world->registry = this;
}

void RegistryProcess::OnStart() {
  store_ = std::make_unique<registry::MemoryStore>(disk_);
  core_ = std::make_unique<registry::RegistryCore>(config_);
  runner_ =
      std::make_unique<CoreRunner<registry::RegistryCore, registry::Event, registry::Effect, Tap>>(
          world_, this, core_.get(), registry::Event(registry::Wake{}),
          [this](std::vector<registry::Effect> effects) { CarryOut(std::move(effects)); });
  writing_ = false;
  runner_->Step(registry::Started{});
}

void RegistryProcess::OnEnd() {
  if (!stopping() && writing_) world_->faults.Add(Bite::kRegistryCrashWithUnsynced);
  // What was on its way to the disk is there, or it is not. What a process wrote before it ended by
  // itself is there.
  disk_->Crash(stopping() || rng_.Below(2) == 0);
  runner_.reset();
  core_.reset();
  store_.reset();
  commits_.clear();
  reads_.clear();
  renewals_.clear();
  resignations_.clear();
  campaigns_.clear();
  world_->network.Drop(this);
}

void RegistryProcess::CarryOut(std::vector<registry::Effect> effects) {
  for (registry::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
  if (stopping()) Later(absl::ZeroDuration(), [this] { FinishIfIdle(); });
}

void RegistryProcess::OnStop() {
  for (const auto& [id, stream] : std::exchange(campaigns_, {})) {
    stream.end(Stopping());
    runner_->Step(registry::StreamEnded{id});
  }
  Later(kStopPatience, [this] { Finish(); });
  FinishIfIdle();
}

void RegistryProcess::FinishIfIdle() {
  if (commits_.empty() && reads_.empty() && renewals_.empty() && resignations_.empty()) Finish();
}

template <typename Response>
bool RegistryProcess::Admit(const Answer<Response>& answer) {
  if (stopping()) answer(Stopping());
  return !stopping();
}

void RegistryProcess::Do(registry::AcquireStore&) {
  auto result = store_->Campaign("registry", absl::ZeroDuration());
  if (!result.ok() || !std::holds_alternative<registry::Won>(*result)) {
    world_->verdict.Fail("the registry starts", result.ok()
                                                    ? "somebody else owns its store"
                                                    : std::string(result.status().message()));
    return;
  }
  registry::Won won = std::get<registry::Won>(*std::move(result));
  std::map<std::string, std::string> content;
  for (const registry::Record& record : won.contents.records) {
    content[record.key] = *record.value;
  }
  world_->durability.Recovered(won.contents.version, content);
  world_->limits.Recovered(content);
  auto contents = std::make_shared<const registry::StoreContents>(std::move(won.contents));
  Later(absl::ZeroDuration(), [this, ownership = won.ownership, contents] {
    runner_->Step(registry::StoreAcquired{ownership, contents});
  });
}

void RegistryProcess::Do(registry::Persist& persist) {
  store_->Begin(persist.batch, persist.guard);
  writing_ = true;
  Later(DrawSync(world_, disk_shape_, &rng_), [this, number = persist.guard.number] {
    const registry::CommitResult result = store_->Finish();
    writing_ = false;
    if (result.outcome == registry::CommitOutcome::kDone) {
      runner_->Step(registry::Persisted{number});
    } else {
      world_->verdict.Fail("the store takes batches", result.reason);
    }
  });
}

void RegistryProcess::Do(registry::Settle&) {
  world_->verdict.Fail("the store takes batches", "the registry doubts a write");
}

void RegistryProcess::Do(registry::Note&) {}

void RegistryProcess::Do(registry::CommitAnswer& answer) {
  PendingCommit pending = Take(&commits_, answer.call);
  if (!pending.answer) return;
  if (answer.refusal != registry::Refusal::kNone) {
    world_->durability.Refused(answer.call);
    pending.answer(registry::ToStatus(answer.refusal, answer.message, answer.acting));
    return;
  }
  world_->durability.Acknowledged(answer.call, answer.version);
  for (const auto& [key, value] : pending.changes) world_->limits.Stored(key, value);
  pending.answer(registry::ToWire(answer));
}

void RegistryProcess::Do(registry::ReadAnswer& answer) {
  const auto reply = Take(&reads_, answer.call);
  if (!reply) return;
  if (answer.refusal != registry::Refusal::kNone) {
    reply(registry::ToStatus(answer.refusal, answer.message, answer.acting));
    return;
  }
  reply(registry::ToWire(answer));
}

void RegistryProcess::Do(registry::RenewAnswer& answer) {
  const auto reply = Take(&renewals_, answer.call);
  if (!reply) return;
  if (answer.refusal != registry::Refusal::kNone) {
    reply(registry::ToStatus(answer.refusal, answer.message, answer.acting));
    return;
  }
  reply(registry::ToWire(answer));
}

void RegistryProcess::Do(registry::ResignAnswer& answer) {
  const auto reply = Take(&resignations_, answer.call);
  if (!reply) return;
  if (answer.refusal != registry::Refusal::kNone) {
    reply(registry::ToStatus(answer.refusal, answer.message, answer.acting));
    return;
  }
  reply(registry::v1::ResignResponse());
}
void RegistryProcess::Do(registry::WatchSend&) {}

void RegistryProcess::Do(registry::CampaignSend& send) {
  const auto it = campaigns_.find(send.stream);
  if (it == campaigns_.end()) return;
  it->second.send(registry::ToWire(send));
}

void RegistryProcess::Do(registry::EndStream& end) {
  const CampaignStream stream = Take(&campaigns_, end.stream);
  if (stream.end) stream.end(registry::ToStatus(end.refusal, end.message, end.acting));
}

void RegistryProcess::Do(registry::Halt& halt) {
  world_->verdict.Fail("the registry goes on", halt.reason);
}

void RegistryProcess::Commit(const registry::v1::CommitRequest& request,
                             Answer<registry::v1::CommitResponse> answer) {
  if (!Admit(answer)) return;
  const uint64_t id = next_id_++;
  PendingCommit pending{std::move(answer), {}};
  for (const auto& write : request.writes()) {
    pending.changes.push_back(
        {write.key(), write.has_value() ? std::optional(write.value()) : std::nullopt});
  }
  world_->durability.Requested(id, pending.changes);
  commits_.emplace(id, std::move(pending));
  runner_->Step(registry::FromWire(id, request));
}

void RegistryProcess::Read(const registry::v1::ReadRequest& request,
                           Answer<registry::v1::ReadResponse> answer) {
  if (!Admit(answer)) return;
  const uint64_t id = next_id_++;
  reads_.emplace(id, std::move(answer));
  runner_->Step(registry::FromWire(id, request));
}

void RegistryProcess::Renew(const registry::v1::RenewRequest& request,
                            Answer<registry::v1::RenewResponse> answer) {
  if (!Admit(answer)) return;
  const uint64_t id = next_id_++;
  renewals_.emplace(id, std::move(answer));
  runner_->Step(registry::FromWire(id, request));
}

void RegistryProcess::Resign(const registry::v1::ResignRequest& request,
                             Answer<registry::v1::ResignResponse> answer) {
  if (!Admit(answer)) return;
  const uint64_t id = next_id_++;
  resignations_.emplace(id, std::move(answer));
  runner_->Step(registry::FromWire(id, request));
}

uint64_t RegistryProcess::Campaign(const registry::v1::CampaignRequest& request,
                                   std::function<void(registry::v1::CampaignResponse)> send,
                                   std::function<void(absl::Status)> end) {
  if (stopping()) {
    end(Stopping());
    return 0;
  }
  const uint64_t id = next_id_++;
  campaigns_[id] = {std::move(send), std::move(end)};
  runner_->Step(registry::FromWire(id, request));
  return id;
}

void RegistryProcess::EndCampaign(uint64_t stream) {
  if (campaigns_.erase(stream) > 0) runner_->Step(registry::StreamEnded{stream});
}

}  // namespace tessera::sim
