// What the core counts, as plain integers; the server maps them to metrics. Those of the process
// live as long as it does, those of a framework as long as its row.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "protos/tessera/model/v1/offer.pb.h"
#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::master {

enum class CallType : uint8_t {
  kSubscribe,
  kTeardown,
  kAccept,
  kDecline,
  kAnswerInverseOffers,
  kRevive,
  kSuppress,
  kUnsuppress,
  kClearFilters,
  kSetDemand,
  kKill,
  kShutdown,
  kAcknowledge,
  kReconcile,
  kReconcileOperations,
  kMessage,
  kUpdateFramework,
};
inline constexpr int kCallTypes = 17;
inline constexpr std::array<std::string_view, kCallTypes> kCallTypeLabels = {
    "subscribe", "teardown",        "accept",      "decline",       "answer_inverse_offers",
    "revive",    "suppress",        "unsuppress",  "clear_filters", "set_demand",
    "kill",      "shutdown",        "acknowledge", "reconcile",     "reconcile_operations",
    "message",   "update_framework"};

// In the order of the cases of tessera.scheduler.v1.Event.
inline constexpr int kEventTypes = 10;
inline constexpr std::array<std::string_view, kEventTypes> kEventTypeLabels = {
    "subscribed",       "offers",  "inverse_offers", "rescind", "update",
    "operation_update", "message", "failure",        "error",   "heartbeat"};

// The kinds of tessera.model.v1.Operation.
enum class OperationType : uint8_t {
  kLaunch,
  kLaunchGroup,
  kReserve,
  kUnreserve,
  kCreate,
  kDestroy,
  kGrowVolume,
  kShrinkVolume,
  kCreateDisk,
  kDestroyDisk,
};
inline constexpr int kOperationTypes = 10;
inline constexpr std::array<std::string_view, kOperationTypes> kOperationTypeLabels = {
    "launch",  "launch_group", "reserve",       "unreserve",   "create",
    "destroy", "grow_volume",  "shrink_volume", "create_disk", "destroy_disk"};
inline std::string_view LabelOf(OperationType type) {
  return kOperationTypeLabels[static_cast<size_t>(type)];
}
// Nothing for an operation without a kind.
std::optional<OperationType> OperationTypeOf(model::v1::Operation::KindCase kind);

inline constexpr int kTaskStates = 15;  // indexed by the number of the state

struct FrameworkCounters {
  std::array<uint64_t, kCallTypes> calls{};
  std::array<uint64_t, kEventTypes> events{};
  std::array<uint64_t, kOperationTypes> operations{};
  uint64_t& Of(OperationType type) { return operations[static_cast<size_t>(type)]; }
  uint64_t offers_sent = 0;
  uint64_t offers_accepted = 0;
  uint64_t offers_declined = 0;
  uint64_t offers_rescinded = 0;
  // Tasks that are now in a state which is not terminal, by its number.
  std::array<int64_t, kTaskStates> tasks{};
  // Tasks that entered a terminal state, by its number.
  std::array<uint64_t, kTaskStates> tasks_terminated{};
};

// Why agents leave the table of admitted ones.
enum class AgentRemoval : uint8_t {
  kUnhealthy,
  kNotReregistered,
  kUnregistered,
  kReplaced,
  kGone,
  kMaintenance,
};
inline constexpr int kAgentRemovals = 6;
inline constexpr std::array<std::string_view, kAgentRemovals> kAgentRemovalLabels = {
    "unhealthy", "not_reregistered", "unregistered", "replaced", "gone", "maintenance"};

struct MasterCounters {
  uint64_t agents_registered = 0;
  uint64_t agents_reregistered = 0;
  uint64_t agents_refused = 0;
  std::array<uint64_t, kAgentRemovals> agent_removals{};
  uint64_t unreachable_scheduled = 0;
  uint64_t unreachable_completed = 0;
  uint64_t unreachable_cancelled = 0;
  uint64_t frameworks_registered = 0;
  uint64_t frameworks_removed = 0;
  uint64_t subscriptions_refused = 0;
  uint64_t calls_refused = 0;
  uint64_t offers_sent = 0;
  uint64_t offers_accepted = 0;
  uint64_t offers_declined = 0;
  uint64_t offers_rescinded = 0;
  uint64_t inverse_offers_sent = 0;
  uint64_t inverse_offers_accepted = 0;
  uint64_t inverse_offers_declined = 0;
  uint64_t inverse_offers_rescinded = 0;
  uint64_t tasks_launched = 0;
  std::array<int64_t, kTaskStates> tasks{};
  // By state, source and reason (numbers of the contracts' enumerations).
  std::map<std::tuple<int, int, int>, uint64_t> tasks_terminated;
  uint64_t status_updates = 0;
  uint64_t acknowledgements = 0;
  uint64_t acknowledgements_dropped = 0;
  // Agents that reported a task which was not booked, and were told to bring their inventory anew.
  uint64_t inventories_asked = 0;
  // Entries of inventories that are of a newer world than this master's.
  uint64_t inventory_operations = 0;
  uint64_t messages_to_executors = 0;
  uint64_t messages_from_executors = 0;
  uint64_t registry_commits = 0;
  uint64_t registry_failures = 0;
  uint64_t allocations_given_back = 0;
  uint64_t allocator_links = 0;
  uint64_t allocator_timeouts = 0;
  uint64_t leaderships = 0;
};

// A framework's numbers with what names them; a copy for whoever publishes metrics.
struct FrameworkMetrics {
  std::string id;
  std::string name;
  std::string principal;
  std::string user;
  bool subscribed = false;
  std::vector<std::pair<std::string, bool>> roles_suppressed;
  FrameworkCounters counters;
};

// Everything that is published at one moment.
struct MasterMetrics {
  bool leads = false;
  bool recovering = false;
  uint64_t epoch = 0;
  MasterCounters counters;
  uint64_t agents_connected_active = 0;
  uint64_t agents_connected_inactive = 0;
  uint64_t agents_disconnected = 0;
  uint64_t agents_recovered = 0;
  uint64_t agents_unreachable = 0;
  uint64_t agents_gone = 0;
  uint64_t frameworks_connected = 0;
  uint64_t frameworks_disconnected = 0;
  uint64_t offers_outstanding = 0;
  uint64_t inverse_offers_outstanding = 0;
  uint64_t machines_draining = 0;
  uint64_t machines_down = 0;
  uint64_t registry_queue = 0;
  uint64_t timers = 0;
  bool allocator_connected = false;
  std::vector<FrameworkMetrics> frameworks;
};

}  // namespace tessera::master
