#include "tests/sim/state_process.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kJudgeEvery = absl::Seconds(1);

}  // namespace

StateProcess::StateProcess(World* world, std::string address, std::vector<std::string> feeds,
                           FeedOutletOptions options)
    : Process(&world->loop, std::move(address)),
      world_(world),
      feeds_(std::move(feeds)),
      rng_(world->rng.Fork()),
      outlet_(world, this, ReaderChecker::Role::kReader, options) {}

std::string StateProcess::Describe() const {
  if (core_ == nullptr) return name() + " is down";
  return absl::StrCat(
      name(), " shows version ", state().version, " of epoch ", state().epoch,
      core_->following(world_->loop.now()) ? ", follows " : ", looks for a feed at ",
      core_->address());
}

void StateProcess::OnStart() {
  state::StateConfig config;
  config.feeds = feeds_;
  config.seed = rng_.Next();
  core_ = std::make_unique<state::StateCore>(config);
  runner_ = std::make_unique<CoreRunner<state::StateCore, state::StateEvent, state::StateEffect>>(
      this, core_.get(), state::StateEvent(state::Wake{}),
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
        [this, number, source, weak](FeedOutlet::Message message) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(source, [this, number, message = std::move(message)] {
            // The core hands the message on, and whoever publishes it takes it apart.
            runner_->Step(
                state::FeedMessage{number, std::make_shared<state::v1::FollowResponse>(*message)});
          });
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

void StateProcess::Do(state::PublishDelta& publish) {
  outlet_.Publish(publish.epoch, false, std::move(*publish.message->mutable_delta()));
}

void StateProcess::Do(state::PublishChunk& publish) {
  outlet_.PublishChunk(publish.epoch, std::move(*publish.message->mutable_snapshot()));
}

void StateProcess::Do(state::PublishHeartbeat& publish) { outlet_.Heartbeat(publish.heartbeat); }

// Also between the steps: what is fresh grows old by itself.
void StateProcess::Judge() {
  const absl::Time now = loop().now();
  if (core_->following(now)) world_->feed_truth.SaysFresh(name(), core_->heartbeat().made, now);
  Later(kJudgeEvery, [this] { Judge(); });
}

}  // namespace tessera::sim
