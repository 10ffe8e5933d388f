// A core with all that is around it in every service: its strand, and what is done about effects.
//
//   any thread ──Push──▶ strand ── core ──effects──▶ carrier ──▶ streams, calls, disks, containers
//                          ▲                                                    │
//                          └──────────────PushReserved, PushUrgent──────────────┘
//
// The shell owns the core and steps it on its strand (strand.h). The service gives the carrier:
//
//   void Do(Kind& effect);          one for each kind of effect, but for base::Note
//   void Flush();                   after the effects of a batch: what was gathered goes out
//   void AfterBatch(absl::Time now, const Core& core);
//                                   after each batch, with or without effects: a view is published
//
// A kind without a Do() does not compile, nor does a carrier with a Do() for whatever comes, nor
// one without the two hooks: a misspelt one would be passed over. Do() must not block for long:
// what takes time is handed on, and its answer comes back as an event. base::Note is written to the
// log here. Steps and effects are counted by kind.
//
// Invariants, beside those of the strand: the first event is stepped before all others; effects are
// carried out in their order, on the strand, after the steps of their batch and before those of the
// next one; once Stop() has returned no effect is carried out and no event accepted, by a door
// either.
//
// Threads: Start and Stop from the owner, one after the other; everything else from any thread. The
// carrier is called on the strand only, and outlives Stop().
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/base/log_setup.h"
#include "services/base/note.h"
#include "services/rpc/clock.h"
#include "services/rpc/error.h"
#include "services/rpc/kind_counts.h"
#include "services/rpc/strand.h"

namespace tessera::rpc {

// Core as of Strand; Event and Effect are variants. A carrier that keeps its Do()s to itself makes
// the shell its friend.
template <typename Core, typename Event, typename Effect, typename Carrier>
class Shell {
 public:
  // The way in for those who may call when the shell has gone: callbacks of streams and calls.
  class Door {
   public:
    explicit Door(Shell* shell) : shell_(shell) {}

    // As the shell's own; UNAVAILABLE and false once it has stopped.
    absl::Status Push(Event event, size_t lane = 0, size_t bytes = 0) {
      absl::ReaderMutexLock lock(&mu_);
      if (shell_ == nullptr) return absl::UnavailableError("the service has stopped");
      return shell_->Push(std::move(event), lane, bytes);
    }
    bool PushReserved(Event event) {
      absl::ReaderMutexLock lock(&mu_);
      return shell_ != nullptr && shell_->PushReserved(std::move(event));
    }
    bool PushUrgent(Event event) {
      absl::ReaderMutexLock lock(&mu_);
      return shell_ != nullptr && shell_->PushUrgent(std::move(event));
    }

   private:
    friend class Shell;
    void Lock() {
      absl::MutexLock lock(&mu_);
      shell_ = nullptr;
    }

    absl::Mutex mu_;
    Shell* shell_ ABSL_GUARDED_BY(mu_);
  };

  // `options.name` is the service's: it names the thread and stands in refusals. `wake` is the
  // event sent when the core's deadline has passed.
  Shell(StrandOptions options, Clock clock, Event wake, Carrier* carrier)
      : name_(options.name),
        carrier_(carrier),
        door_(std::make_shared<Door>(this)),
        strand_(
            std::move(options), &stepper_, std::move(clock), std::move(wake),
            [this](absl::Time, std::vector<Effect> effects) { CarryOut(std::move(effects)); },
            [this](absl::Time now, const Stepper& stepper) {
              carrier_->AfterBatch(now, *stepper.core);
            }) {}
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;
  ~Shell() { Stop(); }

  // Each kind of effect has a Do(), and nothing else has.
  static constexpr bool CarriesAll() { return Carries(static_cast<Effect*>(nullptr)); }

  // Steps the core from here on: `first` before all that is accepted.
  void Start(std::unique_ptr<Core> core, Event first) {
    stepper_.core = std::move(core);
    strand_.PushUrgent(std::move(first));
    Open();
  }
  // The same for a core that waits for what comes.
  void Start(std::unique_ptr<Core> core) {
    stepper_.core = std::move(core);
    Open();
  }

  // Refuses what comes by Push() from here on; answers to effects are still taken. True: it was
  // taken until now.
  bool Close() {
    Phase open = Phase::kOpen;
    return phase_.compare_exchange_strong(open, Phase::kClosed);
  }

  // Steps what has been accepted, carries out the effects, and joins the thread. May be repeated.
  void Stop() {
    phase_.store(Phase::kStopped);
    door_->Lock();
    strand_.Stop();
  }

  // Accepts an event from outside, of so many bytes as its sender counts. UNAVAILABLE before
  // Start() and after Close(); OVERLOADED when its lane is full.
  absl::Status Push(Event event, size_t lane = 0, size_t bytes = 0) {
    if (phase_.load() != Phase::kOpen) {
      return absl::UnavailableError(absl::StrCat("the ", name_, " starts or stops"));
    }
    if (strand_.Push(std::move(event), lane, bytes)) return absl::OkStatus();
    return Overloaded(absl::StrCat("the ", name_, "'s queue of events"));
  }

  // Accepts an event that must not be lost: the answer to an effect, or the end of a session. What
  // comes before Start() waits for it. False: the shell stops.
  bool PushReserved(Event event) { return strand_.PushReserved(std::move(event)); }

  // The same for what must not wait behind a long queue. False: the shell stops, or has not
  // started.
  bool PushUrgent(Event event) {
    return phase_.load() != Phase::kNew && strand_.PushUrgent(std::move(event));
  }

  // Runs `look` on the strand between two batches and waits for it; not from the carrier, and not
  // on hot paths. False: the shell has not started or has stopped, and nothing was looked at.
  bool Inspect(absl::FunctionRef<void(const Core&)> look) {
    const Phase phase = phase_.load();
    if (phase == Phase::kNew || phase == Phase::kStopped) return false;
    strand_.Inspect([&](const Stepper& stepper) { look(*stepper.core); });
    return true;
  }

  // For callbacks that may come when the shell has gone.
  std::shared_ptr<Door> door() const { return door_; }

  const StrandMetrics& metrics() const { return strand_.metrics(); }
  // Events that the core was stepped through, and effects carried out, since the start.
  std::vector<KindCount> StepCounts() const { return stepper_.counts.Read(); }
  std::vector<KindCount> EffectCounts() const { return effects_.Read(); }

 private:
  enum class Phase { kNew, kOpen, kClosed, kStopped };

  // The core as the strand sees it.
  struct Stepper {
    void Step(absl::Time now, const Event& event, std::vector<Effect>* effects) {
      counts.Count(event);
      core->Step(now, event, effects);
    }
    absl::Time NextDeadline() const { return core->NextDeadline(); }

    std::unique_ptr<Core> core;
    KindCounts<Event> counts;
  };

  // Stands for a kind that nobody thought of.
  struct Stranger {};

  template <typename Kind>
  static constexpr bool HasDo() {
    return requires(Carrier & carrier, Kind & effect) { carrier.Do(effect); };
  }
  // A note has its way already; two would be one that is never gone.
  template <typename... Kinds>
  static constexpr bool Carries(std::variant<Kinds...>*) {
    return ((HasDo<Kinds>() != std::is_same_v<Kinds, base::Note>)&&...) && !HasDo<Stranger>();
  }

  void Open() {
    static_assert(CarriesAll(), "an effect has no Do(), or a Do() takes whatever comes");
    phase_.store(Phase::kOpen);
    strand_.Start();
  }

  void CarryOut(std::vector<Effect> effects) {
    for (Effect& effect : effects) {
      effects_.Count(effect);
      std::visit([this](auto& kind) { CarryOutOne(kind); }, effect);
    }
    carrier_->Flush();
  }

  template <typename Kind>
  void CarryOutOne(Kind& effect) {
    if constexpr (std::is_same_v<Kind, base::Note>) {
      base::Log(effect);
    } else {
      carrier_->Do(effect);
    }
  }

  const std::string name_;
  Carrier* const carrier_;
  std::atomic<Phase> phase_{Phase::kNew};
  Stepper stepper_;
  KindCounts<Effect> effects_;
  const std::shared_ptr<Door> door_;
  Strand<Stepper, Event, Effect> strand_;
};

}  // namespace tessera::rpc
