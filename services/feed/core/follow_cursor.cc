#include "services/feed/core/follow_cursor.h"

#include <utility>

#include "services/rpc/error.h"

namespace tessera::feed {

StreamStep FollowCursor::Take(FeedLog* log, absl::Time now) {
  FeedLog::View view = log->Look(position_);
  if (!view.end.ok()) return {.kind = StreamStep::Kind::kEnd, .end = std::move(view.end)};
  if (!started_) {
    if (view.snapshot == nullptr) return {};
    Start(log, view);
    view = log->Look(position_);
  }
  if (snapshot_.active() && snapshot_.bytes().run() == view.newest.run) {
    return snapshot_.Take(&position_);
  }
  if (view.can_follow) return TakeDelta(log, view, now);
  if (view.snapshot == nullptr) return {};
  // Whoever was sent a snapshot of this very run and still fell out of the log is too slow.
  snapshots_in_a_row_ = position_.run == view.newest.run ? snapshots_in_a_row_ + 1 : 0;
  if (snapshots_in_a_row_ > log->options().snapshots_in_a_row_max) {
    log->CountSlow();
    return {.kind = StreamStep::Kind::kEnd,
            .end = rpc::Error(absl::StatusCode::kResourceExhausted,
                              model::v1::ErrorDetail::SLOW_CONSUMER,
                              "the follower does not keep up; follow again")};
  }
  snapshot_.Start(log->FollowBytes());
  return snapshot_.Take(&position_);
}

void FollowCursor::Start(FeedLog* log, const FeedLog::View& view) {
  started_ = true;
  position_ = view.newest;
  // The newest heartbeat is sent, when all before it has been: an older one would make the feed
  // look as stale as its follower.
  if (position_.heartbeat > 0) --position_.heartbeat;
  if (asked_epoch_ == view.newest.epoch && asked_version_ != 0) {
    position_.version = asked_version_;
    if (log->Look(position_).can_follow) {
      log->CountResumed();
      return;
    }
  }
  snapshot_.Start(log->FollowBytes());
}

StreamStep FollowCursor::TakeDelta(FeedLog* log, const FeedLog::View& view, absl::Time now) {
  const uint64_t lag = view.newest.version - position_.version;
  if (lag == 0) snapshots_in_a_row_ = 0;
  StreamStep step;
  if (view.heartbeat != nullptr) {
    position_.heartbeat = view.heartbeat_number;
    step.kind = StreamStep::Kind::kMessage;
    step.message = std::make_shared<const std::string>(
        Encode(view.heartbeat->epoch, Tell(*view.heartbeat, now)));
    step.more = view.delta != nullptr;
    return step;
  }
  if (view.delta == nullptr) return step;
  log->CountLag(lag);
  step.kind = StreamStep::Kind::kDelta;
  step.delta = *view.delta;
  step.more = lag > 1;
  ++position_.version;
  return step;
}

}  // namespace tessera::feed
