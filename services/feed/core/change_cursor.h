// Tells a snapshot as changes, in pieces, so that a follower can build the same state.
//
// Order: cluster, roles, agents, then each framework with its tasks and executors, then offers;
// what a change names has always come before it.
//
// Threads: a cursor belongs to one thread at a time; the snapshot is shared.
#pragma once

#include <cstddef>
#include <string>

#include "services/feed/core/snapshot.h"

namespace tessera::feed {

class ChangeCursor {
 public:
  explicit ChangeCursor(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {}

  // Appends up to `max` changes, fewer when they are large. False when nothing is left after them.
  bool Next(size_t max, google::protobuf::RepeatedPtrField<v1::Change>* changes);

  const SnapshotPtr& snapshot() const { return snapshot_; }

 private:
  enum class Stage { kCluster, kRoles, kAgents, kFrameworks, kOffers, kDone };
  enum class Part { kRecord, kTasks, kUnreachable, kCompleted, kExecutors, kEnd };

  // Goes on in the map after key_ until `max` changes are there; true when the map is at its end.
  template <typename Map, typename Tell>
  bool GoOn(const Map& map, size_t max, const google::protobuf::RepeatedPtrField<v1::Change>& told,
            Tell tell);
  bool TellFrameworks(size_t max, google::protobuf::RepeatedPtrField<v1::Change>* changes);
  bool TellFramework(const Framework& framework, size_t max,
                     google::protobuf::RepeatedPtrField<v1::Change>* changes);

  // Whether the piece has all that it may have.
  bool IsFull(size_t max, const google::protobuf::RepeatedPtrField<v1::Change>& told) const;

  SnapshotPtr snapshot_;
  Stage stage_ = Stage::kCluster;
  // The last key told of the map that the stage (or the part of a framework) goes through.
  std::string key_;
  bool has_key_ = false;
  std::string framework_id_;
  bool has_framework_ = false;
  Part part_ = Part::kRecord;
  // Bytes of the piece that is being told.
  size_t bytes_ = 0;
};

}  // namespace tessera::feed
