#include "services/feed/server/feed_hub.h"

#include <google/protobuf/arena.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "services/rpc/bytes.h"
#include "services/rpc/status.h"

namespace tessera::feed {
namespace {

// How often streams are looked at for peers that take nothing.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);
// Heartbeats kept for streams that lag: minutes.
constexpr size_t kHeartbeatsMax = 64;

void RaiseTo(uint64_t value, std::atomic<uint64_t>* highest) {
  uint64_t seen = highest->load(std::memory_order_relaxed);
  while (seen < value && !highest->compare_exchange_weak(seen, value)) {
  }
}

}  // namespace

// ---- SnapshotBytes ------------------------------------------------------------------------------

SnapshotBytes::SnapshotBytes(SnapshotPtr snapshot, uint64_t run, size_t chunk_changes,
                             Encode encode)
    : cursor_snapshot_(snapshot),
      run_(run),
      chunk_changes_(chunk_changes),
      encode_(std::move(encode)),
      cursor_(std::move(snapshot)) {}

bool SnapshotBytes::Get(size_t index, grpc::ByteBuffer* message, bool* last) const {
  absl::MutexLock lock(&mu_);
  if (index >= messages_.size()) return false;
  *message = messages_[index];
  *last = complete_ && index + 1 == messages_.size();
  return true;
}

void SnapshotBytes::MakeUpTo(size_t index) {
  absl::MutexLock making(&making_);
  while (!cursor_at_end_) {
    bool first = false;
    {
      absl::MutexLock lock(&mu_);
      // One ahead: it is made while the one before is on its way.
      if (messages_.size() > index + 1) return;
      first = messages_.empty();
    }
    google::protobuf::Arena arena;
    auto* piece = google::protobuf::Arena::CreateMessage<v1::FollowResponse>(&arena);
    v1::SnapshotChunk* chunk = piece->mutable_snapshot();
    cursor_at_end_ = !cursor_.Next(chunk_changes_, chunk->mutable_changes());
    piece->set_epoch(epoch());
    chunk->set_version(version());
    chunk->set_first(first);
    chunk->set_last(cursor_at_end_);
    grpc::ByteBuffer message = encode_(piece);
    absl::MutexLock lock(&mu_);
    if (message.Length() > 0 || cursor_at_end_) messages_.push_back(std::move(message));
    complete_ = cursor_at_end_;
  }
}

// ---- FeedHub ------------------------------------------------------------------------------------

FeedHub::FeedHub(const FeedOptions& options, rpc::Clock clock)
    : options_(options),
      clock_(std::move(clock)),
      log_(options.history_bytes_max),
      thread_([this] { Run(); }) {}

FeedHub::~FeedHub() { Stop(); }

void FeedHub::BeginRun(uint64_t epoch, uint64_t version) {
  absl::MutexLock lock(&mu_);
  ++run_;
  log_.StartAfter(version);
  retired_ = absl::OkStatus();
  // A state that replaces another one of its epoch is not older.
  std::deque<HeardHeartbeat> before = std::exchange(heartbeats_, {});
  if (before.empty() || before.back().heartbeat.epoch != epoch) return;
  before.back().version = version;
  heartbeats_.push_back(before.back());
}

void FeedHub::Append(std::vector<LoggedDelta> deltas, SnapshotPtr snapshot) {
  {
    absl::MutexLock lock(&mu_);
    for (LoggedDelta& delta : deltas) {
      const size_t size = delta.follow.Length();
      log_.Append(std::move(delta), size);
    }
    snapshot_.swap(snapshot);
    snapshot_run_ = run_;
  }
  WakeAll();
}

void FeedHub::SetSnapshot(SnapshotPtr snapshot) { Append({}, std::move(snapshot)); }

void FeedHub::Heartbeat(const LeaderHeartbeat& heartbeat) {
  {
    absl::MutexLock lock(&mu_);
    heartbeats_.push_back({heartbeat, ++heartbeats_heard_, log_.newest()});
    if (heartbeats_.size() > kHeartbeatsMax) heartbeats_.pop_front();
    newest_made_ = heartbeat.made;
  }
  WakeAll();
}

absl::Duration FeedHub::Age() const {
  absl::MutexLock lock(&mu_);
  return clock_() - newest_made_;
}

void FeedHub::Retire(absl::Status why) {
  {
    absl::MutexLock lock(&mu_);
    retired_ = std::move(why);
  }
  WakeAll();
}

void FeedHub::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  WakeAll();
  if (thread_.joinable()) thread_.join();
}

absl::Status FeedHub::Availability() const {
  if (stopping_) return absl::UnavailableError("the service stops");
  if (!retired_.ok()) return retired_;
  if (snapshot_ == nullptr) return absl::UnavailableError("there is no state yet; try again");
  return absl::OkStatus();
}

FeedHub::View FeedHub::Look(const Position& position) const {
  View view;
  absl::MutexLock lock(&mu_);
  view.end = Availability();
  if (!view.end.ok()) return view;
  view.newest = {run_, snapshot_->epoch, log_.newest(), heartbeats_heard_};
  view.snapshot = snapshot_run_ == run_ ? snapshot_ : nullptr;
  view.can_follow = position.run == run_ && log_.CanFollow(position.version);
  if (!view.can_follow) return view;
  if (const LoggedDelta* delta = log_.After(position.version)) {
    view.delta = *delta;
    view.has_delta = true;
  }
  for (auto heard = heartbeats_.rbegin(); heard != heartbeats_.rend(); ++heard) {
    if (heard->number <= position.heartbeat) break;
    if (heard->version > position.version) continue;
    view.heartbeat = ToMessage(heard->heartbeat, clock_());
    view.heartbeat_number = heard->number;
    break;
  }
  return view;
}

std::shared_ptr<SnapshotBytes> FeedHub::FollowBytes() {
  absl::MutexLock lock(&mu_);
  std::shared_ptr<SnapshotBytes> bytes = follow_bytes_.lock();
  if (bytes != nullptr && bytes->run() == run_ && log_.CanFollow(bytes->version())) return bytes;
  bytes = std::make_shared<SnapshotBytes>(
      snapshot_, run_, options_.chunk_changes,
      [](v1::FollowResponse* piece) { return rpc::ToBytes(*piece); });
  follow_bytes_ = bytes;
  ++snapshots_started_;
  return bytes;
}

std::shared_ptr<SnapshotBytes> FeedHub::OwnBytes(SnapshotPtr snapshot, uint64_t run,
                                                 SnapshotBytes::Encode encode) {
  absl::MutexLock lock(&mu_);
  ++snapshots_started_;
  return std::make_shared<SnapshotBytes>(std::move(snapshot), run, options_.chunk_changes,
                                         std::move(encode));
}

void FeedHub::RequestMessage(std::shared_ptr<SnapshotBytes> bytes, size_t index,
                             const std::shared_ptr<PullStream>& stream) {
  absl::MutexLock lock(&mu_);
  requests_.push_back({std::move(bytes), index, stream});
}

PullStream::Reactor* FeedHub::Serve(grpc::CallbackServerContext* context,
                                    std::unique_ptr<MessageSource> source) {
  {
    absl::MutexLock lock(&mu_);
    absl::Status available = Availability();
    if (available.ok() && streams_.size() >= options_.followers_max) {
      available = rpc::Overloaded("streams of the feed");
    }
    if (!available.ok()) return PullStream::Refuse(context, available);
  }
  return PullStream::Serve(
      context, std::move(source),
      [this](std::shared_ptr<PullStream> stream) {
        absl::MutexLock lock(&mu_);
        ++streams_total_;
        const PullStream* key = stream.get();
        streams_.emplace(key, std::move(stream));
      },
      [this](const PullStream* stream) {
        std::shared_ptr<PullStream> last;  // let go of outside the lock
        absl::MutexLock lock(&mu_);
        auto found = streams_.find(stream);
        if (found == streams_.end()) return;
        last = std::move(found->second);
        streams_.erase(found);
      });
}

SnapshotPtr FeedHub::snapshot() const {
  absl::MutexLock lock(&mu_);
  return snapshot_;
}

std::vector<std::shared_ptr<PullStream>> FeedHub::Streams() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::shared_ptr<PullStream>> streams;
  streams.reserve(streams_.size());
  for (const auto& [key, stream] : streams_) streams.push_back(stream);
  return streams;
}

void FeedHub::WakeAll() {
  for (const auto& stream : Streams()) stream->Wake();
}

void FeedHub::Run() {
  absl::Time next_check = absl::Now() + kCheckInterval;
  while (true) {
    Request request;
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithDeadline(absl::Condition(this, &FeedHub::HasRequest), next_check);
      if (stopping_) return;
      if (!requests_.empty()) {
        request = std::move(requests_.front());
        requests_.pop_front();
      }
    }
    if (request.bytes != nullptr) {
      if (std::shared_ptr<PullStream> stream = request.stream.lock()) {
        request.bytes->MakeUpTo(request.index);
        stream->Wake();
      }
    }
    const absl::Time now = absl::Now();
    if (now < next_check) continue;
    next_check = now + kCheckInterval;
    for (const auto& stream : Streams()) {
      if (stream->CheckProgress(now, options_.write_timeout)) CountSlow();
    }
  }
}

void FeedHub::CountLag(uint64_t versions) { RaiseTo(versions, &lag_max_); }

void FeedHub::AddCounters(FeedCounters* counters) const {
  absl::MutexLock lock(&mu_);
  counters->followers = streams_.size();
  counters->followers_total = streams_total_;
  counters->followers_resumed = resumed_.load();
  counters->snapshots_started = snapshots_started_;
  counters->slow_followers_ended = slow_ended_.load();
  counters->history_bytes = log_.bytes();
  counters->history_deltas = log_.size();
  counters->messages_sent = messages_sent_.load();
  counters->bytes_sent = bytes_sent_.load();
  counters->follower_lag_max = lag_max_.load();
}

}  // namespace tessera::feed
