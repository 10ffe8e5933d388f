// state-svc: follows the feed of a master or of another state-svc, and passes it on. It keeps
// nothing over a crash.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/state/core/state_core.h"
#include "tests/sim/feed_outlet.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class StateProcess : public Process {
 public:
  // `feeds`: addresses, as in StateConfig.
  StateProcess(World* world, std::string address, std::vector<std::string> feeds,
               FeedOutletOptions options);

  const state::StateCore* core() const { return core_.get(); }
  // What it shows its readers.
  const feed::Snapshot& state() const { return outlet_.state(); }
  // For people who look into a run.
  std::string Describe() const;

 private:
  void OnStart() override;
  void OnEnd() override;
  void CarryOut(state::StateEffects effects);
  void Do(state::DialFeed& dial);
  void Do(state::CloseFeed& close);
  void Do(state::PublishDelta& publish);
  void Do(state::PublishPart& publish);
  void Do(state::PublishHeartbeat& publish);
  // A message of the feed that it follows.
  void Hear(uint64_t stream, const std::string& bytes);
  // From time to time: whether it takes itself for up to date with reason.
  void Judge();

  struct Tap {
    static void Fold(Digest* digest, const state::DialFeed& effect);
    static void Fold(Digest* digest, const state::CloseFeed& effect);
    static void Fold(Digest* digest, const state::PublishDelta& effect);
    static void Fold(Digest* digest, const state::PublishPart& effect);
    static void Fold(Digest* digest, const state::PublishHeartbeat& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
  };

  World* world_;
  const std::vector<std::string> feeds_;
  base::Rng rng_;
  FeedOutlet outlet_;
  std::unique_ptr<state::StateCore> core_;
  std::unique_ptr<CoreRunner<state::StateCore, state::StateEvent, state::StateEffect, Tap>> runner_;
  std::map<uint64_t, std::shared_ptr<Wire>> streams_;
};

}  // namespace tessera::sim
