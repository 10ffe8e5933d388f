// Frameworks by id: who they are, where they stand, what is theirs.
//
// Invariants: an id is in one row, or among the completed ids, never in both; a row has a stream
// exactly when it is active; at most one row has a given stream, be it current or pending.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "services/master/core/counters.h"
#include "services/master/core/indexes.h"
#include "services/master/core/master_events.h"
#include "services/master/core/slots.h"
#include "services/master/core/task_table.h"
#include "services/model/quantities.h"

namespace tessera::master {

enum class FrameworkPhase : uint8_t {
  // Its id is being made durable; nobody has heard of it.
  kAdmitting,
  // Known from the registry or from agents; not back since the fail-over.
  kRecovered,
  kActive,
  kDisconnected,
};

struct Framework {
  // A subscription that waits for the registry.
  struct Pending {
    StreamId stream;
    sched::SubscribeRequest request;
  };

  FrameworkIndex index;
  std::string id;
  pb::FrameworkInfo info;
  // The same, serialised, as agents and readers get it; and its number, new with each change and of
  // this row alone.
  model::Description description;
  uint64_t description_version = 0;
  std::set<std::string> roles;
  std::set<std::string> suppressed_roles;
  pb::OfferConstraints offer_constraints;
  FrameworkPhase phase = FrameworkPhase::kAdmitting;
  // Its end is being made durable; calls are refused.
  bool removing = false;
  // Calls that wait for its end.
  std::vector<CallId> teardown_calls;
  std::vector<CallId> operator_teardown_calls;
  bool partition_aware = false;
  bool knows_killing = false;

  StreamId stream;
  std::string subscription_id;
  std::optional<Pending> pending;
  // New with each subscription and each disconnection, and of this row alone: timers of older ones,
  // and of a row that had this place before, mean nothing.
  uint64_t session = 0;

  absl::Time registered_time = absl::InfinitePast();
  absl::Time reregistered_time = absl::InfinitePast();
  absl::Time disconnected_time = absl::InfinitePast();

  // Live, ended and not acknowledged, and unreachable ones.
  TasksOfFramework tasks;
  // The unreachable ones of `tasks`, oldest first.
  absl::btree_map<uint64_t, TaskIndex> unreachable;
  // Tasks in the ring of completed ones, oldest first, and the same as a set.
  std::deque<std::shared_ptr<const feed::TaskFacts>> completed;
  absl::flat_hash_set<model::Incarnation> completed_set;
  // The newest statement for each role, and what is left of it beside what was offered since and
  // has not come back.
  struct Demand {
    sched::SetDemandRequest::Demand stated;
    model::Quantities wanted;
    model::Quantities left;
  };
  std::map<std::string, Demand> demands;
  absl::btree_set<OfferNumber> offers;
  absl::btree_set<InverseOfferNumber> inverse_offers;
  // Offers that timed out since it last answered one.
  int offers_unanswered = 0;
  // How many executors it has, by agent.
  absl::btree_map<AgentIndex, int> executors;
  FrameworkCounters counters;

  bool connected() const { return phase == FrameworkPhase::kActive; }
  absl::Duration failover_timeout() const;
};

class FrameworkTable {
 public:
  // Adds a row for an id that is in no row.
  Framework& Add(std::string id, const pb::FrameworkInfo& info);
  // Replaces the description and what is derived from it.
  void SetInfo(Framework& framework, const pb::FrameworkInfo& info);
  void Remove(Framework& framework);

  Framework* Find(FrameworkIndex index) { return rows_.Find(index); }
  const Framework* Find(FrameworkIndex index) const { return rows_.Find(index); }
  Framework* FindById(const std::string& id);
  const Framework* FindById(const std::string& id) const {
    return const_cast<FrameworkTable*>(this)->FindById(id);
  }
  Framework* FindByStream(StreamId stream);

  // The stream is the current one of the framework; `subscription_id` names it.
  void Connect(Framework& framework, StreamId stream, std::string subscription_id);
  // The framework has no stream any more.
  void Disconnect(Framework& framework);
  void SetPending(Framework& framework, Framework::Pending pending);
  void ClearPending(Framework& framework);

  // Ids that were torn down or expired. At most `max` are kept, the oldest are forgotten; returns
  // those.
  std::vector<std::string> AddCompletedId(const std::string& id, size_t max);
  bool IsCompleted(const std::string& id) const { return completed_ids_.contains(id); }

  // The ring of completed frameworks that readers still see; returns those that fall out.
  std::vector<std::string> AddToCompletedRing(feed::FrameworkPtr row, size_t max);
  // Null when it is not in the ring.
  feed::FrameworkPtr CompletedRow(const std::string& id) const;

  size_t size() const { return rows_.size(); }
  size_t connected() const { return connected_; }
  template <typename Visit>
  void ForEach(Visit visit) {
    rows_.ForEach(visit);
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    rows_.ForEach(visit);
  }

 private:
  Slots<FrameworkIndex, Framework> rows_;
  absl::flat_hash_map<std::string, FrameworkIndex> ids_;
  absl::flat_hash_map<StreamId, FrameworkIndex> streams_;
  absl::flat_hash_set<std::string> completed_ids_;
  std::deque<std::string> completed_order_;
  std::deque<feed::FrameworkPtr> ring_;
  size_t connected_ = 0;
  // The newest session and the newest description given to any row.
  uint64_t sessions_ = 0;
  uint64_t descriptions_ = 0;
};

}  // namespace tessera::master
