// Judges of what readers of the cluster's state are shown.
//
// The masters' publications are the truth about what was the case when; what a state-svc shows is
// held against it by epoch and version. Nothing is known here of how the feed travels.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/time/time.h"
#include "services/state/core/snapshot.h"
#include "tests/sim/checkers.h"

namespace tessera::sim {

// A number that stands for what the snapshot says of agents, frameworks, tasks with their states
// and statuses, offers and roles.
uint64_t FactsOf(const state::Snapshot& snapshot);

// Where the two first say something different, epochs and versions left aside; empty when they are
// the same in every record.
std::string FirstDifference(const state::Snapshot& truth, const state::Snapshot& shown);

// What masters published: the newest version of each epoch, and the facts of every 16th; and when
// they last made a heartbeat.
class FeedTruth {
 public:
  explicit FeedTruth(Verdict* verdict) : verdict_(verdict) {}

  void Published(const state::Snapshot& snapshot);
  // A reader is shown this.
  void Shown(const std::string& reader, const state::Snapshot& snapshot);
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
  };
  Verdict* verdict_;
  std::map<uint64_t, Epoch> epochs_;
  absl::Time last_heartbeat_ = absl::InfinitePast();
  uint64_t compared_ = 0;
};

struct TaskName {
  std::string framework_id;
  std::string task_id;
};

// For one service that shows the state: versions only grow within an epoch and epochs never go
// down; no task comes back from a terminal state within an epoch; a reader shows what a master had.
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
  // The state is one version on; these tasks may have changed.
  void Advanced(const state::Snapshot& snapshot, const std::vector<TaskName>& touched);
  // The state is another one.
  void Replaced(const state::Snapshot& snapshot);

 private:
  void See(const std::string& framework_id, const std::string& task_id, model::v1::TaskState state);
  void Compare(const state::Snapshot& snapshot);

  Verdict* verdict_;
  FeedTruth* truth_;
  const std::string name_;
  const Role role_;
  uint64_t epoch_ = 0;
  uint64_t version_ = 0;
  // Tasks that were shown as ended in this epoch, as "<framework>/<task>".
  std::unordered_set<std::string> ended_;
};

}  // namespace tessera::sim
