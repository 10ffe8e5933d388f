// Rows and changes (services/feed/rows.h) from and to the bytes of StateFeedService.
//
// Descriptions, statuses and offers are copied as the bytes that they are. What is computed on is
// checked here, once, at the edge: a change that is malformed, or of a kind that this version does
// not know, is left out and counted; states and places of newer versions count as unspecified and
// active; resources that are refused count as none, and are counted.
//
// Pure. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/feed/rows.h"
#include "services/feed/wire/carried.pb.h"

namespace tessera::feed {

// The format of the feed that is written, and the newest that is read
// (docs/formats.md, "State feed").
inline constexpr uint32_t kFeedFormat = 1;

// Bytes that are made once and sent to many.
using EncodedPtr = std::shared_ptr<const std::string>;

// A heartbeat of the leading master as it travels: an age in place of a time, because clocks
// differ.
struct HeartbeatTold {
  // Grows within an epoch; above 0.
  uint64_t sequence = 0;
  absl::Duration age;
  // State-svcs that have handed it on.
  uint32_t hops = 0;
};

// A message of the feed. monostate: the feed lives, and nothing else.
struct FeedPiece {
  uint64_t epoch = 0;
  std::variant<std::monostate, SnapshotPart, Delta, HeartbeatTold> kind;
  // Changes that were left out, and resources that were.
  size_t malformed = 0;
};

// ---- to bytes; a serialised FollowResponse each -------------------------------------------------

std::string Encode(uint64_t epoch, const Delta& delta);
std::string Encode(uint64_t epoch, const SnapshotPart& part);
std::string Encode(uint64_t epoch, const HeartbeatTold& heartbeat);

// ---- from bytes ---------------------------------------------------------------------------------

// Takes the message over. FAILED_PRECONDITION: it is of a format that this version does not read,
// and says which one it needs.
absl::StatusOr<FeedPiece> Decode(wire::FollowResponse&& message);

// ---- changes by themselves ----------------------------------------------------------------------

void ToWire(const Change& change, wire::Change* message);

// False: nothing was appended, because the change is malformed or of an unknown kind. *malformed
// counts that, and resources that were refused.
bool FromWire(wire::Change&& message, std::vector<Change>* changes, size_t* malformed);

// A copy as the public message, for people and tests.
v1::Change ToPublic(const Change& change);

// The other way; nothing when the change is malformed or of no kind that is known.
std::optional<Change> FromPublic(const v1::Change& change);

// A task and a framework as clients see them; descriptions are taken apart. What is malformed is
// left out.
pb::TaskRecord ToRecord(const TaskRow& task);
pb::FrameworkRecord ToRecord(const FrameworkRow& framework);

}  // namespace tessera::feed
