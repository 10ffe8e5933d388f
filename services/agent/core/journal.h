// What the core writes to its log, and what it does when that is durable.
//
// Place: in AgentState, for every flow. AgentCore takes what is due and hands it to the flow that
// it belongs to.
//
// Invariants: records reach the log in the order of Write; a continuation is due when everything
// written before it was asked for is durable, and continuations come in the order in which they
// were asked for. All records of one step are one Persist: after a crash all of them are there, or
// none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "services/agent/checkpoint/record.pb.h"
#include "services/agent/core/agent_events.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

// What waits for durability.
namespace after {
// Tasks that were admitted together may be launched.
struct Launch {
  uint64_t launch;
};
// The oldest status of the task that was not durable may be told.
struct Status {
  model::Incarnation task;
};
// The head of the task's statuses makes room for the next.
struct Acknowledgement {
  model::Incarnation task;
};
// The task is forgotten. `last_words`, if they have a state, are told once, without a uuid.
struct Forget {
  model::Incarnation task;
  model::v1::TaskStatus last_words;
};
// The runtime may forget the container.
struct Release {
  std::string container_id;
};
// The master is told that the executor has ended, or never began.
struct ExecutorExit {
  std::string framework_id;
  std::string executor_id;
  model::Incarnation executor;
  bool refused;
};
// The registration on this link counts.
struct Registration {
  uint64_t link;
};
// The agent may dial.
struct Dial {};
}  // namespace after

using Continuation =
    std::variant<after::Launch, after::Status, after::Acknowledgement, after::Forget,
                 after::Release, after::ExecutorExit, after::Registration, after::Dial>;

class Journal {
 public:
  using Record = checkpoint::Record;

  // The log is replaced by its essence when it has this many records, if that is at most a quarter.
  explicit Journal(size_t compact_records_min)
      : compact_records_min_(compact_records_min), compact_at_(compact_records_min) {}

  // The log holds so many records.
  void Begin(size_t records) { records_in_log_ = records; }

  void Write(Record record) {
    records_.push_back(std::move(record));
    written_ = true;
  }
  // Goes along with the next Write; lost when none comes.
  void Note(Record record) { records_.push_back(std::move(record)); }

  // When everything that was written until now is durable; at once when it is.
  void After(Continuation continuation) { waiting_.push_back({Mark(), std::move(continuation)}); }
  // The next one that is due.
  std::optional<Continuation> TakeDue() {
    if (waiting_.empty() || waiting_.front().mark > durable_) return std::nullopt;
    std::optional<Continuation> due(std::move(waiting_.front().continuation));
    waiting_.pop_front();
    return due;
  }

  // Stands for all that was written until now.
  uint64_t Mark() const { return written_ ? last_persist_ + 1 : last_persist_; }
  bool IsDurable(uint64_t mark) const { return mark <= durable_; }

  // Everything up to this Persist is durable. False: it was never written.
  bool Persisted(uint64_t id) {
    if (id > last_persist_) return false;
    if (id > durable_) durable_ = id;
    return true;
  }

  // What this step has written, if anything. `essence` gives the records that stand for the present
  // state.
  std::optional<Persist> Flush(absl::FunctionRef<std::vector<Record>()> essence);
  // Everything that was written counts no more: the log becomes its essence.
  Persist Restart(std::vector<Record> essence);

 private:
  struct Waiting {
    uint64_t mark;
    Continuation continuation;
  };

  const size_t compact_records_min_;
  size_t compact_at_;
  size_t records_in_log_ = 0;
  std::vector<Record> records_;
  // Something in records_ waits for no other.
  bool written_ = false;
  uint64_t last_persist_ = 0;
  uint64_t durable_ = 0;
  std::deque<Waiting> waiting_;
};

}  // namespace tessera::agent
