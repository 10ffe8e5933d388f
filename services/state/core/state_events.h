// What goes into the core of state-svc and what comes out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "services/auth/caller.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/feed/wire/codec.h"

namespace tessera::state {

// ---- events -------------------------------------------------------------------------------------

// The service runs: follow.
struct Started {};

// A message of the stream that DialFeed opened under this number.
struct FeedMessage {
  uint64_t stream = 0;
  // Handed on with what the effect tells, and not looked at any more: it may be large.
  std::shared_ptr<feed::FeedPiece> piece;
};

// The stream is over, or could not be opened. Comes once for each DialFeed.
struct FeedEnded {
  uint64_t stream = 0;
  absl::Status status;
};

// The deadline has passed.
struct Wake {};

using StateEvent = std::variant<Started, FeedMessage, FeedEnded, Wake>;
// Readers take snapshots and are no events: what comes in is the feed that this service dialled.
static_assert(auth::kCarriesCallers<StateEvent, Started, FeedMessage, FeedEnded, Wake>);

// ---- effects ------------------------------------------------------------------------------------

// Opens Follow(epoch, from_version) at `address`.
struct DialFeed {
  uint64_t stream = 0;
  std::string address;
  uint64_t epoch = 0;
  uint64_t from_version = 0;
};

// Ends the stream; its FeedEnded may still come and is ignored.
struct CloseFeed {
  uint64_t stream = 0;
  absl::Status reason;
};

// The next change of the state, without gaps: the piece's delta.
struct PublishDelta {
  uint64_t epoch = 0;
  std::shared_ptr<feed::FeedPiece> piece;
};

// A part of a new state that replaces the old one when it is complete: the piece's part.
struct PublishPart {
  uint64_t epoch = 0;
  std::shared_ptr<feed::FeedPiece> piece;
};

// The leading master made this after everything published so far. Comes once for each.
struct PublishHeartbeat {
  feed::LeaderHeartbeat heartbeat;
};

using StateEffect = std::variant<DialFeed, CloseFeed, PublishDelta, PublishPart, PublishHeartbeat>;
using StateEffects = std::vector<StateEffect>;

}  // namespace tessera::state
