// What the simulated processes share: time, network, judges, and the addresses of one another.
#pragma once

#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/base/rng.h"
#include "tests/sim/checkers.h"
#include "tests/sim/disk.h"
#include "tests/sim/event_loop.h"
#include "tests/sim/faults.h"
#include "tests/sim/network.h"
#include "tests/sim/quota_checker.h"
#include "tests/sim/reader_checker.h"
#include "tests/sim/strikes.h"

namespace tessera::sim {

class RegistryProcess;
class AllocatorProcess;
class FeedOutlet;
class MasterProcess;

struct World {
  World(uint64_t seed, NetworkOptions network_options)
      : rng(seed), network(&loop, rng.Fork(), network_options, &faults) {}

  EventLoop loop;
  base::Rng rng;
  FaultCounts faults;
  Network network;
  Strikes strikes;
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

  // Tells people who look into a run what happens; `what` makes the line. Of no cost otherwise.
  template <typename What>
  void Say(What what) {
    if (verbose) {
      std::cerr << absl::FormatTime("%H:%M:%E3S ", loop.now(), absl::UTCTimeZone()) << what()
                << "\n";
    }
  }
  bool verbose = false;

  // No fault is begun any more, and what was broken is mended.
  bool healed = false;

  // What people can read somewhere: the newest id of each agent, by its hostname, and tasks that
  // were launched, as ids of framework and task.
  std::map<std::string, std::string> agent_ids;
  std::vector<std::pair<std::string, std::string>> recent_tasks;

  RegistryProcess* registry = nullptr;
  AllocatorProcess* allocator = nullptr;
  // By address.
  std::map<std::string, MasterProcess*> masters;
  std::map<std::string, FeedOutlet*> feeds;
};

// How long the next sync of this disk takes.
inline absl::Duration DrawSync(World* world, const DiskShape& disk, base::Rng* rng) {
  const absl::Duration sync = (world->healed ? HealthyDisk() : disk).Draw(rng);
  if (sync > absl::Seconds(1)) world->faults.Add(Bite::kSyncStalled);
  return sync;
}

// Runs a core: steps it, hands its effects on, wakes it at its deadline.
//
// `Tap` looks at each effect before it is carried out: Tap::Fold(digest, effect) folds its contents
// in, and Tap::MomentOf(effect) says whether it is one at which a strike may hit (Bite::kCount:
// no). Both have an overload for each effect, so that a new one does not compile until it has them.
template <typename Core, typename Event, typename Effect, typename Tap>
class CoreRunner {
 public:
  // `wake` is what the core hears when its deadline has passed.
  CoreRunner(World* world, Process* process, Core* core, Event wake,
             std::function<void(std::vector<Effect>)> carry_out)
      : world_(world),
        process_(process),
        core_(core),
        wake_(std::move(wake)),
        carry_out_(std::move(carry_out)) {}

  void Step(const Event& event) {
    if (muted_) return;
    EventLoop& loop = process_->loop();
    loop.Note(process_->name(), event.index());
    std::vector<Effect> effects;
    core_->Step(process_->now(), event, &effects);
    std::optional<Strike> strike;
    for (size_t i = 0; i < effects.size(); ++i) {
      strike =
          std::visit([&](const auto& effect) { return At(Tap::MomentOf(effect)); }, effects[i]);
      if (strike.has_value() && strike->when != Strike::When::kSoonAfter) {
        effects.erase(effects.begin() +
                          static_cast<ptrdiff_t>(strike->when == Strike::When::kAfter ? i + 1 : i),
                      effects.end());
      }
      if (strike.has_value()) break;
    }
    for (const Effect& effect : effects) {
      loop.notes()->Add(effect.index());
      std::visit([&](const auto& e) { Tap::Fold(loop.notes(), e); }, effect);
    }
    // A core cannot be ended within its own step; until it is, it does nothing more.
    muted_ = strike.has_value() && strike->when != Strike::When::kSoonAfter;
    carry_out_(std::move(effects));
    if (strike.has_value()) Hit(*strike);
    Arm();
  }

  // The core has been struck: of its last step not all was carried out.
  bool muted() const { return muted_; }

  // Also to be called once after the core was made.
  void Arm() {
    if (muted_) return;
    const absl::Time deadline = core_->NextDeadline();
    if (deadline == absl::InfiniteFuture() || deadline >= armed_) return;
    armed_ = deadline;
    // At least a little later, so that time moves on even if a core is due for ever.
    process_->Later(std::max(deadline - process_->now(), absl::Microseconds(1)), [this, deadline] {
      if (armed_ != deadline) return;  // an earlier one was armed since, and has armed again
      armed_ = absl::InfiniteFuture();
      if (muted_) return;
      if (core_->NextDeadline() <= process_->now()) {
        Step(wake_);
      } else {
        Arm();
      }
    });
  }

 private:
  std::optional<Strike> At(Bite moment) {
    if (moment == Bite::kCount || process_->stopping()) return std::nullopt;
    return world_->strikes.At(moment);
  }

  void Hit(const Strike& strike) {
    process_->Later(strike.when == Strike::When::kSoonAfter ? strike.delay : absl::ZeroDuration(),
                    [world = world_, process = process_, strike] {
                      world->faults.Add(strike.moment);
                      world->strikes.hit(process, strike);
                    });
  }

  World* world_;
  Process* process_;
  Core* core_;
  Event wake_;
  std::function<void(std::vector<Effect>)> carry_out_;
  absl::Time armed_ = absl::InfiniteFuture();
  bool muted_ = false;
};

}  // namespace tessera::sim
