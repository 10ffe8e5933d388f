// Tells, once, that what the recovery found is on disk: the boot id may be noted.
//
// The recovery is over when the core first shows so. What it found is durable once everything up to
// the persist before that is, however the two are told apart in time.
//
// Threads: Persisting and Recovered on the strand; Durable on the log's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace tessera::agent {

class RecoveryMark {
 public:
  // `on_durable` may be null. It comes on whichever thread told last.
  explicit RecoveryMark(std::function<void()> on_durable) : on_durable_(std::move(on_durable)) {}

  // This persist was handed to the log; ids grow.
  void Persisting(uint64_t id) { last_persist_ = id; }

  // The core has shown that the recovery is over. Only the first time counts.
  void Recovered() {
    if (awaited_ != kUnknown) return;
    awaited_ = last_persist_;
    TellWhenDurable();
  }

  // Everything up to this persist is on disk.
  void Durable(uint64_t id) {
    durable_ = id;
    TellWhenDurable();
  }

 private:
  static constexpr uint64_t kUnknown = ~uint64_t{0};

  // Each thread has written its own part before it reads the other's, so one of them sees both.
  void TellWhenDurable() {
    if (durable_ < awaited_ || told_.exchange(true)) return;
    if (on_durable_) on_durable_();
  }

  const std::function<void()> on_durable_;
  uint64_t last_persist_ = 0;
  std::atomic<uint64_t> awaited_{kUnknown};
  std::atomic<uint64_t> durable_{0};
  std::atomic<bool> told_{false};
};

}  // namespace tessera::agent
