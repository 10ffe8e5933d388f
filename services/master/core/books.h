// The books of one reign: all tables, and the changes that touch several of them. Each change also
// says what has to be said: events to frameworks, changes for the allocator and for the state feed.
// Flows decide what happens; books keep it consistent.
//
// Invariants: those of the tables, and: a task is in its framework's row, and in its agent's row
// unless it is unreachable; an offer or inverse offer is in both rows; `held` of an agent is the
// sum of its offers and of what it uses; the allocator has been told the same.
//
// Threads: the core's.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/rng.h"
#include "services/master/core/agent_table.h"
#include "services/master/core/allocator_link.h"
#include "services/master/core/counters.h"
#include "services/master/core/feed_view.h"
#include "services/master/core/framework_table.h"
#include "services/master/core/indexes.h"
#include "services/master/core/inverse_offer_table.h"
#include "services/master/core/ledger.h"
#include "services/master/core/machine_table.h"
#include "services/master/core/master_config.h"
#include "services/master/core/master_events.h"
#include "services/master/core/offer_table.h"
#include "services/master/core/outbox.h"
#include "services/master/core/registry_writer.h"
#include "services/master/core/request_ids.h"
#include "services/master/core/role_table.h"
#include "services/master/core/task_table.h"
#include "services/master/core/timers.h"
#include "services/model/resources.h"

namespace tessera::master {

// Why an offer ends.
enum class OfferEnd : uint8_t {
  // Its taker says what becomes of its resources, and calls EndAllocations.
  kAccepted,
  kDeclined,
  // Nobody answered in time; the framework is told as of any rescinded offer.
  kTimedOut,
  // The framework is told.
  kRescinded,
  // The framework is not told: it is gone or begins anew.
  kDropped,
};

// What the end of an allocation tells of its framework.
enum class AllocationEnd : uint8_t {
  // It took something.
  kTaken,
  // It took nothing: refused, let lie, or accepted for nothing.
  kLeft,
  // Nothing: the master took it back, or never sent it.
  kWithdrawn,
};

// Why an inverse offer ends.
enum class InverseOfferEnd : uint8_t {
  // The framework has answered.
  kAccepted,
  kDeclined,
  // As OfferEnd.
  kRescinded,
  kDropped,
};

class Books {
 public:
  // `master_id` names this reign and begins the ids that it gives.
  Books(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
        const std::string& master_id, RequestIds* request_ids, Outbox* outbox, base::Rng rng);
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;

  const MasterConfig& config() const { return *config_; }
  uint64_t epoch() const { return epoch_; }
  const std::string& master_id() const { return master_id_; }
  MasterCounters& counters() { return *counters_; }
  base::Rng& rng() { return rng_; }
  // The time of the present Step.
  absl::Time now() const { return now_; }
  void set_now(absl::Time now) { now_ = now; }

  Timers timers;
  FrameworkTable frameworks;
  AgentTable agents;
  TaskTable tasks;
  OfferTable offers;
  InverseOfferTable inverse_offers;
  MachineTable machines;
  RoleTable roles;
  Outbox& out;
  RegistryWriter registry;
  AllocatorLink allocator;
  // What this Step has changed, and what readers are told of it.
  Ledger changed;
  FeedView feed;

  // Never one that somebody has, even if an agent brought it without having got it here.
  std::string NewFrameworkId();
  std::string NewAgentId();
  std::string NewSubscriptionId();
  // For a launch of a task, or a new executor.
  model::Incarnation NewIncarnation() { return {epoch_, ++incarnations_}; }

  // ---- saying things. Dropped when there is no stream.
  void Tell(Framework& framework, sched::Event event);
  bool Tell(Agent& agent, link::MasterMessage message);
  // Says how the framework is described, unless this stream of the agent has been told.
  void Describe(const Framework& framework, Agent& agent);
  // An update event; states that the framework does not understand are translated.
  void TellStatus(Framework& framework, pb::TaskStatus status);
  // The same of a task, unless a newer one has its id.
  void TellStatus(Framework& framework, const Task& task, pb::TaskStatus status);
  // A status made by the master: without uuid, not to be acknowledged.
  pb::TaskStatus MakeStatus(const std::string& task_id, const std::string& agent_id,
                            pb::TaskState state, pb::TaskStatusReason reason,
                            const std::string& message) const;
  // The state as this framework is told it.
  static pb::TaskState StateFor(const Framework& framework, pb::TaskState state);

  // ---- offers
  // Books an offer and tells the readers of the feed; the caller tells the framework.
  pb::Offer AddOffer(Framework& framework, Agent& agent, std::string role,
                     model::Resources resources);
  // Ends an offer. Unless it was accepted its resources are given back, with a filter if
  // `refuse` is set. `offer` is gone afterwards.
  void RemoveOffer(Offer& offer, OfferEnd end, std::optional<absl::Duration> refuse = std::nullopt);
  void RemoveOffersOf(Framework& framework, OfferEnd end);
  // Inverse offers, too, when the agent takes no part in offers.
  void RescindOffersOf(Agent& agent);
  // Tells the allocator that allocations of its are outstanding offers no longer, or never became
  // any. `lay`: how long the longest of them was outstanding.
  void EndAllocations(const std::string& framework_id, uint32_t count, AllocationEnd end,
                      absl::Duration lay = absl::ZeroDuration());
  // The allocator lost count of what is left of the framework's demand in the role.
  void RestateDemand(const Framework& framework, const std::string& role);
  // What of an offer to the framework in the role was not taken is wanted again.
  static void RaiseDemand(Framework& framework, const std::string& role,
                          const model::Resources& resources);
  // Tells the allocator that the framework holds these no longer. `refuse` is set for what was
  // offered and not taken, zero when there shall be no filter.
  void GiveBack(const std::string& framework_id, const Agent& agent,
                const model::Resources& resources, std::optional<absl::Duration> refuse);

  // ---- maintenance (books_maintenance.cc)
  // Books an inverse offer of an agent that will be unavailable; the caller tells the framework.
  pb::InverseOffer AddInverseOffer(Framework& framework, Agent& agent);
  // Tells the allocator, too, unless the framework has answered, which the caller tells. `offer` is
  // gone afterwards.
  void RemoveInverseOffer(InverseOffer& offer, InverseOfferEnd end);
  void DropInverseOffersOf(Framework& framework);
  void RescindInverseOffersOf(Agent& agent);
  // Tells the allocator that what it asked is not outstanding.
  void EndInverseOffer(const Framework& framework, const Agent& agent);
  // Takes the agent's unavailability from the schedule. When it changed, what was offered is
  // rescinded, the allocator is told, and true is returned: readers want to see it.
  bool UpdateUnavailability(Agent& agent);

  // ---- tasks
  // Books a task: `task` says what is launched, and its state. It holds its resources unless that
  // is terminal. Of two tasks of one id the older one is superseded. `history` is what readers see
  // beside that.
  Task& AddTask(Framework& framework, Agent& agent, Task task,
                std::vector<feed::StatusPtr> history = {});
  // The newest state of a task, with the status that tells it. False, and nothing changes, when the
  // task has ended already. A task that ends gives its resources back.
  // `shown` is the status as readers see it; null: it is made.
  bool SetTaskState(Task& task, pb::TaskState state, const pb::TaskStatus& status,
                    feed::StatusPtr shown = nullptr);
  // The agent of the task does not answer: it is kept apart, without resources and agent.
  void MoveToUnreachable(Task& task, const pb::TaskStatus& status);
  // An ended or unreachable task leaves for the ring of completed ones. The row is gone afterwards.
  void CompleteTask(Task& task);
  // The task is forgotten without a trace; it must hold nothing.
  void ForgetTask(Task& task);
  // The task without what follows from where it is booked.
  static Task Rebooked(const Task& task);
  // The newest task of this id. Null when there is none.
  Task* FindTask(Framework& framework, const std::string& task_id);
  Task* FindTask(Framework& framework, const model::Incarnation& incarnation);
  // The tasks that went unreachable with this agent, oldest first.
  std::vector<TaskIndex> UnreachableTasksOf(const std::string& agent_id) const;

  // ---- executors
  void AddExecutor(Agent& agent, Framework& framework, feed::ExecutorPtr executor);
  // False when the agent has no such executor.
  bool RemoveExecutor(Agent& agent, const ExecutorTable::Key& key);
  // Resources are used, or no longer used, by a framework on an agent. The allocator is told of
  // the latter by GiveBack.
  void Use(Agent& agent, FrameworkIndex framework, const model::Resources& resources);
  void Release(Agent& agent, FrameworkIndex framework, const model::Resources& resources);

  // ---- roles
  // Those that are new fit into the allocator's tree. Otherwise it would refuse every snapshot.
  template <typename Names>
  bool HasRoomForRoles(const Names& names) const {
    const size_t fresh = roles.NewNodes(names);
    return fresh == 0 || roles.nodes() + fresh <= config_->role_nodes_max;
  }
  void JoinRole(const std::string& role);
  void LeaveRole(const std::string& role);

  // ---- the allocator's view
  void AddToAllocator(Framework& framework);
  void AddToAllocator(Agent& agent);
  void RemoveFromAllocator(Agent& agent);
  // The next AddToAllocator takes the place of what the allocator has of the agent; until then it
  // is told nothing of it.
  static void BeginReplacement(Agent& agent);
  // Tells the allocator when the agent began or ceased to take part in offers.
  void UpdateActivity(Agent& agent);
  // The hostnames whose agents may be offered; none: all. The allocator is told.
  void SetWhitelist(std::optional<std::vector<std::string>> hostnames);
  // All rows, in the order that the contract asks for. `expected_agents`: wait for so many.
  void SendSnapshot(size_t expected_agents, absl::Duration expectation_timeout);

  // ---- numbers
  static FrameworkMetrics MetricsOf(const Framework& framework);
  // The last numbers of frameworks that ended, oldest first; at most as many as the ring of
  // completed ones has.
  struct Departed {
    absl::Time time;
    FrameworkMetrics metrics;
  };
  const std::deque<Departed>& departed() const { return departed_; }
  void KeepLastNumbers(const Framework& framework);

  // Sends what has gathered, to be called at the end of a Step.
  void Flush();

  // INTERNAL names the first broken invariant. Costs as much as all tables are large.
  absl::Status CheckInvariants() const;

 private:
  void SendWhitelist();
  void CountState(Framework& framework, pb::TaskState from, pb::TaskState to,
                  const pb::TaskStatus& status);
  // The task leaves the state that it is counted in.
  void UncountState(Framework& framework, const Task& task);
  // The task and its agent's row, which is there, know of one another no longer.
  static void TakeFromAgent(Agent& agent, const Task& task);
  void DetachTask(Task& task);

  const MasterConfig* config_;
  MasterCounters* counters_;
  const uint64_t epoch_;
  const std::string master_id_;
  base::Rng rng_;
  absl::Time now_ = absl::InfinitePast();
  uint64_t framework_ids_ = 0;
  uint64_t agent_ids_ = 0;
  uint64_t subscription_ids_ = 0;
  uint64_t incarnations_ = 0;
  uint64_t unreachable_order_ = 0;
  // Unreachable tasks in their order, by agent: one that comes back asks only for its own.
  absl::flat_hash_map<std::string, absl::btree_map<uint64_t, TaskIndex>> unreachable_;
  std::deque<Departed> departed_;
  std::optional<std::vector<std::string>> whitelist_;
};

}  // namespace tessera::master
