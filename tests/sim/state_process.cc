#include "tests/sim/state_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/feed/wire/codec.h"
#include "tests/sim/fold.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kJudgeEvery = absl::Seconds(1);

}  // namespace

// ---- What is folded

void StateProcess::Tap::Fold(Digest* digest, const state::DialFeed& effect) {
  FoldAll(digest, effect.stream, effect.address, effect.epoch, effect.from_version);
}
void StateProcess::Tap::Fold(Digest* digest, const state::CloseFeed& effect) {
  FoldAll(digest, effect.stream, effect.reason);
}
// What is published goes to followers as bytes, and what they make of it is judged.
void StateProcess::Tap::Fold(Digest* digest, const state::PublishDelta& effect) {
  FoldAll(digest, effect.epoch, std::get<feed::Delta>(effect.piece->kind).version);
}
void StateProcess::Tap::Fold(Digest* digest, const state::PublishPart& effect) {
  FoldAll(digest, effect.epoch, std::get<feed::SnapshotPart>(effect.piece->kind).version);
}
void StateProcess::Tap::Fold(Digest* digest, const state::PublishHeartbeat& effect) {
  FoldAll(digest, effect.heartbeat.epoch, effect.heartbeat.sequence, effect.heartbeat.made,
          effect.heartbeat.hops);
}

// ---- The process

StateProcess::StateProcess(World* world, std::string address, std::vector<std::string> feeds,
                           FeedOutletOptions options)
    : Process(&world->loop, std::move(address)),
      world_(world),
      feeds_(std::move(feeds)),
      rng_(world->rng.Fork()),
      outlet_(world, this, options) {}

std::string StateProcess::Describe() const {
  if (core_ == nullptr) return name() + " is down";
  return absl::StrCat(name(), " shows version ", state().version, " of epoch ", state().epoch,
                      core_->following(now()) ? ", follows " : ", looks for a feed at ",
                      core_->address());
}

void StateProcess::OnStart() {
  state::StateConfig config;
  config.feeds = feeds_;
  config.seed = rng_.Next();
  core_ = std::make_unique<state::StateCore>(config);
  runner_ =
      std::make_unique<CoreRunner<state::StateCore, state::StateEvent, state::StateEffect, Tap>>(
          world_, this, core_.get(), state::StateEvent(state::Wake{}),
          [this](state::StateEffects effects) { CarryOut(std::move(effects)); });
  runner_->Step(state::Started{});
  Judge();
}

void StateProcess::OnEnd() {
  runner_.reset();
  core_.reset();
  streams_.clear();
  outlet_.Clear();
  world_->network.Drop(this);
}

void StateProcess::CarryOut(state::StateEffects effects) {
  for (state::StateEffect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
}

void StateProcess::Do(state::DialFeed& dial) {
  const uint64_t number = dial.stream;
  const auto closed = [this, number](const absl::Status& status) {
    streams_.erase(number);
    runner_->Step(state::FeedEnded{number, status});
  };
  const auto it = world_->feeds.find(dial.address);
  if (it == world_->feeds.end()) {
    Later(absl::Milliseconds(1), [closed] { closed(absl::UnavailableError("no such address")); });
    return;
  }
  FeedOutlet* feed = it->second;
  Process* source = feed->owner();
  auto stream = std::make_shared<uint64_t>(0);
  auto wire = world_->network.Connect({this, closed}, {source, [feed, stream](const absl::Status&) {
                                                         if (*stream != 0) feed->Closed(*stream);
                                                       }});
  if (wire == nullptr) return;
  streams_[number] = wire;
  std::weak_ptr<Wire> weak = wire;
  wire->Send(this, [this, number, feed, source, stream, weak, dial] {
    *stream = feed->Open(
        dial.epoch, dial.from_version,
        [this, number, source, weak](const feed::EncodedPtr& message) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(source, [this, number, message] { Hear(number, *message); });
        },
        [source, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(source, status);
        });
  });
}

void StateProcess::Do(state::CloseFeed& close) {
  const auto it = streams_.find(close.stream);
  if (it != streams_.end()) it->second->Close(this, close.reason);
}

void StateProcess::Hear(uint64_t stream, const std::string& bytes) {
  feed::wire::FollowResponse message;
  absl::StatusOr<feed::FeedPiece> piece = absl::InternalError("the bytes are no message");
  if (message.ParseFromString(bytes)) piece = feed::Decode(std::move(message));
  if (!piece.ok() || piece->malformed > 0) {
    world_->verdict.Fail("feeds are well formed", name() + " cannot read what it follows");
    return;
  }
  runner_->Step(state::FeedMessage{stream, std::make_shared<feed::FeedPiece>(*std::move(piece))});
}

void StateProcess::Do(state::PublishDelta& publish) {
  outlet_.Publish(publish.epoch, false, std::move(std::get<feed::Delta>(publish.piece->kind)));
}

void StateProcess::Do(state::PublishPart& publish) {
  outlet_.PublishPart(publish.epoch, std::move(std::get<feed::SnapshotPart>(publish.piece->kind)));
}

void StateProcess::Do(state::PublishHeartbeat& publish) { outlet_.Heartbeat(publish.heartbeat); }

// Also between the steps: what is fresh grows old by itself.
void StateProcess::Judge() {
  if (core_->following(now())) {
    world_->feed_truth.SaysFresh(name(), core_->heartbeat().made - clock_error(), loop().now());
  }
  Later(kJudgeEvery, [this] { Judge(); });
}

}  // namespace tessera::sim
