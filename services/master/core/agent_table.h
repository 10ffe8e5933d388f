// Agents by id: admitted ones as rows with their resources and what lies on them; unreachable and
// gone ones by id only.
//
// Invariants: an id is in one row, or unreachable, or gone, never in two; a row has a stream
// exactly when it is connected; `held` is the sum of the offers and of what tasks and executors
// use, without allocation roles; offers are outstanding only while `held` fits into `total`.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "services/master/core/executor_table.h"
#include "services/master/core/indexes.h"
#include "services/master/core/machine_table.h"
#include "services/master/core/master_events.h"
#include "services/master/core/slots.h"
#include "services/model/resources.h"

namespace tessera::master {

enum class AgentPhase : uint8_t {
  // Its admission is being made durable.
  kAdmitting,
  // In the registry; not back since the fail-over.
  kRecovered,
  kConnected,
  kDisconnected,
};

// A change that waits for the registry. One at a time.
enum class AgentTransition : uint8_t {
  kNone,
  kReadmitting,
  kMarkingUnreachable,
  kMarkingGone,
  kChangingSettings,
};

struct Agent {
  AgentIndex index;
  std::string id;
  pb::AgentInfo info;
  // MachineOf(info).
  MachineName machine;
  AgentPhase phase = AgentPhase::kAdmitting;
  AgentTransition transition = AgentTransition::kNone;
  AgentStreamId stream;
  // While its admission is being made durable: the stream that will be its own.
  AgentStreamId admitting_stream;

  // Taken out of offers by an operator.
  bool deactivated = false;
  std::optional<pb::DrainInfo> drain;
  // From the maintenance schedule.
  std::optional<pb::Unavailability> unavailability;
  // Its machine was taken down: it is declared gone as soon as no other change is under way.
  bool going_down = false;
  // Tasks of frameworks that do not checkpoint end when it comes back.
  bool connection_broke = false;

  model::Resources total;
  // Which total that is, as the agent counts.
  uint64_t resource_version = 0;
  model::Resources held;
  // By framework, with allocation roles: tasks and executors, and offers.
  absl::btree_map<FrameworkIndex, model::Resources> used;
  absl::btree_map<FrameworkIndex, model::Resources> offered;
  absl::btree_set<OfferNumber> offers;
  absl::btree_map<FrameworkIndex, InverseOfferNumber> inverse_offers;
  // Live, and ended and not acknowledged.
  absl::btree_set<TaskIndex> tasks;
  ExecutorTable executors;
  // Bytes of the descriptions of both: so much its inventory has at least when it comes back.
  size_t described_bytes = 0;

  // Which description of a framework this stream has been sent.
  absl::flat_hash_map<FrameworkIndex, uint64_t> described;

  // New when the row's stream changes or its health watch is begun anew, and of this row alone.
  uint64_t watch = 0;
  uint64_t ping_sequence = 0;
  bool ping_answered = true;
  int pings_missed = 0;
  // It waits in the queue of those to be marked unreachable.
  bool marking_scheduled = false;

  bool in_allocator = false;
  // The allocator has the agent as it was before it came back.
  bool to_be_replaced = false;
  // What the allocator was told last.
  bool active_in_allocator = false;
  // The message to the allocator that added it; allocations decided before are of another life.
  uint64_t allocator_sequence = 0;

  absl::Time registered_time = absl::InfinitePast();
  absl::Time reregistered_time = absl::InfinitePast();

  bool connected() const { return phase == AgentPhase::kConnected; }
  // Takes part in offers.
  bool active() const { return connected() && !deactivated && !drain.has_value() && !leaving(); }
  // It is being taken out of the table.
  bool leaving() const {
    return going_down || transition == AgentTransition::kMarkingUnreachable ||
           transition == AgentTransition::kMarkingGone;
  }
};

// Takes from a framework's part of `used` or `offered`. They are kept without empty entries, so
// that equal contents are equal maps.
void SubtractFrom(absl::btree_map<FrameworkIndex, model::Resources>& sums, FrameworkIndex key,
                  const model::Resources& resources);

class AgentTable {
 public:
  // Adds a row for an id that is in no row; it is no longer unreachable.
  Agent& Add(std::string id, const pb::AgentInfo& info);
  // Replaces the description; the id stays.
  void SetInfo(Agent& agent, const pb::AgentInfo& info);
  void Remove(Agent& agent);

  Agent* Find(AgentIndex index) { return rows_.Find(index); }
  const Agent* Find(AgentIndex index) const { return rows_.Find(index); }
  Agent* FindById(const std::string& id);
  const Agent* FindById(const std::string& id) const {
    return const_cast<AgentTable*>(this)->FindById(id);
  }
  // The row whose AgentService is at this address.
  Agent* FindByAddress(const std::string& address);

  void Connect(Agent& agent, AgentStreamId stream);
  void Disconnect(Agent& agent);
  // Whatever was noted of earlier pings means nothing any more.
  void BeginWatch(Agent& agent);

  // Agents that do not answer, oldest first. At most `max` are kept; returns those forgotten.
  // `info` tells where it was.
  std::vector<std::string> AddUnreachable(const std::string& id, const pb::AgentInfo& info,
                                          absl::Time time, size_t max);
  void RemoveUnreachable(const std::string& id);
  // As readers see it; null when it is not unreachable.
  feed::AgentPtr UnreachableRow(const std::string& id) const;
  // When it was marked; nullopt when it is not unreachable.
  std::optional<absl::Time> UnreachableSince(const std::string& id) const;
  // The newest unreachable agent that had this address; empty when there is none.
  std::string UnreachableAt(const std::string& address) const;
  size_t unreachable() const { return unreachable_.size(); }
  // Every unreachable agent and its machine, oldest first.
  template <typename Visit>
  void ForEachUnreachable(Visit visit) const {
    for (const auto& [order, id] : unreachable_order_) visit(id, unreachable_.at(id).machine);
  }

  // Agents declared dead, oldest first; as above.
  std::vector<std::string> AddGone(const std::string& id, size_t max);
  bool IsGone(const std::string& id) const { return gone_.contains(id); }
  size_t gone() const { return gone_.size(); }
  // The registry is asked to declare the id gone.
  void SetMarkingGone(const std::string& id) { marking_gone_.insert(id); }
  bool IsMarkingGone(const std::string& id) const { return marking_gone_.contains(id); }

  // The id is an agent's, wherever it stands.
  bool IsKnown(const std::string& id) const {
    return ids_.contains(id) || unreachable_.contains(id) || gone_.contains(id) ||
           marking_gone_.contains(id);
  }

  // Rows that are not back since the fail-over.
  size_t recovered() const { return recovered_; }
  void AddRecovered() { ++recovered_; }
  void DropRecovered() { --recovered_; }

  size_t size() const { return rows_.size(); }
  template <typename Visit>
  void ForEach(Visit visit) {
    rows_.ForEach(visit);
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    rows_.ForEach(visit);
  }

 private:
  struct Unreachable {
    absl::Time since;
    uint64_t order;
    std::string address;
    MachineName machine;
    feed::AgentPtr row;
  };

  Slots<AgentIndex, Agent> rows_;
  absl::flat_hash_map<std::string, AgentIndex> ids_;
  absl::flat_hash_map<std::string, AgentIndex> addresses_;
  absl::flat_hash_map<std::string, Unreachable> unreachable_;
  absl::btree_map<uint64_t, std::string> unreachable_order_;
  absl::flat_hash_map<std::string, std::string> unreachable_addresses_;
  absl::flat_hash_map<std::string, uint64_t> gone_;
  absl::btree_map<uint64_t, std::string> gone_order_;
  absl::flat_hash_set<std::string> marking_gone_;
  uint64_t order_ = 0;
  size_t recovered_ = 0;
  // The newest watch given to any row.
  uint64_t watches_ = 0;
};

}  // namespace tessera::master
