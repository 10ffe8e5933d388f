// What one Step has changed in the tables: keys, and of what leaves the tables the row that it was.
// The one place where changes are noted; what readers are told is made of it when the Step ends, by
// FeedView.
//
// Invariant: a key is noted once, however often its row changes in a Step.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "services/feed/rows.h"
#include "services/master/core/indexes.h"
#include "services/model/incarnation.h"

namespace tessera::master {

class Ledger {
 public:
  struct TaskNote {
    std::shared_ptr<const feed::TaskFacts> facts;
    // Readers do not have it yet; these are the statuses that they get with it.
    bool fresh = false;
    std::vector<feed::StatusPtr> history;
    // Added since, oldest first.
    std::vector<feed::StatusPtr> statuses;
    feed::pb::TaskState state = feed::pb::TASK_STATE_UNSPECIFIED;
    // Where it stands; nothing: it is forgotten.
    std::optional<feed::TaskPlace> place;
    bool moved = false;
  };
  struct ExecutorNote {
    feed::ExecutorPtr row;
    bool fresh = false;
    bool there = false;
  };
  // All that is noted; in the order of the keys.
  struct Notes {
    absl::btree_set<std::string> agents;
    absl::btree_set<std::string> frameworks;
    absl::btree_set<std::string> roles;
    // Whether it was made in this Step.
    absl::btree_map<OfferNumber, bool> offers;
    absl::btree_map<model::Incarnation, TaskNote> tasks;
    absl::btree_map<model::Incarnation, ExecutorNote> executors;

    bool empty() const {
      return agents.empty() && frameworks.empty() && roles.empty() && offers.empty() &&
             tasks.empty() && executors.empty();
    }
  };

  // A row with this id came, changed or went.
  void AgentChanged(const std::string& id) { notes_.agents.insert(id); }
  void FrameworkChanged(const std::string& id) { notes_.frameworks.insert(id); }
  void RoleChanged(const std::string& name) { notes_.roles.insert(name); }

  void OfferAdded(OfferNumber number) { notes_.offers[number] = true; }
  void OfferRemoved(OfferNumber number) { notes_.offers.try_emplace(number, false); }

  void ExecutorAdded(feed::ExecutorPtr row) {
    ExecutorNote& note = notes_.executors[row->incarnation];
    note.fresh = true;
    note.there = true;
    note.row = std::move(row);
  }
  void ExecutorRemoved(feed::ExecutorPtr row) {
    ExecutorNote& note = notes_.executors[row->incarnation];
    note.there = false;
    note.row = std::move(row);
  }

  // A task is booked, or booked anew.
  void TaskAdded(std::shared_ptr<const feed::TaskFacts> facts, feed::pb::TaskState state,
                 std::vector<feed::StatusPtr> history) {
    TaskNote& note = notes_.tasks[facts->incarnation];
    note = {std::move(facts), true, std::move(history), {}, state, feed::TASK_PLACE_ACTIVE, false};
  }
  void TaskStatus(const std::shared_ptr<const feed::TaskFacts>& facts, feed::pb::TaskState state,
                  feed::StatusPtr status) {
    TaskNote& note = NoteOf(facts);
    note.state = state;
    note.statuses.push_back(std::move(status));
  }
  // Nothing: it is forgotten.
  void TaskMoved(const std::shared_ptr<const feed::TaskFacts>& facts,
                 std::optional<feed::TaskPlace> place) {
    TaskNote& note = NoteOf(facts);
    note.place = place;
    note.moved = true;
  }

  // What was noted since the last time.
  Notes Take() { return std::exchange(notes_, {}); }

 private:
  TaskNote& NoteOf(const std::shared_ptr<const feed::TaskFacts>& facts) {
    auto [note, first] = notes_.tasks.try_emplace(facts->incarnation);
    if (first) {
      note->second.facts = facts;
      note->second.place = feed::TASK_PLACE_ACTIVE;
    }
    return note->second;
  }

  Notes notes_;
};

}  // namespace tessera::master
