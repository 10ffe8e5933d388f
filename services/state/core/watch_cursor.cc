#include "services/state/core/watch_cursor.h"

#include <utility>

#include "services/feed/core/kinds.h"
#include "services/feed/wire/carried.pb.h"
#include "services/rpc/error.h"

namespace tessera::state {
namespace {

using feed::StreamStep;

absl::Status SnapshotRequired(const char* why) {
  return rpc::Error(absl::StatusCode::kOutOfRange, model::v1::ErrorDetail::SNAPSHOT_REQUIRED, why);
}

StreamStep End(absl::Status status) {
  return {.kind = StreamStep::Kind::kEnd, .end = std::move(status)};
}

const feed::Snapshot& Nothing() {
  static const auto* const nothing = new feed::Snapshot();
  return *nothing;
}

// Whom a change of a delta or of a snapshot concerns, when it says so itself.
bool Concerns(const feed::Change& change, const WatchFilter& filter) {
  return feed::ScopeOf(Nothing(), change).Concerns(filter.framework_id, filter.agent_id);
}

feed::EncodedPtr Serialised(const feed::wire::WatchResponse& response) {
  return std::make_shared<const std::string>(response.SerializeAsString());
}

}  // namespace

feed::EncodedPtr FilterDelta(const feed::LoggedDelta& delta, const WatchFilter& filter) {
  feed::wire::FollowResponse message;
  if (!message.ParseFromString(*delta.bytes)) return nullptr;
  feed::wire::WatchResponse response;
  response.set_epoch(delta.epoch);
  response.set_version(delta.version);
  const bool everything = filter == WatchFilter();
  size_t next = 0;
  auto* changes = message.mutable_delta()->mutable_changes();
  for (int i = 0; i < changes->size(); ++i) {
    const feed::ChangeScope* kept = nullptr;
    if (delta.scopes != nullptr && next < delta.scopes->size() &&
        (*delta.scopes)[next].first == static_cast<uint32_t>(i)) {
      kept = &(*delta.scopes)[next++].second;
    }
    feed::wire::Change& change = *changes->Mutable(i);
    bool concerns = everything;
    if (!everything && kept != nullptr) {
      concerns = kept->Concerns(filter.framework_id, filter.agent_id);
    } else if (!everything) {
      std::vector<feed::Change> read;
      size_t malformed = 0;
      concerns = feed::FromWire(feed::wire::Change(change), &read, &malformed) &&
                 Concerns(read.front(), filter);
    }
    if (concerns) *response.add_changes() = std::move(change);
  }
  return response.changes().empty() ? nullptr : Serialised(response);
}

// ---- the cursor ---------------------------------------------------------------------------------

WatchCursor::WatchCursor(const v1::WatchRequest& request, MakeMessage make)
    : filter_{request.framework_id(), request.agent_id()},
      with_state_(request.with_state()),
      asked_epoch_(request.epoch()),
      asked_version_(request.after_version()),
      make_(std::move(make)) {}

StreamStep WatchCursor::Take(feed::FeedLog* log, absl::Time) {
  feed::FeedLog::View view = log->Look(position_);
  if (!view.end.ok()) return End(std::move(view.end));
  if (!started_) {
    if (view.snapshot == nullptr) return {};
    if (absl::Status status = Start(log, view); !status.ok()) return End(std::move(status));
    view = log->Look(position_);
  }
  if (snapshot_.active()) {
    if (snapshot_.bytes().run() == view.newest.run) return snapshot_.Take(&position_);
    return End(SnapshotRequired("the state was replaced; watch with_state"));
  }
  if (!view.can_follow) {
    if (position_.run != view.newest.run) {
      return End(SnapshotRequired("the state was replaced; watch with_state"));
    }
    log->CountSlow();
    return End(rpc::Error(absl::StatusCode::kResourceExhausted,
                          model::v1::ErrorDetail::SLOW_CONSUMER,
                          "the watcher does not keep up; watch again"));
  }
  if (view.delta == nullptr) return {};
  StreamStep step{.kind = StreamStep::Kind::kDelta};
  step.delta = *view.delta;
  ++position_.version;
  return step;
}

feed::EncodedPtr WatchCursor::Message(const feed::LoggedDelta& delta) {
  return make_(delta, filter_);
}

absl::Status WatchCursor::Start(feed::FeedLog* log, const feed::FeedLog::View& view) {
  started_ = true;
  position_ = view.newest;
  if (with_state_) {
    snapshot_.Start(
        log->OwnBytes([filter = filter_](uint64_t epoch, const feed::SnapshotPart& part) {
          feed::wire::WatchResponse response;
          response.set_epoch(epoch);
          response.set_version(part.version);
          response.set_initial(true);
          for (const feed::Change& change : part.changes) {
            if (Concerns(change, filter)) feed::ToWire(change, response.add_changes());
          }
          const bool left_out = response.changes().empty() && !part.last;
          return left_out ? nullptr : Serialised(response);
        }));
    return absl::OkStatus();
  }
  if (asked_version_ == 0) return absl::OkStatus();
  position_.version = asked_version_;
  if (asked_epoch_ != view.newest.epoch || !log->Look(position_).can_follow) {
    return SnapshotRequired("the version is not at hand any more; watch with_state");
  }
  return absl::OkStatus();
}

}  // namespace tessera::state
