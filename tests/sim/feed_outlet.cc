#include "tests/sim/feed_outlet.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"

namespace tessera::sim {

namespace {

constexpr int kSnapshotsInARowMax = 3;
constexpr size_t kHeartbeatsMax = 64;
constexpr double kChunkSeconds = 0.002;
constexpr double kStallSeconds = 10;

absl::Status NoStateYet() { return absl::UnavailableError("there is no state yet; try again"); }

// The task that a change is about, if it is about one.
std::optional<TaskName> TaskOf(const state::v1::Change& change) {
  using C = state::v1::Change;
  switch (change.kind_case()) {
    case C::kTaskSet:
      return TaskName{change.task_set().task().framework_id(),
                      change.task_set().task().info().id()};
    case C::kTaskStatusAdded:
      return TaskName{change.task_status_added().framework_id(),
                      change.task_status_added().task_id()};
    case C::kTaskMoved:
      return TaskName{change.task_moved().framework_id(), change.task_moved().task_id()};
    default:
      return std::nullopt;
  }
}

}  // namespace

FeedOutlet::FeedOutlet(World* world, Process* owner, ReaderChecker::Role role,
                       FeedOutletOptions options)
    : world_(world),
      owner_(owner),
      options_(options),
      rng_(world->rng.Fork()),
      checker_(&world->verdict, &world->feed_truth, owner->name(), role),
      refusal_(NoStateYet()),
      log_(options.history_changes_max) {
  world->feeds[owner->name()] = this;
}

void FeedOutlet::Clear() {
  streams_.clear();
  table_ = state::StateTable();
  incoming_ = state::StateTable();
  has_state_ = false;
  refusal_ = NoStateYet();
  heartbeats_made_ = 0;
  BeginRun(0, 0);
  checker_.Restarted();
}

void FeedOutlet::BeginRun(uint64_t epoch, uint64_t version) {
  ++run_;
  log_.StartAfter(version);
  std::deque<HeardHeartbeat> before = std::exchange(heartbeats_, {});
  if (before.empty() || before.back().heartbeat.epoch != epoch) return;
  before.back().version = version;
  heartbeats_.push_back(before.back());
}

void FeedOutlet::Publish(uint64_t epoch, bool reset, state::v1::Delta delta) {
  if (epoch < table_.epoch()) {
    world_->verdict.Fail(
        "epochs of a feed only grow",
        absl::StrCat(owner_->name(), " publishes epoch ", epoch, " after ", table_.epoch()));
    return;
  }
  if (reset) {
    table_ = state::StateTable();
    table_.Reset(epoch);
    table_.set_version(delta.version() - 1);
    BeginRun(epoch, delta.version() - 1);
    has_state_ = true;
    refusal_ = absl::OkStatus();
    checker_.Replaced(table_.state());
  } else if (epoch != table_.epoch() || !has_state_) {
    world_->verdict.Fail("a feed begins with the whole state",
                         absl::StrCat(owner_->name(), " begins epoch ", epoch, " in the middle"));
    return;
  }
  if (delta.version() != table_.version() + 1) {
    world_->verdict.Fail("the feed has no gaps",
                         absl::StrCat(owner_->name(), " publishes version ", delta.version(),
                                      " after ", table_.version()));
    return;
  }
  Apply(std::move(delta));
  ServeAll();
}

void FeedOutlet::Apply(state::v1::Delta delta) {
  auto message = std::make_shared<state::v1::FollowResponse>();
  message->set_epoch(table_.epoch());
  *message->mutable_delta() = delta;
  std::vector<TaskName> touched;
  for (auto& change : *delta.mutable_changes()) {
    if (auto task = TaskOf(change)) touched.push_back(*std::move(task));
    table_.Apply(std::move(change));
  }
  table_.set_version(delta.version());
  log_.Append(std::move(message), static_cast<size_t>(delta.changes_size()));
  if (table_.ignored() > 0) {
    world_->verdict.Fail("the feed names what is known",
                         owner_->name() + ": a change named something unknown to followers");
  }
  checker_.Advanced(table_.state(), touched);
}

void FeedOutlet::PublishChunk(uint64_t epoch, state::v1::SnapshotChunk chunk) {
  if (chunk.first()) {
    incoming_ = state::StateTable();
    incoming_.Reset(epoch);
    incoming_.set_version(chunk.version());
  } else if (incoming_.epoch() != epoch || incoming_.version() != chunk.version()) {
    world_->verdict.Fail("snapshots come whole",
                         owner_->name() + ": a part of a snapshot without its beginning");
    return;
  }
  for (auto& change : *chunk.mutable_changes()) incoming_.Apply(std::move(change));
  if (!chunk.last()) return;
  if (incoming_.ignored() > 0) {
    world_->verdict.Fail("the feed names what is known",
                         owner_->name() + ": a snapshot named something unknown to followers");
  }
  table_ = std::exchange(incoming_, state::StateTable());
  has_state_ = true;
  refusal_ = absl::OkStatus();
  BeginRun(table_.epoch(), table_.version());
  checker_.Replaced(table_.state());
  ServeAll();
}

void FeedOutlet::Heartbeat(const state::LeaderHeartbeat& heartbeat) {
  if (!has_state_ || heartbeat.epoch != table_.epoch()) return;
  heartbeats_.push_back({heartbeat, ++heartbeats_heard_, log_.newest()});
  if (heartbeats_.size() > kHeartbeatsMax) heartbeats_.pop_front();
  ServeAll();
}

void FeedOutlet::MakeHeartbeat(uint64_t epoch) {
  const absl::Time now = owner_->loop().now();
  world_->feed_truth.HeartbeatMade(now);
  Heartbeat({epoch, ++heartbeats_made_, now});
}

const FeedOutlet::HeardHeartbeat* FeedOutlet::HeartbeatFor(const Stream& stream) const {
  for (auto heard = heartbeats_.rbegin(); heard != heartbeats_.rend(); ++heard) {
    if (heard->number <= stream.heartbeat) return nullptr;
    if (heard->version <= stream.version) return &*heard;
  }
  return nullptr;
}

void FeedOutlet::Retire(absl::Status why) {
  refusal_ = std::move(why);
  has_state_ = false;
  ServeAll();
}

// ---- Followers

uint64_t FeedOutlet::Open(uint64_t epoch, uint64_t from_version, Send send, End end) {
  if (!refusal_.ok()) {
    end(refusal_);
    return 0;
  }
  const uint64_t id = next_stream_++;
  Stream& stream = streams_[id];
  stream.send = std::move(send);
  stream.end = std::move(end);
  stream.asked_epoch = epoch;
  stream.asked_version = from_version;
  Serve(id);
  return id;
}

void FeedOutlet::EndStream(uint64_t id, const absl::Status& status) {
  auto node = streams_.extract(id);
  if (!node.empty()) node.mapped().end(status);
}

void FeedOutlet::ServeAll() {
  std::vector<uint64_t> ids;
  ids.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) ids.push_back(id);
  for (const uint64_t id : ids) Serve(id);
}

void FeedOutlet::Serve(uint64_t id) {
  if (!refusal_.ok()) return EndStream(id, refusal_);
  while (true) {
    const auto found = streams_.find(id);
    if (found == streams_.end() || found->second.busy) return;
    Stream& stream = found->second;
    if (!stream.started) Begin(stream);
    if (stream.cursor.has_value() && stream.cursor_run == run_) {
      SendChunk(id, stream);
    } else if (stream.run != run_ || !log_.CanFollow(stream.version)) {
      // Whoever was sent a snapshot of this very run and still fell out of the log is too slow.
      stream.snapshots_in_a_row = stream.run == run_ ? stream.snapshots_in_a_row + 1 : 0;
      if (stream.snapshots_in_a_row > kSnapshotsInARowMax) {
        return EndStream(id, rpc::Error(absl::StatusCode::kResourceExhausted,
                                        model::v1::ErrorDetail::SLOW_CONSUMER,
                                        "the follower does not keep up; follow again"));
      }
      StartSnapshot(stream);
    } else if (!SendNext(id, stream)) {
      return;
    }
  }
}

void FeedOutlet::Begin(Stream& stream) {
  stream.started = true;
  stream.run = run_;
  stream.version = log_.newest();
  stream.heartbeat = heartbeats_heard_ > 0 ? heartbeats_heard_ - 1 : 0;
  if (stream.asked_epoch == table_.epoch() && stream.asked_version != 0 &&
      log_.CanFollow(stream.asked_version)) {
    stream.version = stream.asked_version;
    return;
  }
  StartSnapshot(stream);
}

void FeedOutlet::StartSnapshot(Stream& stream) {
  stream.cursor.emplace(table_.Publish());
  stream.cursor_run = run_;
  stream.cursor_began = false;
}

void FeedOutlet::SendChunk(uint64_t id, Stream& stream) {
  const state::Snapshot& snapshot = *stream.cursor->snapshot();
  auto message = std::make_shared<state::v1::FollowResponse>();
  message->set_epoch(snapshot.epoch);
  auto* chunk = message->mutable_snapshot();
  const bool more = stream.cursor->Next(options_.chunk_changes, chunk->mutable_changes());
  chunk->set_version(snapshot.version);
  chunk->set_first(!std::exchange(stream.cursor_began, true));
  chunk->set_last(!more);
  if (!more) {
    stream.run = stream.cursor_run;
    stream.version = snapshot.version;
    stream.cursor.reset();
  }
  stream.send(std::move(message));
  Pause(id, stream, absl::Seconds(rng_.Exponential(kChunkSeconds)));
}

bool FeedOutlet::SendNext(uint64_t id, Stream& stream) {
  const Message* delta = log_.After(stream.version);
  if (delta == nullptr) stream.snapshots_in_a_row = 0;
  if (const HeardHeartbeat* heard = HeartbeatFor(stream)) {
    stream.heartbeat = heard->number;
    stream.send(std::make_shared<state::v1::FollowResponse>(
        ToMessage(heard->heartbeat, owner_->loop().now())));
  } else if (delta != nullptr) {
    ++stream.version;
    stream.send(*delta);
  } else {
    return false;
  }
  if (rng_.Chance(options_.stall_chance)) {
    Pause(id, stream, absl::Seconds(rng_.Exponential(kStallSeconds)));
  }
  return true;
}

void FeedOutlet::Pause(uint64_t id, Stream& stream, absl::Duration pause) {
  stream.busy = true;
  owner_->Later(pause, [this, id] {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.busy = false;
    Serve(id);
  });
}

}  // namespace tessera::sim
