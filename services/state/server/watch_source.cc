#include "services/state/server/watch_source.h"

#include <string>
#include <utility>

#include "services/rpc/bytes.h"
#include "services/rpc/status.h"

namespace tessera::state {
namespace {

struct Filter {
  std::string framework_id;
  std::string agent_id;

  bool empty() const { return framework_id.empty() && agent_id.empty(); }
  bool Concerns(const std::string& framework, const std::string& agent) const {
    return (framework_id.empty() || framework == framework_id) &&
           (agent_id.empty() || agent == agent_id);
  }
};

bool Concerns(const Filter& filter, const v1::Change& change, const ChangeScope* scope) {
  using C = v1::Change;
  if (filter.empty()) return true;
  const std::string unknown;
  const std::string& scope_agent = scope == nullptr ? unknown : scope->agent_id;
  const std::string& scope_framework = scope == nullptr ? unknown : scope->framework_id;
  switch (change.kind_case()) {
    case C::kClusterSet:
    case C::kRoleSet:
    case C::kRoleRemoved:
      return true;
    case C::kAgentSet:
      return filter.framework_id.empty() &&
             filter.Concerns("", change.agent_set().agent().info().id());
    case C::kAgentRemoved:
      return filter.framework_id.empty() && filter.Concerns("", change.agent_removed().agent_id());
    case C::kFrameworkSet:
      return filter.agent_id.empty() &&
             filter.Concerns(change.framework_set().framework().info().id(), "");
    case C::kFrameworkRemoved:
      return filter.agent_id.empty() &&
             filter.Concerns(change.framework_removed().framework_id(), "");
    case C::kTaskSet:
      return filter.Concerns(change.task_set().task().framework_id(),
                             change.task_set().task().info().agent_id());
    case C::kTaskStatusAdded:
      return filter.Concerns(change.task_status_added().framework_id(), scope_agent);
    case C::kTaskMoved:
      return filter.Concerns(change.task_moved().framework_id(), scope_agent);
    case C::kTaskRemoved:
      return filter.Concerns(change.task_removed().framework_id(), scope_agent);
    case C::kExecutorSet:
      return filter.Concerns(change.executor_set().executor().framework_id(),
                             change.executor_set().agent_id());
    case C::kExecutorRemoved:
      return filter.Concerns(change.executor_removed().framework_id(),
                             change.executor_removed().agent_id());
    case C::kOfferSet:
      return filter.Concerns(change.offer_set().offer().framework_id(),
                             change.offer_set().offer().agent_id());
    case C::kOfferRemoved:
      return filter.Concerns(scope_framework, scope_agent);
    case C::KIND_NOT_SET:
      break;
  }
  return false;
}

absl::Status SnapshotRequired(const char* why) {
  return rpc::Error(absl::StatusCode::kOutOfRange, model::v1::ErrorDetail::SNAPSHOT_REQUIRED, why);
}

class WatchSource final : public MessageSource {
 public:
  WatchSource(FeedHub* hub, const v1::WatchRequest& request)
      : hub_(hub),
        filter_{request.framework_id(), request.agent_id()},
        with_state_(request.with_state()),
        asked_epoch_(request.epoch()),
        asked_version_(request.after_version()) {}

  Next Take(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message, bool* more,
            absl::Status* end) override {
    FeedHub::View view = hub_->Look(position_);
    if (!view.end.ok()) return End(std::move(view.end), end);
    if (!started_) {
      if (view.snapshot == nullptr) return Next::kLater;
      if (absl::Status status = Start(view); !status.ok()) return End(std::move(status), end);
      view = hub_->Look(position_);
    }
    if (bytes_ != nullptr) {
      if (bytes_->run() == view.newest.run) return TakeChunk(stream, message, more);
      return End(SnapshotRequired("the state was replaced; watch with_state"), end);
    }
    while (true) {
      if (!view.end.ok()) return End(std::move(view.end), end);
      if (!view.can_follow) {
        if (position_.run != view.newest.run) {
          return End(SnapshotRequired("the state was replaced; watch with_state"), end);
        }
        hub_->CountSlow();
        return End(
            rpc::Error(absl::StatusCode::kResourceExhausted, model::v1::ErrorDetail::SLOW_CONSUMER,
                       "the watcher does not keep up; watch again"),
            end);
      }
      if (!view.has_delta) return Next::kLater;
      ++position_.version;
      *message = BytesOf(view.delta);
      if (message->Length() > 0) break;
      view = hub_->Look(position_);
    }
    hub_->CountMessage(message->Length());
    *more = false;
    return Next::kMessage;
  }

 private:
  static Next End(absl::Status status, absl::Status* end) {
    *end = std::move(status);
    return Next::kEnd;
  }

  absl::Status Start(const FeedHub::View& view) {
    started_ = true;
    position_ = view.newest;
    if (with_state_) {
      bytes_ = hub_->OwnBytes(
          view.snapshot, view.newest.run, [filter = filter_](v1::FollowResponse* piece) {
            v1::WatchResponse response;
            response.set_epoch(piece->epoch());
            response.set_version(piece->snapshot().version());
            response.set_initial(true);
            for (v1::Change& change : *piece->mutable_snapshot()->mutable_changes()) {
              if (Concerns(filter, change, nullptr)) *response.add_changes() = std::move(change);
            }
            const bool left_out = response.changes().empty() && !piece->snapshot().last();
            return left_out ? grpc::ByteBuffer() : rpc::ToBytes(response);
          });
      return absl::OkStatus();
    }
    if (asked_version_ == 0) return absl::OkStatus();
    position_.version = asked_version_;
    if (asked_epoch_ != view.newest.epoch || !hub_->Look(position_).can_follow) {
      return SnapshotRequired("the version is not at hand any more; watch with_state");
    }
    return absl::OkStatus();
  }

  Next TakeChunk(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message, bool* more) {
    bool last = false;
    if (!bytes_->Get(index_, message, &last)) {
      if (!std::exchange(requested_, true)) hub_->RequestMessage(bytes_, index_, stream);
      return Next::kLater;
    }
    requested_ = false;
    ++index_;
    *more = !last;
    if (last) {
      position_.version = bytes_->version();
      bytes_ = nullptr;
    }
    hub_->CountMessage(message->Length());
    return Next::kMessage;
  }

  grpc::ByteBuffer BytesOf(const LoggedDelta& logged) const {
    // Deltas from before anybody watched are not kept; they cannot be told any more.
    if (logged.watched == nullptr) return grpc::ByteBuffer();
    const WatchedDelta& delta = *logged.watched;
    absl::MutexLock lock(&delta.mu);
    auto [found, added] = delta.bytes.try_emplace({filter_.framework_id, filter_.agent_id});
    if (added) {
      const v1::WatchResponse response = FilterDelta(delta, filter_.framework_id, filter_.agent_id);
      if (!response.changes().empty()) found->second = rpc::ToBytes(response);
    }
    return found->second;
  }

  FeedHub* const hub_;
  const Filter filter_;
  const bool with_state_;
  const uint64_t asked_epoch_;
  const uint64_t asked_version_;
  bool started_ = false;
  FeedHub::Position position_;
  std::shared_ptr<SnapshotBytes> bytes_;
  size_t index_ = 0;
  bool requested_ = false;
};

}  // namespace

v1::WatchResponse FilterDelta(const WatchedDelta& delta, const std::string& framework_id,
                              const std::string& agent_id) {
  const Filter filter{framework_id, agent_id};
  v1::WatchResponse response;
  response.set_epoch(delta.epoch);
  response.set_version(delta.delta.version());
  for (int i = 0; i < delta.delta.changes_size(); ++i) {
    if (Concerns(filter, delta.delta.changes(i), &delta.scopes[i])) {
      *response.add_changes() = delta.delta.changes(i);
    }
  }
  return response;
}

std::unique_ptr<MessageSource> MakeWatchSource(FeedHub* hub, const v1::WatchRequest& request) {
  return std::make_unique<WatchSource>(hub, request);
}

}  // namespace tessera::state
