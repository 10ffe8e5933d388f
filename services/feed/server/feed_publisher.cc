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
#include "services/rpc/bytes.h"
#include "services/rpc/status.h"
#include "services/feed/core/state_table.h"
#include "services/feed/server/feed_hub.h"
#include "services/feed/server/follow_source.h"

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
    return hub_->Serve(context, MakeFollowSource(hub_, request.epoch(), request.from_version()));
  }

 private:
  FeedHub* const hub_;
};

// Names what a change says nothing of itself, as long as the table still knows.
ChangeScope ScopeOf(const Snapshot& state, const v1::Change& change) {
  ChangeScope scope;
  const auto task_agent = [&](const std::string& framework_id, const std::string& task_id) {
    const Task* task = state.FindTask(framework_id, task_id);
    if (task != nullptr) scope.agent_id = task->info->agent_id();
  };
  switch (change.kind_case()) {
    case v1::Change::kTaskStatusAdded:
      task_agent(change.task_status_added().framework_id(), change.task_status_added().task_id());
      break;
    case v1::Change::kTaskMoved:
      task_agent(change.task_moved().framework_id(), change.task_moved().task_id());
      break;
    case v1::Change::kTaskRemoved:
      task_agent(change.task_removed().framework_id(), change.task_removed().task_id());
      break;
    case v1::Change::kOfferRemoved: {
      const std::string* framework_id = state.offers.Find(change.offer_removed().offer_id());
      if (framework_id == nullptr) break;
      scope.framework_id = *framework_id;
      scope.agent_id = state.frameworks.Find(*framework_id)
                           ->offers.Find(change.offer_removed().offer_id())
                           ->record->agent_id();
      break;
    }
    default:
      break;
  }
  return scope;
}

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
    v1::Delta delta;
  };
  struct ChunkUpdate {
    uint64_t epoch;
    v1::SnapshotChunk chunk;
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
  using Update = std::variant<DeltaUpdate, ChunkUpdate, HeartbeatUpdate, RetireUpdate, FlushUpdate>;

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
      for (Waiting& waiting : batch) {
        std::visit([this](auto& update) { Take(update); }, waiting.update);
      }
      Publish();
      if (options_.heartbeat_interval != absl::InfiniteDuration() &&
          (std::exchange(began_, false) || absl::Now() >= next_heartbeat)) {
        if (has_state_) hub_.Heartbeat({table_.epoch(), ++heartbeats_made_, clock_()});
        next_heartbeat = absl::Now() + options_.heartbeat_interval;
      }
      for (absl::Notification* done : std::exchange(flushes_, {})) done->Notify();
    }
  }

  void Take(DeltaUpdate& update) {
    const uint64_t version = update.delta.version();
    if (update.epoch < table_.epoch()) return Refuse("an epoch that is over");
    if (update.reset) {
      Publish();
      table_ = StateTable();
      table_.Reset(update.epoch);
      table_.set_version(version - 1);
      hub_.BeginRun(update.epoch, version - 1);
      has_state_ = true;
      began_ = true;
    } else if (update.epoch != table_.epoch() || !has_state_) {
      return Refuse("a delta of an epoch that has not begun");
    } else if (version <= table_.version()) {
      return;
    } else if (version != table_.version() + 1) {
      return Refuse("a delta that leaves versions out");
    }
    Apply(std::move(update.delta));
  }

  void Apply(v1::Delta delta) {
    LoggedDelta logged;
    std::shared_ptr<WatchedDelta> watched;
    if (hub_.keeps_for_watchers()) {
      watched = std::make_shared<WatchedDelta>();
      watched->epoch = table_.epoch();
      watched->delta = delta;
      watched->scopes.resize(delta.changes_size());
    }
    v1::FollowResponse response;
    response.set_epoch(table_.epoch());
    response.mutable_delta()->Swap(&delta);
    logged.follow = rpc::ToBytes(response);
    v1::Delta& applied = *response.mutable_delta();
    for (int i = 0; i < applied.changes_size(); ++i) {
      if (watched != nullptr) watched->scopes[i] = ScopeOf(table_.state(), applied.changes(i));
      table_.Apply(std::move(*applied.mutable_changes(i)));
    }
    table_.set_version(applied.version());
    logged.watched = std::move(watched);
    ++deltas_;
    changes_ += applied.changes_size();
    bytes_serialised_ += logged.follow.Length();
    unpublished_.push_back(std::move(logged));
    dirty_ = true;
  }

  void Take(ChunkUpdate& update) {
    if (update.epoch < table_.epoch()) return Refuse("an epoch that is over");
    if (update.chunk.first()) {
      incoming_ = StateTable();
      incoming_.Reset(update.epoch);
      incoming_.set_version(update.chunk.version());
      receiving_ = true;
    } else if (!receiving_ || incoming_.epoch() != update.epoch ||
               incoming_.version() != update.chunk.version()) {
      return Refuse("a part of a snapshot without its beginning");
    }
    for (v1::Change& change : *update.chunk.mutable_changes()) {
      incoming_.Apply(std::move(change));
    }
    changes_ += update.chunk.changes_size();
    if (!update.chunk.last()) return;
    receiving_ = false;
    Publish();
    ignored_before_ += table_.ignored();
    table_ = std::move(incoming_);
    incoming_ = StateTable();
    has_state_ = true;
    hub_.BeginRun(table_.epoch(), table_.version());
    dirty_ = true;
  }

  void Take(HeartbeatUpdate& update) {
    if (!has_state_ || update.heartbeat.epoch != table_.epoch()) return;
    Publish();
    if (update.heartbeat.sequence == 0) update.heartbeat.sequence = ++heartbeats_made_;
    hub_.Heartbeat(update.heartbeat);
  }

  void Take(RetireUpdate& update) {
    Publish();
    hub_.Retire(std::move(update.why));
    has_state_ = false;
  }

  void Take(FlushUpdate& update) { flushes_.push_back(update.done); }

  void Refuse(const char* what) {
    ++refused_;
    LOG_EVERY_N(WARNING, 100) << "the state feed refused " << what;
  }

  // Makes what was applied visible.
  void Publish() {
    std::function<void(SnapshotPtr)> listener;
    {
      absl::MutexLock lock(&mu_);
      counters_.epoch = table_.epoch();
      counters_.version = table_.version();
      counters_.deltas = deltas_;
      counters_.changes = changes_;
      counters_.changes_ignored = ignored_before_ + table_.ignored();
      counters_.updates_refused = refused_;
      counters_.bytes_serialised = bytes_serialised_;
      listener = listener_;
    }
    if (!std::exchange(dirty_, false)) return;
    SnapshotPtr snapshot = table_.Publish();
    hub_.Append(std::exchange(unpublished_, {}), snapshot);
    if (listener) listener(std::move(snapshot));
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
  StateTable table_;
  StateTable incoming_;
  bool receiving_ = false;
  bool has_state_ = false;
  // A state has come that no heartbeat has been made for.
  bool began_ = false;
  uint64_t heartbeats_made_ = 0;
  bool dirty_ = false;
  std::vector<LoggedDelta> unpublished_;
  std::vector<absl::Notification*> flushes_;
  uint64_t deltas_ = 0;
  uint64_t changes_ = 0;
  uint64_t refused_ = 0;
  uint64_t ignored_before_ = 0;
  uint64_t bytes_serialised_ = 0;
  std::thread thread_;
};

FeedPublisher::FeedPublisher(const FeedOptions& options, rpc::Clock clock)
    : rep_(std::make_unique<Rep>(options, std::move(clock))) {}
FeedPublisher::~FeedPublisher() = default;

grpc::Service* FeedPublisher::service() { return rep_->service(); }

void FeedPublisher::Publish(uint64_t epoch, bool reset, v1::Delta delta) {
  const size_t changes = delta.changes_size();
  rep_->Push(Rep::DeltaUpdate{epoch, reset, std::move(delta)}, changes);
}

void FeedPublisher::PublishChunk(uint64_t epoch, v1::SnapshotChunk chunk) {
  const size_t changes = chunk.changes_size();
  rep_->Push(Rep::ChunkUpdate{epoch, std::move(chunk)}, changes);
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
