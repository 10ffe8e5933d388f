// How a feed is served, and what is counted of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace tessera::feed {

struct FeedOptions {
  // Deltas kept for followers that come back or lag: at most about this many bytes, with all that
  // is kept beside them.
  size_t history_bytes_max = 64 << 20;
  // Changes that may wait for the publisher's thread. Beyond it Publish() waits, because nothing
  // may be lost, but never for followers: for as long as it takes to apply some ten thousand
  // changes.
  size_t queue_changes_max = 1 << 20;
  // Followers at a time; more are refused with RESOURCE_EXHAUSTED (OVERLOADED).
  size_t followers_max = 4096;
  // Objects in one chunk of a snapshot.
  size_t chunk_changes = 512;
  // A follower that does not take one message for this long is ended.
  absl::Duration write_timeout = absl::Seconds(30);
  // A follower that falls out of the log while it is sent a snapshot gets another one, this many
  // times in a row.
  int snapshots_in_a_row_max = 3;
  // For those who play a master and have no core that makes heartbeats: how often one is made while
  // there is a state, the first one with the state.
  absl::Duration heartbeat_interval = absl::InfiniteDuration();
};

// Plain counters for metrics.
struct FeedCounters {
  uint64_t epoch = 0;
  uint64_t version = 0;
  uint64_t deltas = 0;
  uint64_t changes = 0;
  // Changes that named something unknown, and updates of a lower epoch; nothing came of them.
  uint64_t changes_ignored = 0;
  uint64_t updates_refused = 0;
  // Times that Publish() had to wait.
  uint64_t publish_waits = 0;
  uint64_t queue_changes = 0;
  uint64_t followers = 0;
  uint64_t followers_total = 0;
  uint64_t followers_resumed = 0;
  uint64_t snapshots_started = 0;
  uint64_t slow_followers_ended = 0;
  uint64_t history_bytes = 0;
  uint64_t history_deltas = 0;
  uint64_t messages_sent = 0;
  uint64_t bytes_sent = 0;
  // Bytes of deltas serialised, each counted once.
  uint64_t bytes_serialised = 0;
  // The longest lag of a follower behind the newest version, in versions.
  uint64_t follower_lag_max = 0;
  // Times that a stream which waited was woken.
  uint64_t streams_woken = 0;
};

}  // namespace tessera::feed
