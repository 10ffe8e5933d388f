#include "tests/sim/feed_outlet.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace {

// As FeedPublisher's.
constexpr size_t kBatchMax = 64;
constexpr double kChunkSeconds = 0.002;
constexpr double kStallSeconds = 10;
// The publisher's thread comes to it in so much time; now and then much later.
constexpr double kWorkSeconds = 0.0003;
constexpr double kLateChance = 0.003;
constexpr double kLateSeconds = 0.3;

}  // namespace

FeedOutlet::FeedOutlet(World* world, Process* owner, FeedOutletOptions options)
    : world_(world), owner_(owner), options_(options), rng_(world->rng.Fork()) {
  log_.emplace(LogOptions());
  world->feeds[owner->name()] = this;
}

feed::FeedLogOptions FeedOutlet::LogOptions() const {
  feed::FeedLogOptions options;
  options.history_bytes_max = options_.history_bytes_max;
  options.chunk_changes = options_.chunk_changes;
  return options;
}

void FeedOutlet::Clear() {
  streams_.clear();
  queue_.clear();
  working_ = false;
  state_ = feed::FeedState();
  log_.emplace(LogOptions());
}

// ---- The publisher

void FeedOutlet::Publish(uint64_t epoch, bool reset, feed::Delta delta) {
  Push(DeltaUpdate{epoch, reset, std::move(delta)});
}
void FeedOutlet::PublishPart(uint64_t epoch, feed::SnapshotPart part) {
  Push(PartUpdate{epoch, std::move(part)});
}
void FeedOutlet::Heartbeat(const feed::LeaderHeartbeat& heartbeat) {
  Push(HeartbeatUpdate{heartbeat});
}
void FeedOutlet::Retire(absl::Status why) { Push(RetireUpdate{std::move(why)}); }

void FeedOutlet::Push(Update update) {
  queue_.push_back(std::move(update));
  if (std::exchange(working_, true)) return;
  const double seconds = rng_.Exponential(rng_.Chance(kLateChance) ? kLateSeconds : kWorkSeconds);
  owner_->Later(absl::Seconds(seconds), [this] { Work(); });
}

void FeedOutlet::Work() {
  working_ = false;
  feed::FeedEffects effects;
  for (size_t taken = 0; taken < kBatchMax && !queue_.empty(); ++taken) {
    Update update = std::move(queue_.front());
    queue_.pop_front();
    std::visit([&](auto& kind) { Take(std::move(kind), &effects); }, update);
  }
  state_.Flush(&effects);
  for (feed::FeedEffect& effect : effects) {
    if (const auto* refused = std::get_if<feed::UpdateRefused>(&effect)) {
      world_->verdict.Fail("feeds are told what follows",
                           absl::StrCat(owner_->name(), ": ", std::string(refused->what)));
    }
    log_->Take(std::move(effect));
  }
  if (state_.counters().changes_ignored > 0) {
    world_->verdict.Fail("the feed names what is known",
                         owner_->name() + ": a change named something unknown to followers");
  }
  std::vector<uint64_t> ids;
  ids.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) ids.push_back(id);
  for (const uint64_t id : ids) Serve(id);
  if (!queue_.empty() && !std::exchange(working_, true)) {
    owner_->Later(absl::Microseconds(10), [this] { Work(); });
  }
}

void FeedOutlet::Take(DeltaUpdate update, feed::FeedEffects* effects) {
  state_.Publish(update.epoch, update.reset, std::move(update.delta), effects);
}
void FeedOutlet::Take(PartUpdate update, feed::FeedEffects* effects) {
  state_.PublishPart(update.epoch, std::move(update.part), effects);
}
void FeedOutlet::Take(HeartbeatUpdate update, feed::FeedEffects* effects) {
  state_.Heartbeat(update.heartbeat, effects);
}
void FeedOutlet::Take(RetireUpdate update, feed::FeedEffects* effects) {
  state_.Retire(std::move(update.why), effects);
}

// ---- Followers

uint64_t FeedOutlet::Open(uint64_t epoch, uint64_t from_version, Send send, End end) {
  const absl::Status available = log_->Availability();
  if (!available.ok()) {
    end(available);
    return 0;
  }
  const uint64_t id = next_stream_++;
  Stream& stream = streams_[id];
  stream.send = std::move(send);
  stream.end = std::move(end);
  stream.cursor = std::make_unique<feed::FollowCursor>(epoch, from_version);
  Serve(id);
  return id;
}

void FeedOutlet::Serve(uint64_t id) {
  using Kind = feed::StreamStep::Kind;
  while (true) {
    const auto found = streams_.find(id);
    if (found == streams_.end() || found->second.busy) return;
    Stream& stream = found->second;
    const feed::StreamStep step = stream.cursor->Take(&*log_, owner_->now());
    feed::EncodedPtr message;
    switch (step.kind) {
      case Kind::kMessage:
        message = step.message;
        break;
      case Kind::kDelta:
        message = stream.cursor->Message(step.delta);
        break;
      case Kind::kMake:
        stream.busy = true;
        owner_->Later(absl::Seconds(rng_.Exponential(kChunkSeconds)),
                      [this, id, bytes = step.bytes, index = step.index] {
                        bytes->MakeUpTo(index);
                        Rest(id, absl::ZeroDuration());
                      });
        return;
      case Kind::kLater:
        return;
      case Kind::kEnd: {
        auto node = streams_.extract(found);
        node.mapped().end(step.end);
        return;
      }
    }
    if (message != nullptr) stream.send(message);
    if (!world_->healed && rng_.Chance(options_.stall_chance)) {
      return Rest(id, absl::Seconds(rng_.Exponential(kStallSeconds)));
    }
  }
}

void FeedOutlet::Rest(uint64_t id, absl::Duration pause) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second.busy = true;
  owner_->Later(pause, [this, id] {
    const auto still = streams_.find(id);
    if (still == streams_.end()) return;
    still->second.busy = false;
    Serve(id);
  });
}

}  // namespace tessera::sim
