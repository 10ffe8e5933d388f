#include "services/state/server/state_reads.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/base/status_macros.h"
#include "services/feed/wire/codec.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::state {
namespace {

constexpr size_t kPageDefault = 1000;
constexpr size_t kPageMax = 10000;
// Snapshots with pages out.
constexpr size_t kKeptMax = 16;

}  // namespace

absl::StatusOr<StateReads::Start> StateReads::Begin(const v1::Page& page, size_t keys) {
  Start start;
  start.snapshot = get_();
  if (start.snapshot == nullptr) {
    return absl::UnavailableError("there is no state yet; try again");
  }
  start.size = page.size() == 0 ? kPageDefault : std::min<size_t>(page.size(), kPageMax);
  if (page.token().empty()) return start;
  const absl::Status malformed =
      rpc::InvalidField("page.token", "is not a token that this service gave");
  const std::vector<std::string> parts = absl::StrSplit(page.token(), '.');
  uint64_t epoch = 0;
  uint64_t version = 0;
  if (parts.size() != keys + 2 || !absl::SimpleAtoi(parts[0], &epoch) ||
      !absl::SimpleAtoi(parts[1], &version)) {
    return malformed;
  }
  for (size_t i = 2; i < parts.size(); ++i) {
    std::string key;
    if (!absl::WebSafeBase64Unescape(parts[i], &key)) return malformed;
    start.after.push_back(std::move(key));
  }
  absl::MutexLock lock(&mu_);
  for (const SnapshotPtr& kept : kept_) {
    if (kept->epoch == epoch && kept->version == version) start.snapshot = kept;
  }
  return start;
}

std::string StateReads::TokenFor(const SnapshotPtr& snapshot,
                                 const std::vector<std::string>& after) {
  std::string token = absl::StrCat(snapshot->epoch, ".", snapshot->version);
  for (const std::string& key : after) {
    absl::StrAppend(&token, ".", absl::WebSafeBase64Escape(key));
  }
  absl::MutexLock lock(&mu_);
  if (std::find(kept_.begin(), kept_.end(), snapshot) == kept_.end()) {
    kept_.push_back(snapshot);
    if (kept_.size() > kKeptMax) kept_.pop_front();
  }
  return token;
}

// `take` says whether it added the entry.
template <typename Map, typename Take>
std::string StateReads::FillPage(const Start& start, const Map& map, Take take) {
  size_t taken = 0;
  std::string last;
  const bool ended = map.ForEachAfter(start.key(), [&](const auto& entry) {
    if (taken == start.size) return false;
    taken += take(entry);
    last = entry.key;
    return true;
  });
  return ended ? "" : TokenFor(start.snapshot, {last});
}

absl::StatusOr<v1::GetClusterResponse> StateReads::GetCluster(double feed_age_seconds) {
  const SnapshotPtr snapshot = get_();
  if (snapshot == nullptr) return absl::UnavailableError("there is no state yet; try again");
  v1::GetClusterResponse response;
  if (snapshot->cluster != nullptr) *response.mutable_cluster() = *snapshot->cluster;
  response.set_epoch(snapshot->epoch);
  response.set_version(snapshot->version);
  uint32_t active = 0;
  uint32_t inactive = 0;
  snapshot->agents.ForEach([&](const auto& entry) {
    if (entry.value.listed()) ++(entry.value.record->active() ? active : inactive);
  });
  response.set_agents_active(active);
  response.set_agents_inactive(inactive);
  response.set_agents_unreachable(snapshot->agent_counts[pb::AGENT_STATE_UNREACHABLE]);
  response.set_frameworks_active(snapshot->framework_counts[pb::FRAMEWORK_STATE_ACTIVE]);
  response.set_frameworks_inactive(snapshot->framework_counts[pb::FRAMEWORK_STATE_DISCONNECTED] +
                                   snapshot->framework_counts[pb::FRAMEWORK_STATE_RECOVERED]);
  response.set_offers(snapshot->offers.size());
  for (size_t state = 1; state < snapshot->task_counts.size(); ++state) {
    if (snapshot->task_counts[state] == 0) continue;
    (*response.mutable_tasks_by_state())[pb::TaskState_Name(static_cast<pb::TaskState>(state))] =
        snapshot->task_counts[state];
  }
  response.set_feed_age_seconds(feed_age_seconds);
  return response;
}

absl::StatusOr<v1::ListAgentsResponse> StateReads::ListAgents(
    const v1::ListAgentsRequest& request) {
  ASSIGN_OR_RETURN(const Start start, Begin(request.page(), 1));
  const std::set<std::string> wanted(request.agent_ids().begin(), request.agent_ids().end());
  v1::ListAgentsResponse response;
  response.set_version(start.snapshot->version);
  response.set_next_page_token(FillPage(start, start.snapshot->agents, [&](const auto& entry) {
    const feed::Agent& agent = entry.value;
    if (agent.record == nullptr || (!wanted.empty() && wanted.count(entry.key) == 0)) return false;
    v1::AgentView* view = response.add_agents();
    *view->mutable_agent() = *agent.record;
    model::wire::ToProto(agent.used, view->mutable_used());
    model::wire::ToProto(agent.offered, view->mutable_offered());
    view->set_tasks(agent.active_tasks);
    return true;
  }));
  return response;
}

absl::StatusOr<v1::ListFrameworksResponse> StateReads::ListFrameworks(
    const v1::ListFrameworksRequest& request) {
  ASSIGN_OR_RETURN(const Start start, Begin(request.page(), 1));
  const std::set<std::string> wanted(request.framework_ids().begin(),
                                     request.framework_ids().end());
  v1::ListFrameworksResponse response;
  response.set_version(start.snapshot->version);
  response.set_next_page_token(FillPage(start, start.snapshot->frameworks, [&](const auto& entry) {
    const feed::Framework& framework = entry.value;
    if (!wanted.empty() && wanted.count(entry.key) == 0) return false;
    if (framework.completed() && !request.with_completed()) return false;
    v1::FrameworkView* view = response.add_frameworks();
    *view->mutable_framework() = feed::ToRecord(*framework.row);
    model::wire::ToProto(framework.Used(), view->mutable_used());
    model::wire::ToProto(framework.Offered(), view->mutable_offered());
    view->set_active_tasks(framework.tasks.size());
    view->set_unreachable_tasks(framework.unreachable_tasks.size());
    view->set_completed_tasks(framework.completed_tasks.size());
    return true;
  }));
  return response;
}

absl::StatusOr<v1::ListTasksResponse> StateReads::ListTasks(const v1::ListTasksRequest& request) {
  std::set<int> states;
  for (const int state : request.states()) {
    if (state == 0 || !pb::TaskState_IsValid(state)) {
      return rpc::InvalidField("states", "names a state that does not exist");
    }
    states.insert(state);
  }
  // A page goes on after a framework, a list of it, and a task of the list.
  ASSIGN_OR_RETURN(const Start start, Begin(request.page(), 3));
  v1::ListTasksResponse response;
  response.set_version(start.snapshot->version);
  std::vector<std::string> last;
  const auto take = [&](const std::string& framework_id, const std::string& list,
                        const feed::PersistentMap<feed::TaskRow>& tasks, const std::string* after) {
    const auto visit = [&](const auto& entry) {
      if (static_cast<size_t>(response.tasks_size()) == start.size) return false;
      last = {framework_id, list, entry.key};
      const feed::TaskRow& task = entry.value;
      if (!request.agent_id().empty() && task.facts->agent_id != request.agent_id()) return true;
      if (!states.empty() && states.count(task.state) == 0) return true;
      v1::TaskView* view = response.add_tasks();
      *view->mutable_task() = feed::ToRecord(task);
      view->set_place(task.place);
      return true;
    };
    if (request.task_id().empty()) return tasks.ForEachAfter(after, visit);
    return feed::ForEachOfId(tasks, request.task_id(), after, visit);
  };
  const auto take_framework = [&](const std::string& id, const feed::Framework& framework,
                                  const std::string& from_list, const std::string* after) {
    if (!request.framework_id().empty() && id != request.framework_id()) return true;
    if (framework.completed() && !request.with_completed()) return true;
    // Of an agent that the framework has nothing on, no list has a task.
    if (!request.agent_id().empty() && framework.holdings.Find(request.agent_id()) == nullptr) {
      return true;
    }
    const std::pair<const char*, const feed::PersistentMap<feed::TaskRow>*> lists[] = {
        {"1", &framework.tasks},
        {"2", &framework.unreachable_tasks},
        {"3", &framework.completed_tasks}};
    for (const auto& [name, tasks] : lists) {
      if (name < from_list || (*name == '3' && !request.with_completed())) continue;
      if (!take(id, name, *tasks, name == from_list ? after : nullptr)) return false;
    }
    return true;
  };
  bool ended = true;
  const std::string* framework_after = nullptr;
  const auto& frameworks = start.snapshot->frameworks;
  if (!start.after.empty()) {
    framework_after = &start.after[0];
    const feed::Framework* framework = frameworks.Find(*framework_after);
    if (framework != nullptr) {
      ended = take_framework(*framework_after, *framework, start.after[1], &start.after[2]);
    }
  }
  if (ended && !request.framework_id().empty()) {
    const feed::Framework* framework = frameworks.Find(request.framework_id());
    if (framework != nullptr &&
        (framework_after == nullptr || *framework_after < request.framework_id())) {
      ended = take_framework(request.framework_id(), *framework, "", nullptr);
    }
  } else if (ended && !request.agent_id().empty()) {
    // Only frameworks that have something on the agent.
    const feed::Agent* agent = start.snapshot->agents.Find(request.agent_id());
    ended =
        agent == nullptr || agent->frameworks.ForEachAfter(framework_after, [&](const auto& of) {
          return take_framework(of.key, *frameworks.Find(of.key), "", nullptr);
        });
  } else if (ended) {
    ended = frameworks.ForEachAfter(framework_after, [&](const auto& entry) {
      return take_framework(entry.key, entry.value, "", nullptr);
    });
  }
  if (!ended) response.set_next_page_token(TokenFor(start.snapshot, last));
  return response;
}

absl::StatusOr<v1::ListOffersResponse> StateReads::ListOffers(
    const v1::ListOffersRequest& request) {
  ASSIGN_OR_RETURN(const Start start, Begin(request.page(), 1));
  v1::ListOffersResponse response;
  response.set_version(start.snapshot->version);
  response.set_next_page_token(FillPage(start, start.snapshot->offers, [&](const auto& entry) {
    if (!request.framework_id().empty() && entry.value != request.framework_id()) return false;
    const feed::Framework* framework = start.snapshot->frameworks.Find(entry.value);
    const feed::OfferPtr& offer = *framework->offers.Find(entry.key);
    return response.add_offers()->ParseFromString(offer->offer.bytes());
  }));
  return response;
}

absl::StatusOr<v1::ListRolesResponse> StateReads::ListRoles(const v1::ListRolesRequest& request) {
  ASSIGN_OR_RETURN(const Start start, Begin(request.page(), 1));
  v1::ListRolesResponse response;
  response.set_version(start.snapshot->version);
  response.set_next_page_token(FillPage(start, start.snapshot->roles, [&](const auto& entry) {
    v1::RoleView* view = response.add_roles();
    if (entry.value.record != nullptr) *view->mutable_role() = *entry.value.record;
    view->mutable_role()->set_name(entry.key);
    entry.value.frameworks.ForEach(
        [&](const auto& framework) { view->add_framework_ids(framework.key); });
    model::wire::ToProto(feed::AllocatedToRole(*start.snapshot, entry.key),
                         view->mutable_allocated());
    return true;
  }));
  return response;
}

}  // namespace tessera::state
