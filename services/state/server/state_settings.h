// The flags of state-svc as values, and the check of their fitting together. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/base/bytes.h"
#include "services/state/server/state_server.h"

namespace tessera::state {

struct StateSettings {
  std::string listen = "127.0.0.1:5080";
  std::string http_listen = "127.0.0.1:5081";
  std::string http_advertise;
  std::vector<std::string> feed;
  base::Bytes history_size = base::MiB(64);
  uint64_t followers_max = 4096;
  absl::Duration feed_timeout = absl::Seconds(20);
  absl::Duration slow_consumer_timeout = absl::Seconds(30);
  absl::Duration state_max_age = absl::Milliseconds(50);
  int http_threads = 2;
  int read_threads = 2;
  uint64_t seed = 1;
};

// INVALID_ARGUMENT names the flag, says what is wrong with it and what to write instead.
absl::StatusOr<StateServerOptions> OptionsFromSettings(const StateSettings& settings);

}  // namespace tessera::state
