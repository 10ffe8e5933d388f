// Client channels with the settings that every Tessera client uses.
//
// A channel reconnects by itself, with jittered exponential back-off between the bounds given here;
// keepalive finds a dead peer in keepalive_time + keepalive_timeout.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
}

namespace tessera::rpc {

struct ChannelOptions {
  // A ping after this much silence. Not below what servers allow (Server::Options).
  absl::Duration keepalive_time = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // Largest message in either direction, in bytes.
  int message_bytes_max = 64 << 20;
  absl::Duration reconnect_initial = absl::Milliseconds(100);
  absl::Duration reconnect_max = absl::Seconds(5);
  // A connection of its own for this channel instead of one that channels to one address share.
  bool own_connection = false;
};

// `address`: `host:port`, `[v6]:port` or `unix:/path`. Does not connect yet and does not fail: a
// wrong address shows when it is dialled, as UNAVAILABLE.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const ChannelOptions& options = {});

// Waits until the channel is connected. DEADLINE_EXCEEDED names the address when it is not in time.
absl::Status WaitForConnected(grpc::Channel& channel, const std::string& address,
                              absl::Duration timeout);

}  // namespace tessera::rpc
