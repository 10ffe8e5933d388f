// Durable writes of a leader, in order: one transaction is on its way at a time, what gathers
// meanwhile goes into the next. Writes are absolute and fenced by the epoch, so one whose outcome
// is unknown is simply sent again.
//
// Invariants: what a write makes true is told once, in the order of the writes, after it is
// durable; nothing is told after the lease is lost. What is queued is within what the registry
// takes, and so is every transaction: a write that it refused would end the reign, and one
// that is too large to arrive would be sent again for ever.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/master/core/counters.h"
#include "services/master/core/durable.h"
#include "services/master/core/master_config.h"
#include "services/master/core/outbox.h"
#include "services/master/core/request_ids.h"
#include "services/master/core/timers.h"

namespace tessera::master {

class RegistryWriter {
 public:
  RegistryWriter(const MasterConfig* config, uint64_t epoch, RequestIds* ids, base::Rng rng,
                 Outbox* outbox, Timers* timers, MasterCounters* counters);

  // Queues a write of one or several keys, done together or not at all. Refused, and nothing is
  // queued, when the registry would not take it: INVALID_ARGUMENT (INVALID_FIELD) for a key,
  // RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE) for a record or all of them.
  [[nodiscard]] absl::Status Write(std::vector<reg::Write> writes, Durable durable);
  // The same for writes that are within the bounds whatever comes from outside: deletions by an id
  // that was checked, records of the master's own, descriptions that a record has held already.
  void WriteOwn(std::vector<reg::Write> writes, Durable durable,
                std::vector<reg::Condition> conditions = {});
  // No further write is taken for now: refuse what would need one.
  bool full() const {
    return queue_.size() >= config_->registry_queue_max ||
           queued_bytes_ >= config_->registry_queue_bytes_max;
  }
  size_t queued() const { return queue_.size(); }

  // Sends the next transaction when none is on its way.
  void Flush();

  struct Outcome {
    // What is durable now.
    std::vector<Durable> durable;
    // Set when this master must stop leading: the epoch is stale, or the registry refuses a write
    // that the master believes to be right.
    absl::Status fatal;
  };
  // The answer to a transaction; unknown ids are ignored.
  Outcome OnCommitted(absl::Time now, const Committed& event);
  // What waits and will not be told any more: this master leads no more.
  std::vector<Durable> Abandon();
  // The wait after a failure is over.
  void OnRetry() { waiting_for_retry_ = false; }

 private:
  struct Entry {
    std::vector<reg::Write> writes;
    // `conditions` are for the first write of a reign; they make a transaction of its own.
    std::vector<reg::Condition> conditions;
    Durable durable;
    // As the registry counts them: keys and values.
    size_t bytes = 0;
  };

  absl::Status Check(const std::vector<reg::Write>& writes) const;
  absl::Status Queue(Entry entry);

  const MasterConfig* config_;
  const uint64_t epoch_;
  RequestIds* ids_;
  Outbox* outbox_;
  Timers* timers_;
  MasterCounters* counters_;
  base::Rng rng_;
  base::Backoff retry_;
  std::deque<Entry> queue_;
  size_t queued_bytes_ = 0;
  // How many entries at the front of the queue are in the transaction on its way.
  size_t in_flight_ = 0;
  RequestId request_;
  bool waiting_for_retry_ = false;
  // Entries are sent one by one to find the one that the registry refuses.
  size_t singly_ = 0;
};

// `table/id` with a serialised record, and the deletion of a key.
reg::Write Put(const std::string& key, const google::protobuf::MessageLite& record);
reg::Write Delete(const std::string& key);

}  // namespace tessera::master
