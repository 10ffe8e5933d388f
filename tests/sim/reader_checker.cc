#include "tests/sim/reader_checker.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/state/core/change_cursor.h"
#include "services/state/core/recompute.h"

namespace tessera::sim {

namespace {

constexpr uint64_t kCompareEvery = 16;
// A reader may call itself up to date for so long after the last heartbeat of a master: what
// state-svcs are configured with.
constexpr absl::Duration kFreshBound = absl::Seconds(20);
// What a heartbeat may spend on wires, which nobody can tell.
constexpr absl::Duration kOnTheWay = absl::Seconds(5);

// FNV-1a over words and strings.
class Facts {
 public:
  void Add(uint64_t value) { hash_ = (hash_ ^ value) * 1099511628211u; }
  void Add(std::string_view text) {
    for (const char c : text) Add(static_cast<uint64_t>(static_cast<unsigned char>(c)));
    Add(text.size());
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 14695981039346656037u;
};

void AddTask(const std::string& id, const state::Task& task, Facts* facts) {
  facts->Add(id);
  facts->Add(static_cast<uint64_t>(task.place));
  facts->Add(static_cast<uint64_t>(task.rest.state()));
  facts->Add(static_cast<uint64_t>(task.rest.statuses_size()));
  if (task.rest.statuses().empty()) return;
  const auto& last = *task.rest.statuses().rbegin();
  facts->Add(static_cast<uint64_t>(last.state()));
  facts->Add(last.uuid());
}

// The snapshot as the changes that build it.
google::protobuf::RepeatedPtrField<state::v1::Change> ChangesOf(const state::Snapshot& snapshot) {
  google::protobuf::RepeatedPtrField<state::v1::Change> changes;
  state::ChangeCursor cursor(std::make_shared<const state::Snapshot>(snapshot));
  while (cursor.Next(1000, &changes)) {
  }
  return changes;
}

bool IsTerminal(model::v1::TaskState state) {
  switch (state) {
    case model::v1::TASK_FINISHED:
    case model::v1::TASK_FAILED:
    case model::v1::TASK_KILLED:
    case model::v1::TASK_ERROR:
    case model::v1::TASK_LOST:
    case model::v1::TASK_DROPPED:
    case model::v1::TASK_GONE:
    case model::v1::TASK_GONE_BY_OPERATOR:
      return true;
    default:
      return false;
  }
}

}  // namespace

uint64_t FactsOf(const state::Snapshot& snapshot) {
  Facts facts;
  snapshot.agents.ForEach([&](const auto& entry) {
    facts.Add(entry.key);
    if (entry.value.record == nullptr) return;
    facts.Add(static_cast<uint64_t>(entry.value.record->state()));
    facts.Add(static_cast<uint64_t>(entry.value.record->active()));
  });
  snapshot.frameworks.ForEach([&](const auto& entry) {
    const state::Framework& framework = entry.value;
    facts.Add(entry.key);
    facts.Add(static_cast<uint64_t>(framework.record->state()));
    for (const auto* tasks :
         {&framework.tasks, &framework.unreachable_tasks, &framework.completed_tasks}) {
      tasks->ForEach([&](const auto& task) { AddTask(task.key, task.value, &facts); });
    }
    framework.executors.ForEach([&](const auto& executor) { facts.Add(executor.key); });
  });
  snapshot.offers.ForEach([&](const auto& entry) {
    facts.Add(entry.key);
    facts.Add(entry.value);
  });
  snapshot.roles.ForEach([&](const auto& entry) { facts.Add(entry.key); });
  return facts.value();
}

std::string FirstDifference(const state::Snapshot& truth, const state::Snapshot& shown) {
  const auto expected = ChangesOf(truth), actual = ChangesOf(shown);
  bool same = expected.size() == actual.size();
  for (int i = 0; same && i < expected.size(); ++i) {
    same = expected[i].SerializeAsString() == actual[i].SerializeAsString();
  }
  if (same) return "";
  // Equal records can have different bytes; their texts are equal.
  for (int i = 0; i < expected.size() || i < actual.size(); ++i) {
    const std::string wanted = i < expected.size() ? expected[i].ShortDebugString() : "nothing";
    const std::string told = i < actual.size() ? actual[i].ShortDebugString() : "nothing";
    if (wanted != told) return absl::StrCat("shown: ", told, "; true: ", wanted);
  }
  return "";
}

void FeedTruth::Published(const state::Snapshot& snapshot) {
  Epoch& epoch = epochs_[snapshot.epoch];
  epoch.newest = snapshot.version;
  if (snapshot.version % kCompareEvery == 0) epoch.facts[snapshot.version] = FactsOf(snapshot);
}

void FeedTruth::Shown(const std::string& reader, const state::Snapshot& snapshot) {
  const auto epoch = epochs_.find(snapshot.epoch);
  if (epoch == epochs_.end() || snapshot.version > epoch->second.newest) {
    verdict_->Fail("readers see what a master had",
                   absl::StrCat(reader, " shows version ", snapshot.version, " of epoch ",
                                snapshot.epoch, ", which no master published"));
    return;
  }
  const auto facts = epoch->second.facts.find(snapshot.version);
  if (facts == epoch->second.facts.end()) return;
  ++compared_;
  if (facts->second == FactsOf(snapshot)) return;
  verdict_->Fail("readers see what a master had",
                 absl::StrCat(reader, " shows another state for version ", snapshot.version,
                              " of epoch ", snapshot.epoch, " than the master had"));
}

void FeedTruth::SaysFresh(const std::string& reader, absl::Time believed, absl::Time now) {
  if (believed > last_heartbeat_ + kOnTheWay) {
    verdict_->Fail("no reader thinks itself newer than it is",
                   absl::StrCat(reader, " believes that a master was heard ",
                                absl::FormatDuration(now - believed), " ago; the last one was ",
                                absl::FormatDuration(now - last_heartbeat_), " ago"));
  }
  if (now > last_heartbeat_ + kFreshBound + kOnTheWay) {
    verdict_->Fail(
        "readers know when the master is gone",
        absl::StrCat(reader, " says that it follows; the last heartbeat of a master was ",
                     absl::FormatDuration(now - last_heartbeat_), " ago"));
  }
}

void ReaderChecker::Restarted() {
  epoch_ = 0;
  version_ = 0;
  ended_.clear();
}

void ReaderChecker::Compare(const state::Snapshot& snapshot) {
  if (role_ == Role::kMaster) {
    truth_->Published(snapshot);
  } else {
    truth_->Shown(name_, snapshot);
  }
}

void ReaderChecker::See(const std::string& framework_id, const std::string& task_id,
                        model::v1::TaskState state) {
  const std::string name = absl::StrCat(framework_id, "/", task_id);
  if (IsTerminal(state)) {
    ended_.insert(name);
  } else if (ended_.contains(name)) {
    verdict_->Fail("ended tasks stay ended",
                   absl::StrCat(name_, " shows ", name, " as ", model::v1::TaskState_Name(state),
                                " in epoch ", epoch_, " after it had ended"));
  }
}

void ReaderChecker::Advanced(const state::Snapshot& snapshot,
                             const std::vector<TaskName>& touched) {
  if (snapshot.epoch != epoch_ || snapshot.version != version_ + 1) {
    verdict_->Fail("versions only grow",
                   absl::StrCat(name_, " shows version ", snapshot.version, " of epoch ",
                                snapshot.epoch, " after version ", version_, " of epoch ", epoch_));
  }
  version_ = snapshot.version;
  for (const TaskName& task : touched) {
    const state::Task* found = snapshot.FindTask(task.framework_id, task.task_id);
    if (found != nullptr) See(task.framework_id, task.task_id, found->rest.state());
  }
  Compare(snapshot);
}

void ReaderChecker::Replaced(const state::Snapshot& snapshot) {
  const bool newer =
      snapshot.epoch > epoch_ ||
      (role_ == Role::kReader && snapshot.epoch == epoch_ && snapshot.version >= version_);
  if (!newer) {
    verdict_->Fail("versions only grow",
                   absl::StrCat(name_, " goes back to version ", snapshot.version, " of epoch ",
                                snapshot.epoch, " from version ", version_, " of epoch ", epoch_));
  }
  if (snapshot.epoch != epoch_) ended_.clear();
  epoch_ = snapshot.epoch;
  version_ = snapshot.version;
  snapshot.frameworks.ForEach([&](const auto& framework) {
    for (const auto* tasks : {&framework.value.tasks, &framework.value.unreachable_tasks,
                              &framework.value.completed_tasks}) {
      tasks->ForEach(
          [&](const auto& task) { See(framework.key, task.key, task.value.rest.state()); });
    }
  });
  Compare(snapshot);
}

}  // namespace tessera::sim
