#include "services/feed/server/follow_source.h"

#include <utility>

#include "services/rpc/bytes.h"
#include "services/rpc/status.h"

namespace tessera::feed {
namespace {

class FollowSource final : public MessageSource {
 public:
  FollowSource(FeedHub* hub, uint64_t epoch, uint64_t from_version)
      : hub_(hub), asked_epoch_(epoch), asked_version_(from_version) {}

  Next Take(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message, bool* more,
            absl::Status* end) override {
    FeedHub::View view = hub_->Look(position_);
    if (!view.end.ok()) {
      *end = std::move(view.end);
      return Next::kEnd;
    }
    if (!started_) {
      if (view.snapshot == nullptr) return Next::kLater;
      Start(view);
      view = hub_->Look(position_);
    }
    if (bytes_ != nullptr && bytes_->run() == view.newest.run) {
      return TakeChunk(stream, message, more);
    }
    if (!view.can_follow) {
      if (view.snapshot == nullptr) return Next::kLater;
      // Whoever was sent a snapshot of this very run and still fell out of the log is too slow.
      snapshots_in_a_row_ = position_.run == view.newest.run ? snapshots_in_a_row_ + 1 : 0;
      if (snapshots_in_a_row_ > hub_->options().snapshots_in_a_row_max) {
        hub_->CountSlow();
        *end =
            rpc::Error(absl::StatusCode::kResourceExhausted, model::v1::ErrorDetail::SLOW_CONSUMER,
                       "the follower does not keep up; follow again");
        return Next::kEnd;
      }
      StartSnapshot();
      return TakeChunk(stream, message, more);
    }
    return TakeDelta(view, message, more);
  }

 private:
  void Start(const FeedHub::View& view) {
    started_ = true;
    position_ = view.newest;
    // The newest heartbeat is sent, when all before it has been: an older one would make the feed
    // look as stale as its follower.
    if (position_.heartbeat > 0) --position_.heartbeat;
    if (asked_epoch_ == view.newest.epoch && asked_version_ != 0) {
      position_.version = asked_version_;
      if (hub_->Look(position_).can_follow) {
        hub_->CountResumed();
        return;
      }
    }
    StartSnapshot();
  }

  void StartSnapshot() {
    bytes_ = hub_->FollowBytes();
    index_ = 0;
    requested_ = false;
  }

  Next TakeChunk(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message, bool* more) {
    bool last = false;
    if (!bytes_->Get(index_, message, &last)) {
      // Once: others wake the stream meanwhile.
      if (!std::exchange(requested_, true)) hub_->RequestMessage(bytes_, index_, stream);
      return Next::kLater;
    }
    hub_->CountMessage(message->Length());
    requested_ = false;
    ++index_;
    *more = !last;
    if (last) {
      position_.run = bytes_->run();
      position_.epoch = bytes_->epoch();
      position_.version = bytes_->version();
      bytes_ = nullptr;
    }
    return Next::kMessage;
  }

  Next TakeDelta(FeedHub::View& view, grpc::ByteBuffer* message, bool* more) {
    const uint64_t lag = view.newest.version - position_.version;
    if (lag == 0) snapshots_in_a_row_ = 0;
    if (view.heartbeat_number > 0) {
      position_.heartbeat = view.heartbeat_number;
      *message = rpc::ToBytes(view.heartbeat);
      hub_->CountMessage(message->Length());
      *more = view.has_delta;
      return Next::kMessage;
    }
    if (!view.has_delta) return Next::kLater;
    hub_->CountLag(lag);
    *message = view.delta.follow;
    hub_->CountMessage(message->Length());
    ++position_.version;
    *more = lag > 1;
    return Next::kMessage;
  }

  FeedHub* const hub_;
  const uint64_t asked_epoch_;
  const uint64_t asked_version_;
  bool started_ = false;
  FeedHub::Position position_;
  std::shared_ptr<SnapshotBytes> bytes_;
  size_t index_ = 0;
  bool requested_ = false;
  int snapshots_in_a_row_ = 0;
};

}  // namespace

std::unique_ptr<MessageSource> MakeFollowSource(FeedHub* hub, uint64_t epoch,
                                                uint64_t from_version) {
  return std::make_unique<FollowSource>(hub, epoch, from_version);
}

}  // namespace tessera::feed
