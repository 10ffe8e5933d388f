#include "services/feed/core/feed_log.h"

#include <algorithm>
#include <utility>

namespace tessera::feed {
namespace {

// Heartbeats kept for streams that lag: minutes.
constexpr size_t kHeartbeatsMax = 64;

}  // namespace

FeedLog::FeedLog(const FeedLogOptions& options)
    : options_(options), log_(options.history_bytes_max) {}

void FeedLog::Take(FeedEffect&& effect) {
  std::visit([this](auto&& kind) { On(std::move(kind)); }, std::move(effect));
}

void FeedLog::On(RunBegan&& began) {
  ++run_;
  log_.StartAfter(began.version);
  retired_ = absl::OkStatus();
  // A state that replaces another one of its epoch is not older.
  std::deque<HeardHeartbeat> before = std::exchange(heartbeats_, {});
  if (before.empty() || before.back().heartbeat.epoch != began.epoch) return;
  before.back().version = began.version;
  heartbeats_.push_back(before.back());
}

void FeedLog::On(StatePublished&& published) {
  for (LoggedDelta& delta : published.deltas) {
    const size_t size = delta.size();
    log_.Append(std::move(delta), size);
  }
  snapshot_ = std::move(published.snapshot);
  snapshot_run_ = run_;
}

void FeedLog::On(HeartbeatHeard&& heard) {
  heartbeats_.push_back({heard.heartbeat, ++heartbeats_heard_, log_.newest()});
  if (heartbeats_.size() > kHeartbeatsMax) heartbeats_.pop_front();
  newest_made_ = heard.heartbeat.made;
}

void FeedLog::On(FeedRetired&& retired) { retired_ = std::move(retired.why); }

absl::Status FeedLog::Availability() const {
  if (!retired_.ok()) return retired_;
  if (snapshot_ == nullptr) return absl::UnavailableError("there is no state yet; try again");
  return absl::OkStatus();
}

FeedLog::View FeedLog::Look(const Position& position) const {
  View view;
  view.end = Availability();
  if (!view.end.ok()) return view;
  view.newest = {run_, snapshot_->epoch, log_.newest(), heartbeats_heard_};
  view.snapshot = snapshot_run_ == run_ ? snapshot_ : nullptr;
  view.can_follow = position.run == run_ && log_.CanFollow(position.version);
  if (!view.can_follow) return view;
  view.delta = log_.After(position.version);
  for (auto heard = heartbeats_.rbegin(); heard != heartbeats_.rend(); ++heard) {
    if (heard->number <= position.heartbeat) break;
    if (heard->version > position.version) continue;
    view.heartbeat = &heard->heartbeat;
    view.heartbeat_number = heard->number;
    break;
  }
  return view;
}

std::shared_ptr<SnapshotBytes> FeedLog::FollowBytes() {
  std::shared_ptr<SnapshotBytes> bytes = follow_bytes_.lock();
  if (bytes != nullptr && bytes->run() == run_ && log_.CanFollow(bytes->version())) return bytes;
  bytes = OwnBytes([](uint64_t epoch, const SnapshotPart& part) {
    return std::make_shared<const std::string>(Encode(epoch, part));
  });
  follow_bytes_ = bytes;
  return bytes;
}

std::shared_ptr<SnapshotBytes> FeedLog::OwnBytes(SnapshotBytes::EncodePart encode) {
  ++counters_.snapshots_started;
  return std::make_shared<SnapshotBytes>(snapshot_, run_, options_.chunk_changes,
                                         std::move(encode));
}

void FeedLog::CountLag(uint64_t versions) {
  counters_.lag_max = std::max(counters_.lag_max, versions);
}

FeedLog::Counters FeedLog::counters() const {
  Counters counters = counters_;
  counters.history_bytes = log_.bytes();
  counters.history_deltas = log_.size();
  return counters;
}

// ---- a stream's way through a snapshot ----------------------------------------------------------

void SnapshotProgress::Start(std::shared_ptr<SnapshotBytes> bytes) {
  bytes_ = std::move(bytes);
  index_ = 0;
  requested_ = false;
}

StreamStep SnapshotProgress::Take(FeedLog::Position* position) {
  StreamStep step;
  bool last = false;
  if (!bytes_->Get(index_, &step.message, &last)) {
    // Asked for once: others wake the stream meanwhile.
    if (!std::exchange(requested_, true)) {
      step.kind = StreamStep::Kind::kMake;
      step.bytes = bytes_;
      step.index = index_;
    }
    return step;
  }
  step.kind = StreamStep::Kind::kMessage;
  step.more = !last;
  requested_ = false;
  ++index_;
  if (last) {
    position->run = bytes_->run();
    position->epoch = bytes_->epoch();
    position->version = bytes_->version();
    bytes_ = nullptr;
  }
  return step;
}

}  // namespace tessera::feed
