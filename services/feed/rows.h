// The rows of the cluster's state and the changes of them: what a master publishes and what every
// reader keeps. The same as protos/tessera/state/v1/state_feed_service.proto says on the wire
// (wire/codec.h turns one into the other).
//
// What frameworks wrote (of a task, an executor, themselves) and what is only handed on (statuses,
// offers) are the bytes that came; what is computed on stands beside them. A row that has been told
// is immutable and shared: the master's books, the publisher's table and all snapshots of it have
// one and the same.
//
// Invariants: a task is named by its framework and its incarnation, and so is an executor; their
// ids are no names, because frameworks use them again. Changes are absolute: applying one twice
// does no harm.
//
// Pure values. Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/state/v1/state_feed_service.pb.h"
#include "services/model/description.h"
#include "services/model/incarnation.h"
#include "services/model/resources.h"

namespace tessera::feed {

namespace pb = ::tessera::model::v1;
namespace v1 = ::tessera::state::v1;

using v1::TASK_PLACE_ACTIVE;
using v1::TASK_PLACE_COMPLETED;
using v1::TASK_PLACE_UNREACHABLE;
using v1::TaskPlace;

// ---- rows ---------------------------------------------------------------------------------------

// A status of a task.
struct Status {
  pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
  absl::Time timestamp = absl::UnixEpoch();
  // A serialised TaskStatus, without `data`.
  std::string bytes;

  // Of the bytes; empty when the status has none.
  std::string_view uuid() const;
};
using StatusPtr = std::shared_ptr<const Status>;

StatusPtr MakeStatus(const pb::TaskStatus& status);

// What does not change while the task is there.
struct TaskFacts {
  std::string framework_id;
  std::string task_id;
  model::Incarnation incarnation;
  // Empty for a task that was never on one.
  std::string agent_id;
  // Empty when the agent supervises the task itself; then `executor` is not valid().
  std::string executor_id;
  model::Incarnation executor;
  // What it holds, or held while it lived, allocated to the role of the offer.
  model::Resources resources;
  // A serialised TaskInfo, without `data`.
  model::Description info;
};

struct TaskRow {
  // Never null.
  std::shared_ptr<const TaskFacts> facts;
  TaskPlace place = TASK_PLACE_ACTIVE;
  // The latest state that is known.
  pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
  // The state of the status that was last sent to the framework, and its uuid.
  pb::TaskState status_update_state = pb::TASK_STATE_UNSPECIFIED;
  std::string status_update_uuid;
  // Oldest first. Statuses in a row with the same state keep the newest only.
  std::vector<StatusPtr> statuses;
};

struct ExecutorRow {
  std::string framework_id;
  std::string executor_id;
  model::Incarnation incarnation;
  std::string agent_id;
  // What it holds besides its tasks, allocated to the role of the offer.
  model::Resources resources;
  // A serialised ExecutorInfo, without `data`.
  model::Description info;
};
using ExecutorPtr = std::shared_ptr<const ExecutorRow>;

struct FrameworkRow {
  std::string id;
  pb::FrameworkState state = pb::FRAMEWORK_STATE_UNSPECIFIED;
  // That it is subscribed to.
  std::vector<std::string> roles;
  std::vector<std::string> suppressed_roles;
  // InfinitePast: it has not happened.
  absl::Time registered_time = absl::InfinitePast();
  absl::Time reregistered_time = absl::InfinitePast();
  absl::Time unregistered_time = absl::InfinitePast();
  // A serialised FrameworkInfo; `id` and `roles` beside it are the same as in it.
  model::Description info;
};
using FrameworkPtr = std::shared_ptr<const FrameworkRow>;

struct OfferRow {
  std::string id;
  std::string framework_id;
  std::string agent_id;
  std::string role;
  // Allocated to the role.
  model::Resources resources;
  // A serialised Offer, of which the above is a part.
  model::Description offer;
};
using OfferPtr = std::shared_ptr<const OfferRow>;

// `resources` are those of the offer.
OfferPtr MakeOffer(const pb::Offer& offer, model::Resources resources);

// Agents, roles and the cluster's facts are few and are read by all who keep them: messages.
using AgentPtr = std::shared_ptr<const pb::AgentRecord>;
using RolePtr = std::shared_ptr<const v1::RoleRecord>;
using ClusterPtr = std::shared_ptr<const v1::ClusterRecord>;

// ---- changes, in the order of Change.kind on the wire -------------------------------------------

struct ClusterSet {
  ClusterPtr cluster;
};
struct AgentSet {
  AgentPtr agent;
};
struct AgentRemoved {
  std::string agent_id;
};
struct FrameworkSet {
  FrameworkPtr framework;
};
// The framework and everything of it is forgotten (it left the ring of completed ones).
struct FrameworkRemoved {
  std::string framework_id;
};
struct TaskSet {
  TaskRow task;
};
// A small change of a known task: the status is appended, and `state` becomes the task's.
struct TaskStatusAdded {
  std::string framework_id;
  std::string task_id;
  model::Incarnation incarnation;
  StatusPtr status;
  pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
};
// The task moves (to the completed or the unreachable ones).
struct TaskMoved {
  std::string framework_id;
  std::string task_id;
  model::Incarnation incarnation;
  TaskPlace place = TASK_PLACE_ACTIVE;
};
struct TaskRemoved {
  std::string framework_id;
  std::string task_id;
  model::Incarnation incarnation;
};
struct ExecutorSet {
  ExecutorPtr executor;
};
struct ExecutorRemoved {
  std::string framework_id;
  std::string executor_id;
  model::Incarnation incarnation;
};
struct OfferSet {
  OfferPtr offer;
};
struct OfferRemoved {
  std::string offer_id;
};
struct RoleSet {
  RolePtr role;
};
struct RoleRemoved {
  std::string role;
};

using Change = std::variant<ClusterSet, AgentSet, AgentRemoved, FrameworkSet, FrameworkRemoved,
                            TaskSet, TaskStatusAdded, TaskMoved, TaskRemoved, ExecutorSet,
                            ExecutorRemoved, OfferSet, OfferRemoved, RoleSet, RoleRemoved>;

// Leads from version `version - 1` to `version`.
struct Delta {
  uint64_t version = 0;
  std::vector<Change> changes;
};

// A part of the state of one version; the first one begins it anew.
struct SnapshotPart {
  uint64_t version = 0;
  bool first = false;
  bool last = false;
  std::vector<Change> changes;
};

}  // namespace tessera::feed
