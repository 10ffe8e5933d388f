// What the simulated processes share: time, network, judges, and the addresses of one another.
#pragma once

#include <map>
#include <string>

#include "services/base/rng.h"
#include "tests/sim/checkers.h"
#include "tests/sim/event_loop.h"
#include "tests/sim/network.h"
#include "tests/sim/quota_checker.h"
#include "tests/sim/reader_checker.h"

namespace tessera::sim {

class RegistryProcess;
class AllocatorProcess;
class FeedOutlet;
class MasterProcess;

struct World {
  World(uint64_t seed, NetworkOptions network_options)
      : rng(seed), network(&loop, rng.Fork(), network_options) {}

  EventLoop loop;
  base::Rng rng;
  Network network;
  Verdict verdict;
  MachineChecker machines{&verdict};
  OfferChecker offers{&verdict};
  LeaderChecker leaders{&verdict};
  DurabilityChecker durability{&verdict};
  TaskChecker tasks{&verdict};
  WishChecker wishes{&verdict};
  QuotaChecker quotas{&verdict};
  LimitChecker limits{&verdict};
  FeedTruth feed_truth{&verdict};

  RegistryProcess* registry = nullptr;
  AllocatorProcess* allocator = nullptr;
  // By address.
  std::map<std::string, MasterProcess*> masters;
  std::map<std::string, FeedOutlet*> feeds;
};

// Runs a core: steps it, hands its effects on, wakes it at its deadline. `Owner` has Do(effect).
template <typename Core, typename Event, typename Effect>
class CoreRunner {
 public:
  // `name` marks its events in the digest.
  CoreRunner(Process* process, Core* core, Event wake,
             std::function<void(std::vector<Effect>)> carry_out)
      : process_(process), core_(core), wake_(std::move(wake)), carry_out_(std::move(carry_out)) {}

  void Step(const Event& event) {
    if (muted_) return;
    EventLoop& loop = process_->loop();
    loop.Note(process_->name(), event.index());
    std::vector<Effect> effects;
    core_->Step(loop.now(), event, &effects);
    for (const Effect& effect : effects) loop.Note("effect", effect.index());
    carry_out_(std::move(effects));
    Arm();
  }

  // The core takes nothing any more: its process has stopped and only says what is left to say.
  void Mute() { muted_ = true; }

  // Also to be called once after the core was made.
  void Arm() {
    const absl::Time deadline = core_->NextDeadline();
    if (deadline == absl::InfiniteFuture() || deadline >= armed_) return;
    armed_ = deadline;
    EventLoop& loop = process_->loop();
    // At least a little later, so that time moves on even if a core is due for ever.
    process_->Later(std::max(deadline - loop.now(), absl::Microseconds(1)), [this, deadline] {
      if (armed_ != deadline) return;  // an earlier one was armed since, and has armed again
      armed_ = absl::InfiniteFuture();
      if (core_->NextDeadline() <= process_->loop().now()) {
        Step(wake_);
      } else {
        Arm();
      }
    });
  }

 private:
  Process* process_;
  Core* core_;
  Event wake_;
  std::function<void(std::vector<Effect>)> carry_out_;
  absl::Time armed_ = absl::InfiniteFuture();
  bool muted_ = false;
};

}  // namespace tessera::sim
