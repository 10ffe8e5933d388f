#include "tests/sim/reader_checker.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace {

// A reader may call itself up to date for so long after the last heartbeat of a master: what
// state-svcs are configured with.
constexpr absl::Duration kFreshBound = absl::Seconds(20);
// What a heartbeat may spend on wires, which nobody can tell.
constexpr absl::Duration kOnTheWay = absl::Seconds(5);

std::string Name(uint64_t epoch, uint64_t version) {
  return absl::StrCat("version ", version, " of epoch ", epoch);
}

// The task that the change is about, if it is about one.
std::optional<Rows::Key> TaskOf(const state::v1::Change& change) {
  if (change.has_task_set()) {
    const auto& task = change.task_set().task();
    return Rows::Key{task.framework_id(), LifeOf(task.incarnation())};
  }
  if (change.has_task_status_added()) {
    const auto& added = change.task_status_added();
    return Rows::Key{added.framework_id(), LifeOf(added.incarnation())};
  }
  return std::nullopt;
}

}  // namespace

void FeedTruth::Published(const Rows& rows) {
  Epoch& epoch = epochs_[rows.epoch()];
  epoch.newest = std::max(epoch.newest, rows.version());
  epoch.facts[rows.version()] = rows.facts();
  if (keeps_rows_) epoch.rows[rows.version()] = rows;
}

void FeedTruth::Shown(const std::string& reader, const Rows& rows) {
  const auto epoch = epochs_.find(rows.epoch());
  if (epoch == epochs_.end() || rows.version() > epoch->second.newest) {
    verdict_->Fail("readers show what was",
                   absl::StrCat(reader, " shows ", Name(rows.epoch(), rows.version()),
                                ", which no master has published"));
    return;
  }
  const auto facts = epoch->second.facts.find(rows.version());
  if (facts == epoch->second.facts.end()) return;
  ++compared_;
  if (facts->second != rows.facts()) {
    const auto kept = epoch->second.rows.find(rows.version());
    verdict_->Fail("readers show what was",
                   absl::StrCat(reader, " shows something else at ",
                                Name(rows.epoch(), rows.version()), " than the master had",
                                kept == epoch->second.rows.end()
                                    ? std::string()
                                    : ": " + FirstDifference(kept->second, rows)));
  }
}

void FeedTruth::SaysFresh(const std::string& reader, absl::Time believed, absl::Time now) {
  if (believed > last_heartbeat_ + kOnTheWay) {
    verdict_->Fail("readers know how new they are",
                   absl::StrCat(reader, " believes in a heartbeat of ", absl::FormatTime(believed),
                                "; the last one was made ", absl::FormatTime(last_heartbeat_)));
  }
  if (now - last_heartbeat_ > kFreshBound + kOnTheWay) {
    verdict_->Fail(
        "readers say when the master is gone",
        absl::StrCat(reader, " says that it follows; the last heartbeat of a master was ",
                     absl::FormatDuration(now - last_heartbeat_), " ago"));
  }
}

void ReaderChecker::Restarted() {
  has_state_ = false;
  receiving_ = false;
  rows_ = Rows();
  incoming_ = Rows();
  ended_.clear();
}

void ReaderChecker::Begin(uint64_t epoch) {
  if (has_state_ && epoch <= rows_.epoch()) {
    verdict_->Fail("versions only grow",
                   absl::StrCat(name_, " begins epoch ", epoch, " after ", rows_.epoch()));
  }
  ended_.clear();
  rows_.Reset(epoch);
  has_state_ = true;
}

void ReaderChecker::Apply(const state::v1::Change& change, Rows* rows) {
  const std::string wrong = rows->Apply(change);
  if (!wrong.empty()) {
    verdict_->Fail("the feed names what is known",
                   absl::StrCat(name_, ", after ", Name(rows->epoch(), rows->version()), ": ",
                                wrong, ": ", change.ShortDebugString()));
  }
}

void ReaderChecker::See(const Rows::Key& key, model::v1::TaskState state) {
  if (IsTerminal(state)) {
    ended_.insert(key);
  } else if (ended_.contains(key)) {
    verdict_->Fail("ended tasks stay ended",
                   absl::StrCat(name_, " shows a task of ", key.first, " as ",
                                model::v1::TaskState_Name(state), " in epoch ", rows_.epoch(),
                                " after it had ended"));
  }
}

void ReaderChecker::Compare() {
  if (role_ == Role::kMaster) {
    truth_->Published(rows_);
  } else {
    truth_->Shown(name_, rows_);
  }
}

void ReaderChecker::Delta(uint64_t epoch, const state::v1::Delta& delta) {
  // A master's first version may have any number; a reader has begun with a snapshot.
  const bool first = role_ == Role::kMaster && has_state_ && rows_.version() == 0;
  if (!has_state_ || epoch != rows_.epoch() || (!first && delta.version() != rows_.version() + 1)) {
    verdict_->Fail("versions only grow",
                   absl::StrCat(name_, " shows ", Name(epoch, delta.version()), " after ",
                                Name(rows_.epoch(), rows_.version())));
    return;
  }
  for (const auto& change : delta.changes()) {
    Apply(change, &rows_);
    const std::optional<Rows::Key> key = TaskOf(change);
    if (!key.has_value()) continue;
    const auto task = rows_.tasks().find(*key);
    if (task != rows_.tasks().end()) See(*key, task->second.state);
  }
  rows_.set_version(delta.version());
  Compare();
}

void ReaderChecker::Chunk(uint64_t epoch, const state::v1::SnapshotChunk& chunk) {
  if (chunk.first()) {
    incoming_.Reset(epoch);
    incoming_.set_version(chunk.version());
    receiving_ = true;
  } else if (!receiving_ || incoming_.epoch() != epoch || incoming_.version() != chunk.version()) {
    verdict_->Fail("snapshots come whole",
                   absl::StrCat(name_, ": a part of a snapshot without its beginning"));
    return;
  }
  for (const auto& change : chunk.changes()) Apply(change, &incoming_);
  if (!chunk.last()) return;
  receiving_ = false;
  const bool newer =
      !has_state_ || std::pair(epoch, chunk.version()) >= std::pair(rows_.epoch(), rows_.version());
  if (!newer) {
    verdict_->Fail("versions only grow",
                   absl::StrCat(name_, " goes back to ", Name(epoch, chunk.version()), " from ",
                                Name(rows_.epoch(), rows_.version())));
  }
  if (epoch != rows_.epoch()) ended_.clear();
  rows_ = std::exchange(incoming_, Rows());
  has_state_ = true;
  for (const auto& [key, task] : rows_.tasks()) See(key, task.state);
  Compare();
}

}  // namespace tessera::sim
