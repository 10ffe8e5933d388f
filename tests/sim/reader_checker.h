// Judges of what readers of the cluster's state are shown.
//
// What masters published is the truth about what was the case when, kept by an independent model
// (rows.h) and held against the masters' books elsewhere (books_view.h). What a watcher of a
// state-svc collected, by a model of its own of the same kind, is held against it by epoch and
// version. Nothing is known here of how the feed travels, nor of the tables of services/feed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "tests/sim/checkers.h"
#include "tests/sim/rows.h"

namespace tessera::sim {

// What masters published: the facts of each version; and when they last made a heartbeat.
class FeedTruth {
 public:
  explicit FeedTruth(Verdict* verdict) : verdict_(verdict) {}

  // Keeps all rows of all versions, to say which one differs. Costs much.
  void KeepRows() { keeps_rows_ = true; }
  void Published(const Rows& rows);
  // A reader is shown this.
  void Shown(const std::string& reader, const Rows& rows);
  // A master that leads has shown that it does.
  void HeartbeatMade(absl::Time now) { last_heartbeat_ = now; }
  // A reader takes itself for up to date at `now`, because it believes that a master's newest
  // heartbeat was made then.
  void SaysFresh(const std::string& reader, absl::Time believed, absl::Time now);
  // How many times a reader's facts were held against a master's.
  uint64_t compared() const { return compared_; }

 private:
  struct Epoch {
    uint64_t newest = 0;
    std::map<uint64_t, uint64_t> facts;
    std::map<uint64_t, Rows> rows;
  };
  Verdict* verdict_;
  bool keeps_rows_ = false;
  std::map<uint64_t, Epoch> epochs_;
  absl::Time last_heartbeat_ = absl::InfinitePast();
  uint64_t compared_ = 0;
};

// For one who collects the state: versions only grow within an epoch and epochs never go down;
// every change fits; no task comes back from a terminal state within an epoch; a reader is shown
// what a master had.
class ReaderChecker {
 public:
  enum class Role {
    // Its word is the truth.
    kMaster,
    kReader,
  };
  ReaderChecker(Verdict* verdict, FeedTruth* truth, std::string name, Role role)
      : verdict_(verdict), truth_(truth), name_(std::move(name)), role_(role) {}

  // A new life, which knows nothing.
  void Restarted();
  // A master begins an epoch, with nothing.
  void Begin(uint64_t epoch);
  // The next version. With `first` of a row of them, or after Begin, its changes are all there is.
  void Delta(uint64_t epoch, const state::v1::Delta& delta);
  // A part of a snapshot.
  void Chunk(uint64_t epoch, const state::v1::SnapshotChunk& chunk);

  // What was collected; of a snapshot, when it is whole.
  const Rows& rows() const { return rows_; }
  bool has_state() const { return has_state_; }

 private:
  void Apply(const state::v1::Change& change, Rows* rows);
  void See(const Rows::Key& key, model::v1::TaskState state);
  void Compare();

  Verdict* verdict_;
  FeedTruth* truth_;
  const std::string name_;
  const Role role_;
  bool has_state_ = false;
  Rows rows_;
  // The snapshot that is coming.
  Rows incoming_;
  bool receiving_ = false;
  // Tasks that were shown as ended in this epoch.
  std::set<Rows::Key> ended_;
};

}  // namespace tessera::sim
