#include "tests/sim/watcher_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "protos/tessera/state/v1/state_feed_service.pb.h"

namespace tessera::sim {

namespace {

constexpr double kRedialSeconds = 1;

}  // namespace

WatcherProcess::WatcherProcess(World* world, StateProcess* reader)
    : Process(&world->loop, absl::StrCat("watcher of ", reader->name())),
      world_(world),
      reader_(reader),
      rng_(world->rng.Fork()),
      checker_(&world->verdict, &world->feed_truth, name(), ReaderChecker::Role::kReader) {}

void WatcherProcess::OnStart() { Dial(); }

void WatcherProcess::OnEnd() {
  wire_.reset();
  checker_.Restarted();
  world_->network.Drop(this);
}

void WatcherProcess::Dial() {
  FeedOutlet* feed = world_->feeds.at(reader_->name());
  auto stream = std::make_shared<uint64_t>(0);
  wire_ = world_->network.Connect({this,
                                   [this](const absl::Status&) {
                                     wire_.reset();
                                     Later(absl::Seconds(rng_.Exponential(kRedialSeconds)),
                                           [this] { Dial(); });
                                   }},
                                  {reader_, [feed, stream](const absl::Status&) {
                                     if (*stream != 0) feed->Closed(*stream);
                                   }});
  if (wire_ == nullptr) return;
  if (std::exchange(reader_life_, reader_->life()) != reader_->life()) checker_.Restarted();
  const uint64_t epoch = checker_.has_state() ? rows().epoch() : 0;
  const uint64_t version = checker_.has_state() ? rows().version() : 0;
  std::weak_ptr<Wire> weak = wire_;
  wire_->Send(this, [this, feed, stream, weak, epoch, version] {
    *stream = feed->Open(
        epoch, version,
        [this, weak](const feed::EncodedPtr& message) {
          const auto live = weak.lock();
          if (live != nullptr) live->Send(reader_, [this, message] { Hear(*message); });
        },
        [this, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(reader_, status);
        });
  });
}

void WatcherProcess::Hear(const std::string& bytes) {
  state::v1::FollowResponse message;
  if (!message.ParseFromString(bytes)) {
    world_->verdict.Fail("feeds are well formed", name() + " cannot read what it follows");
    return;
  }
  if (message.has_snapshot()) checker_.Chunk(message.epoch(), message.snapshot());
  if (message.has_delta()) checker_.Delta(message.epoch(), message.delta());
}

}  // namespace tessera::sim
