#include "services/feed/server/feed_publisher.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "protos/tessera/state/v1/state_feed_service.grpc.pb.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/follow_cursor.h"
#include "services/feed/server/feed_hub.h"
#include "services/rpc/bytes.h"
#include "services/rpc/status.h"

namespace tessera::feed {
namespace {

// Deltas that are applied before the snapshot is published and followers are woken, and their
// changes, but for the last delta's. Whoever waits in Publish() because the queue is full goes on
// when a batch is taken out of it, so a batch must be short: a master renews its lease on the same
// strand.
constexpr size_t kBatchMax = 64;
constexpr size_t kBatchChangesMax = 20'000;

// Follow with raw messages: what is sent was serialised before.
class FollowService final
    : public v1::StateFeedService::WithRawCallbackMethod_Follow<v1::StateFeedService::Service> {
 public:
  explicit FollowService(FeedHub* hub) : hub_(hub) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Follow(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* bytes) override {
    v1::FollowRequest request;
    grpc::ByteBuffer copy = *bytes;
    const absl::Status parsed = rpc::FromBytes(&copy, &request);
    if (!parsed.ok()) return PullStream::Refuse(context, parsed);
    return hub_->Serve(context,
                       std::make_unique<FollowCursor>(request.epoch(), request.from_version()));
  }

 private:
  FeedHub* const hub_;
};

}  // namespace

class FeedPublisher::Rep {
 public:
  Rep(const FeedOptions& options, rpc::Clock clock)
      : options_(options),
        clock_(std::move(clock)),
        hub_(options, clock_),
        service_(&hub_),
        thread_([this] { Run(); }) {}
  ~Rep() { Stop(); }

  struct DeltaUpdate {
    uint64_t epoch;
    bool reset;
    Delta delta;
  };
  struct PartUpdate {
    uint64_t epoch;
    SnapshotPart part;
  };
  struct HeartbeatUpdate {
    // Without a sequence: it is made here, and gets the next one.
    LeaderHeartbeat heartbeat;
  };
  struct RetireUpdate {
    absl::Status why;
  };
  struct FlushUpdate {
    absl::Notification* done;
  };
  using Update = std::variant<DeltaUpdate, PartUpdate, HeartbeatUpdate, RetireUpdate, FlushUpdate>;

  // Takes an update with so many changes; waits while too many wait. False once stopped.
  bool Push(Update update, size_t changes) {
    absl::MutexLock lock(&mu_);
    if (changes > 0 && !HasRoom()) {
      ++publish_waits_;
      mu_.Await(absl::Condition(this, &Rep::HasRoom));
    }
    if (stopping_) return false;
    queue_.push_back({std::move(update), changes});
    queue_changes_ += changes;
    return true;
  }

  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
    hub_.Stop();
  }

  absl::Time now() const { return clock_(); }
  FeedHub* hub() { return &hub_; }
  grpc::Service* service() { return &service_; }

  void SetListener(std::function<void(SnapshotPtr)> listener) {
    absl::MutexLock lock(&mu_);
    listener_ = std::move(listener);
  }

  FeedCounters counters() const {
    FeedCounters counters;
    {
      absl::MutexLock lock(&mu_);
      counters = counters_;
      counters.publish_waits = publish_waits_;
      counters.queue_changes = queue_changes_;
    }
    hub_.AddCounters(&counters);
    return counters;
  }

 private:
  struct Waiting {
    Update update;
    size_t changes;
  };

  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || queue_changes_ < options_.queue_changes_max;
  }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }

  void Run() {
    pthread_setname_np(pthread_self(), "state-feed");
    absl::Time next_heartbeat = absl::Now() + options_.heartbeat_interval;
    while (true) {
      std::vector<Waiting> batch;
      {
        absl::MutexLock lock(&mu_);
        mu_.AwaitWithDeadline(absl::Condition(this, &Rep::HasWork), next_heartbeat);
        if (stopping_ && queue_.empty()) return;
        size_t changes = 0;
        while (!queue_.empty() && batch.size() < kBatchMax && changes < kBatchChangesMax) {
          changes += queue_.front().changes;
          queue_changes_ -= queue_.front().changes;
          batch.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
      FeedEffects effects;
      if (hub_.keeps_for_watchers()) state_.KeepScopes();
      for (Waiting& waiting : batch) {
        std::visit([&](auto& update) { Take(update, &effects); }, waiting.update);
      }
      state_.Flush(&effects);
      if (options_.heartbeat_interval != absl::InfiniteDuration() &&
          (std::exchange(began_, false) || absl::Now() >= next_heartbeat)) {
        state_.Heartbeat({state_.epoch(), 0, clock_()}, &effects);
        next_heartbeat = absl::Now() + options_.heartbeat_interval;
      }
      Carry(std::move(effects));
      for (absl::Notification* done : std::exchange(flushes_, {})) done->Notify();
    }
  }

  void Take(DeltaUpdate& update, FeedEffects* effects) {
    began_ |= update.reset;
    state_.Publish(update.epoch, update.reset, std::move(update.delta), effects);
  }
  void Take(PartUpdate& update, FeedEffects* effects) {
    state_.PublishPart(update.epoch, std::move(update.part), effects);
  }
  void Take(HeartbeatUpdate& update, FeedEffects* effects) {
    state_.Heartbeat(update.heartbeat, effects);
  }
  void Take(RetireUpdate& update, FeedEffects* effects) {
    state_.Retire(std::move(update.why), effects);
  }
  void Take(FlushUpdate& update, FeedEffects*) { flushes_.push_back(update.done); }

  // Makes what was taken visible.
  void Carry(FeedEffects effects) {
    std::function<void(SnapshotPtr)> listener;
    {
      absl::MutexLock lock(&mu_);
      counters_.epoch = state_.epoch();
      counters_.version = state_.version();
      const FeedState::Counters counters = state_.counters();
      counters_.deltas = counters.deltas;
      counters_.changes = counters.changes;
      counters_.changes_ignored = counters.changes_ignored;
      counters_.updates_refused = counters.updates_refused;
      counters_.bytes_serialised = counters.bytes_serialised;
      listener = listener_;
    }
    if (effects.empty()) return;
    SnapshotPtr newest;
    for (const FeedEffect& effect : effects) {
      std::visit([&](const auto& kind) { Note(kind, &newest); }, effect);
    }
    hub_.Take(std::move(effects));
    if (listener && newest != nullptr) listener(std::move(newest));
  }

  // What is to be done here about what goes to the hub.
  static void Note(const RunBegan&, SnapshotPtr*) {}
  static void Note(const StatePublished& published, SnapshotPtr* newest) {
    *newest = published.snapshot;
  }
  static void Note(const HeartbeatHeard&, SnapshotPtr*) {}
  static void Note(const FeedRetired&, SnapshotPtr*) {}
  static void Note(const UpdateRefused& refused, SnapshotPtr*) {
    LOG_EVERY_N(WARNING, 100) << "the state feed refused " << refused.what;
  }

  const FeedOptions options_;
  const rpc::Clock clock_;
  FeedHub hub_;
  FollowService service_;

  mutable absl::Mutex mu_;
  std::deque<Waiting> queue_ ABSL_GUARDED_BY(mu_);
  size_t queue_changes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t publish_waits_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  FeedCounters counters_ ABSL_GUARDED_BY(mu_);
  std::function<void(SnapshotPtr)> listener_ ABSL_GUARDED_BY(mu_);

  // Of the thread.
  FeedState state_;
  // A state has come that no heartbeat has been made for.
  bool began_ = false;
  std::vector<absl::Notification*> flushes_;
  std::thread thread_;
};

FeedPublisher::FeedPublisher(const FeedOptions& options, rpc::Clock clock)
    : rep_(std::make_unique<Rep>(options, std::move(clock))) {}
FeedPublisher::~FeedPublisher() = default;

grpc::Service* FeedPublisher::service() { return rep_->service(); }

void FeedPublisher::Publish(uint64_t epoch, bool reset, Delta delta) {
  const size_t changes = delta.changes.size();
  rep_->Push(Rep::DeltaUpdate{epoch, reset, std::move(delta)}, changes);
}

void FeedPublisher::PublishPart(uint64_t epoch, SnapshotPart part) {
  const size_t changes = part.changes.size();
  rep_->Push(Rep::PartUpdate{epoch, std::move(part)}, changes);
}

void FeedPublisher::MakeHeartbeat(uint64_t epoch) {
  rep_->Push(Rep::HeartbeatUpdate{{epoch, 0, rep_->now()}}, 0);
}

void FeedPublisher::Heartbeat(const LeaderHeartbeat& heartbeat) {
  rep_->Push(Rep::HeartbeatUpdate{heartbeat}, 0);
}

void FeedPublisher::Retire(absl::Status why) { rep_->Push(Rep::RetireUpdate{std::move(why)}, 0); }

std::shared_ptr<const Snapshot> FeedPublisher::snapshot() const { return rep_->hub()->snapshot(); }

void FeedPublisher::SetListener(std::function<void(std::shared_ptr<const Snapshot>)> listener) {
  rep_->SetListener(std::move(listener));
}

void FeedPublisher::Flush() {
  absl::Notification done;
  if (rep_->Push(Rep::FlushUpdate{&done}, 0)) done.WaitForNotification();
}

absl::Duration FeedPublisher::Age() const { return rep_->hub()->Age(); }
FeedCounters FeedPublisher::counters() const { return rep_->counters(); }
FeedHub* FeedPublisher::hub() { return rep_->hub(); }
void FeedPublisher::Stop() { rep_->Stop(); }

}  // namespace tessera::feed
