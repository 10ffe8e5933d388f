// The books of one term of leadership: all tables, and those who change several of them at once: a
// book of tasks, one of offers, the views of readers and of the allocator. Flows decide what
// happens; books keep it consistent.
//
// Invariants: those of the tables and books, and: `held` of an agent is the sum of its offers and
// of what it uses; the allocator has been told the same.
//
// Threads: the core's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/rng.h"
#include "services/master/core/allocator_link.h"
#include "services/master/core/allocator_view.h"
#include "services/master/core/counters.h"
#include "services/master/core/departed_frameworks.h"
#include "services/master/core/feed_view.h"
#include "services/master/core/id_source.h"
#include "services/master/core/master_config.h"
#include "services/master/core/master_events.h"
#include "services/master/core/offer_book.h"
#include "services/master/core/outbox.h"
#include "services/master/core/registry_writer.h"
#include "services/master/core/request_ids.h"
#include "services/master/core/tables.h"
#include "services/master/core/task_book.h"
#include "services/model/resources.h"

namespace tessera::master {

class Books : public Tables {
 public:
  // `master_id` names this term and begins the ids that it gives.
  Books(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
        const std::string& master_id, RequestIds* request_ids, Outbox* outbox, base::Rng rng);
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;

  const MasterConfig& config() const { return *config_; }
  uint64_t epoch() const { return ids.epoch(); }
  const std::string& master_id() const { return ids.master_id(); }
  MasterCounters& counters() { return *counters_; }
  base::Rng& rng() { return rng_; }
  // The time of the present Step.
  absl::Time now() const { return now_; }
  void set_now(absl::Time now) { now_ = now; }

  Outbox& out;
  RegistryWriter registry;
  AllocatorLink allocator;
  AllocatorView allocator_view;
  FeedView feed;
  TaskBook task_book;
  OfferBook offer_book;
  IdSource ids;
  DepartedFrameworks departed;

  std::string NewFrameworkId();
  std::string NewAgentId();

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

  // ---- roles
  // Those that are new fit into the allocator's tree. Otherwise it would refuse every snapshot.
  template <typename Names>
  bool HasRoomForRoles(const Names& names) const {
    const size_t fresh = roles.NewNodes(names);
    return fresh == 0 || roles.nodes() + fresh <= config_->role_nodes_max;
  }
  void JoinRole(const std::string& role);
  void LeaveRole(const std::string& role);

  // Sends what has gathered, to be called at the end of a Step.
  void Flush();

  // INTERNAL names the first broken invariant. Costs as much as all tables are large.
  absl::Status CheckInvariants() const;

 private:
  const MasterConfig* config_;
  MasterCounters* counters_;
  base::Rng rng_;
  absl::Time now_ = absl::InfinitePast();
};

}  // namespace tessera::master
