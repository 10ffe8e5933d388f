// Processes and the streams between them, on virtual time.
//
// A Process can crash, or stop in an orderly way, and start again; everything that was meant for an
// earlier life of it is dropped. Each life has its own idea of the time of day. A Wire is a stream
// between two processes: messages of one direction arrive in order, after a random delay each; a
// wire can break at any time, and then what is on its way is lost and each end learns of it some
// time later. When a process crashes, some of what it said before may still arrive: the kernel
// sends it. A wire can also fall silent, in one direction or in both, as when a cable is pulled or
// a route is wrong: nothing arrives and nothing is refused, until the keepalive of an end gives it
// up, or the network is healed first and all arrives late. A unary call is a wire with one message
// each way.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/rng.h"
#include "tests/sim/event_loop.h"
#include "tests/sim/faults.h"

namespace tessera::sim {

struct NetworkOptions {
  absl::Duration delay_min = absl::Microseconds(100);
  absl::Duration delay_mean = absl::Milliseconds(2);
  // How long it takes an end to notice that a wire broke, at most.
  absl::Duration notice_max = absl::Seconds(5);
  // How long it takes an end to notice that a wire is silent: its keepalive.
  absl::Duration keepalive_min = absl::Seconds(10);
  absl::Duration keepalive_max = absl::Seconds(90);
  // How long a connection is tried where nothing answers.
  absl::Duration connect_timeout = absl::Seconds(5);
};

class Wire;

// One simulated process: an address, alive or not.
class Process {
 public:
  Process(EventLoop* loop, std::string name) : loop_(loop), name_(std::move(name)) {}
  virtual ~Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return name_; }
  bool up() const { return up_; }
  uint64_t life() const { return life_; }
  EventLoop& loop() { return *loop_; }
  // What time this life takes it for: its clock was read once, when it started, and runs on evenly.
  absl::Time now() const { return loop_->now() + clock_error_; }
  // Of lives that start from now on.
  void SetClockError(absl::Duration error) { next_clock_error_ = error; }
  absl::Duration clock_error() const { return clock_error_; }

  void Start() {
    if (up_) return;
    up_ = true;
    ++life_;
    clock_error_ = next_clock_error_;
    loop_->Note(name_, life_);
    OnStart();
  }
  // kill -9: nothing is said to anybody.
  void Crash() {
    if (!up_) return;
    stopping_ = false;
    ended_ = nullptr;
    End();
  }
  // SIGTERM: it says goodbye first. `ended` runs once it is down; never if it crashes before.
  void Stop(std::function<void()> ended) {
    if (!up_ || stopping_) return;
    stopping_ = true;
    ended_ = std::move(ended);
    loop_->Note("stop", life_);
    OnStop();
  }
  // It was asked to stop and is on its way.
  bool stopping() const { return stopping_; }

  // Runs `action` later if the process is still in the same life then.
  void Later(absl::Duration delay, std::function<void()> action) {
    loop_->After(delay, [this, life = life_, action = std::move(action)] {
      if (up_ && life_ == life) action();
    });
  }

 protected:
  virtual void OnStart() = 0;
  // Says goodbye and calls Finish, at once or later; never from within a step of its core.
  virtual void OnStop() { Finish(); }
  // The process is gone; stopping() says whether it ended in an orderly way.
  virtual void OnEnd() = 0;

  // A process that stops has said all; of no effect on another one.
  void Finish() {
    if (!up_ || !stopping_) return;
    End();
    stopping_ = false;
    if (const auto ended = std::exchange(ended_, nullptr)) ended();
  }

 private:
  void End() {
    up_ = false;
    loop_->Note(name_, ~life_);
    OnEnd();
  }

  EventLoop* loop_;
  std::string name_;
  bool up_ = false;
  bool stopping_ = false;
  std::function<void()> ended_;
  uint64_t life_ = 0;
  absl::Duration clock_error_;
  absl::Duration next_clock_error_;
};

// What an end of a wire hears.
struct WireEnd {
  Process* process = nullptr;
  // The wire is over, for this reason; once.
  std::function<void(const absl::Status&)> on_closed;
};

class Network;

class Wire : public std::enable_shared_from_this<Wire> {
 public:
  Wire(Network* network, WireEnd first, WireEnd second);

  // Delivers `action` at the other end, after everything that was sent before it.
  void Send(const Process* from, std::function<void()> action);
  // The end of `from` closes the wire: the other end hears `status` after everything sent before;
  // `from` itself hears it at once.
  void Close(const Process* from, const absl::Status& status);
  // The network cuts the wire: both ends hear UNAVAILABLE some time later.
  void Break();
  // The process at this end has crashed: what it said up to some moment still arrives, then the
  // wire breaks.
  void BreakAfterWords(const Process* from);
  // Nothing passes any more; each end hears UNAVAILABLE when its keepalive finds out.
  void Silence();
  // Nothing passes from here any more, the other direction does; keepalives need both.
  void SilenceFrom(const Process* from);
  // The network passes what it held back, unless an end has given the wire up or is gone: then the
  // wire breaks. Of no effect on a wire that is not silent.
  void Resume();

  bool open() const { return open_; }
  bool Touches(const Process* process) const {
    return ends_[0].process == process || ends_[1].process == process;
  }
  bool Between(const Process* a, const Process* b) const { return Touches(a) && Touches(b); }

 private:
  int IndexOf(const Process* process) const { return ends_[0].process == process ? 0 : 1; }
  bool Lives(int end) const {
    return ends_[end].process->up() && ends_[end].process->life() == lives_[end];
  }
  // Runs `action` when a message sent now arrives at this end.
  void Arrive(int to, std::function<void()> action);
  void GiveUp(int end);
  void Tell(int end, const absl::Status& status);

  Network* network_;
  WireEnd ends_[2];
  uint64_t lives_[2];
  absl::Time last_[2];  // delivery of the newest message towards each end
  bool open_ = true;
  bool told_[2] = {false, false};
  bool silent() const { return silent_[0] || silent_[1]; }
  void Silence(bool first, bool second);

  // Towards each end.
  bool silent_[2] = {false, false};
  // A wire that has broken still delivers what arrives until then.
  absl::Time words_until_[2] = {absl::InfinitePast(), absl::InfinitePast()};
  // What arrived while the wire was silent, in order.
  std::deque<std::function<void()>> held_;
};

class Network {
 public:
  // `faults` counts what hurt.
  Network(EventLoop* loop, base::Rng rng, NetworkOptions options, FaultCounts* faults)
      : loop_(loop), rng_(rng), options_(options), faults_(faults) {}

  // A stream from `first` to `second`; null when `second` is down or cut off, in which case
  // first.on_closed hears UNAVAILABLE later.
  std::shared_ptr<Wire> Connect(WireEnd first, WireEnd second);

  absl::Duration Delay() {
    return options_.delay_min +
           absl::Seconds(rng_.Exponential(absl::ToDoubleSeconds(options_.delay_mean)));
  }
  absl::Duration NoticeDelay() { return options_.notice_max * rng_.Unit(); }
  absl::Duration KeepaliveDelay() {
    return options_.keepalive_min + (options_.keepalive_max - options_.keepalive_min) * rng_.Unit();
  }

  // The process has ended: all its wires break, or are closed if it stopped in an orderly way.
  void Drop(const Process* process);
  // The process has ended and nobody is told: all its wires are silent for good.
  void Vanish(const Process* process);
  // Breaks one wire chosen at random among those in use, or makes it silent for good; false when
  // there is none.
  bool BreakOne(bool silently);
  // Breaks all wires of a process that lives on.
  void BreakAllOf(const Process* process);
  enum class Parting {
    // Connections break and are refused.
    kRefusing,
    // Nothing arrives and nobody is told.
    kSilent,
    // Nothing of `a` arrives at `b`, silently; what `b` says arrives at `a`.
    kOneWay,
  };
  // Until Heal, nothing passes between the two.
  void Partition(const Process* a, const Process* b, Parting parting);
  void Heal();

  EventLoop& loop() { return *loop_; }
  base::Rng& rng() { return rng_; }
  FaultCounts* faults() { return faults_; }

 private:
  struct Partitioned {
    const Process* a;
    const Process* b;
    Parting parting;
  };

  const Partitioned* PartingOf(const Process* a, const Process* b) const;
  // A wire on which something may still be said.
  bool InUse(const Wire& wire) const;
  void Forget();

  EventLoop* loop_;
  base::Rng rng_;
  NetworkOptions options_;
  FaultCounts* faults_;
  std::vector<std::shared_ptr<Wire>> wires_;
  size_t forget_at_ = 0;
  std::vector<Partitioned> partitions_;
};

}  // namespace tessera::sim
