// The agent's side of its session with the masters: whom to dial and when, which link counts, and
// which epoch is obeyed.
//
// Invariants: at most one link is current; link numbers are never reused; the epoch only grows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/wire_time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/rpc/error.h"
#include "services/rpc/leader_finder.h"

namespace tessera::agent {

class MasterSession {
 public:
  MasterSession(const AgentConfig& config, base::Rng rng)
      : backoff_min_(config.dial_backoff_min),
        backoff_({config.dial_backoff_min, config.dial_backoff_max}),
        ping_timeout_(config.ping_timeout),
        finder_(config.masters),
        rng_(rng) {}

  // The wait before the very first dial: agents that start together do not come together.
  absl::Duration FirstWait() { return backoff_min_ * rng_.Unit(); }

  const std::string& address() const { return finder_.address(); }

  // A new link to address(), which becomes the current one.
  uint64_t Open() {
    registered_ = false;
    return link_ = ++last_link_;
  }

  bool IsCurrent(uint64_t link) const { return link != 0 && link == link_; }
  uint64_t link() const { return link_; }
  bool registered() const { return registered_; }

  void Registered() {
    registered_ = true;
    backoff_.Reset();
    finder_.Succeeded();
  }

  // The current link failed or was given up. Returns how long to wait before the next dial.
  absl::Duration Failed(const absl::Status& status) {
    link_ = 0;
    registered_ = false;
    // A hint is followed at once, give or take a little.
    absl::Duration wait =
        finder_.Failed(status) ? backoff_min_ * 0.2 * rng_.Unit() : backoff_.Next(rng_);
    if (const auto detail = rpc::DetailOf(status);
        detail.has_value() && detail->has_retry_after()) {
      const absl::Duration asked =
          std::clamp(FromDuration(detail->retry_after()), absl::ZeroDuration(), absl::Minutes(5));
      wait = std::max(wait, asked * (1.0 + 0.2 * rng_.Unit()));
    }
    return wait;
  }

  absl::Duration ping_timeout() const { return ping_timeout_; }
  void set_ping_timeout(absl::Duration timeout) { ping_timeout_ = timeout; }

  uint64_t highest_epoch() const { return highest_epoch_; }
  // True when the epoch is higher than any before.
  bool RaiseEpoch(uint64_t epoch) {
    if (epoch <= highest_epoch_) return false;
    highest_epoch_ = epoch;
    return true;
  }

 private:
  const absl::Duration backoff_min_;
  base::Backoff backoff_;
  absl::Duration ping_timeout_;
  rpc::LeaderFinder finder_;
  base::Rng rng_;
  uint64_t link_ = 0;
  uint64_t last_link_ = 0;
  bool registered_ = false;
  uint64_t highest_epoch_ = 0;
};

}  // namespace tessera::agent
