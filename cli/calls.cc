#include "cli/calls.h"

#include <curl/curl.h>
#include <grpcpp/channel.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/endpoints.h"
#include "protos/tessera/agent/v1/agent_service.grpc.pb.h"
#include "protos/tessera/operators/v1/operator_service.grpc.pb.h"
#include "protos/tessera/state/v1/state_service.grpc.pb.h"
#include "services/base/status_macros.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/error.h"
#include "services/rpc/leader_finder.h"

namespace tessera::cli {

namespace {

using model::v1::ErrorDetail;

constexpr uint32_t kPageSize = 5000;
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kRetryWait = absl::Milliseconds(200);

bool WorthARetry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Calls one of `addresses`, going to the leader where one is named, until an answer comes or
// --timeout has passed. `make` gets a channel and returns the call's result.
template <typename Response>
absl::StatusOr<Response> CallUntilAnswered(
    const std::string& what, const std::vector<std::string>& addresses,
    const std::function<absl::StatusOr<Response>(const std::shared_ptr<grpc::Channel>&)>& make) {
  rpc::LeaderFinder finder(addresses);
  const absl::Time deadline = absl::Now() + CommandTimeout();
  for (;;) {
    absl::StatusOr<Response> answer = make(rpc::MakeChannel(finder.address()));
    if (answer.ok() || !WorthARetry(answer.status())) return answer;
    if (absl::Now() + kRetryWait > deadline) {
      return absl::UnavailableError(
          absl::StrCat("no ", what, " answers at ", absl::StrJoin(addresses, ", "), ": ",
                       answer.status().message(), "; check the address and that the service runs"));
    }
    if (!finder.Failed(answer.status())) absl::SleepFor(kRetryWait);
  }
}

template <typename Response, typename Request, typename Method>
absl::StatusOr<Response> CallState(const Request& request, Method method) {
  ASSIGN_OR_RETURN(const std::vector<std::string> addresses, StateAddresses());
  return CallUntilAnswered<Response>(
      "state server", addresses, [&](const std::shared_ptr<grpc::Channel>& channel) {
        auto stub = state::v1::StateService::NewStub(channel);
        return rpc::Call<Response>(request, kCallTimeout, [&](auto* context, auto& r, auto* out) {
          return (stub.get()->*method)(context, r, out);
        });
      });
}

// Asks page by page; `take` gets each page.
template <typename Response, typename Request, typename Method, typename Take>
absl::Status ForEachPage(Request request, Method method, Take take) {
  request.mutable_page()->set_size(kPageSize);
  request.mutable_page()->clear_token();
  for (;;) {
    ASSIGN_OR_RETURN(Response page, (CallState<Response>(request, method)));
    take(page);
    if (page.next_page_token().empty()) return absl::OkStatus();
    request.mutable_page()->set_token(page.next_page_token());
  }
}

template <typename T, typename Repeated>
void MoveTo(Repeated* from, std::vector<T>* to) {
  for (T& item : *from) to->push_back(std::move(item));
}

template <typename Response, typename Request, typename Method>
absl::StatusOr<Response> CallOperator(const Request& request, Method method) {
  ASSIGN_OR_RETURN(const std::vector<std::string> addresses, MasterAddresses());
  return CallUntilAnswered<Response>(
      "master", addresses, [&](const std::shared_ptr<grpc::Channel>& channel) {
        auto stub = operators::v1::OperatorService::NewStub(channel);
        return rpc::Call<Response>(request, kCallTimeout, [&](auto* context, auto& r, auto* out) {
          return (stub.get()->*method)(context, r, out);
        });
      });
}

size_t AppendBody(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

}  // namespace

absl::StatusOr<state::v1::GetClusterResponse> GetCluster() {
  return CallState<state::v1::GetClusterResponse>(state::v1::GetClusterRequest(),
                                                  &state::v1::StateService::Stub::GetCluster);
}

absl::StatusOr<std::vector<state::v1::AgentView>> ListAgents(
    const std::vector<std::string>& agent_ids) {
  state::v1::ListAgentsRequest request;
  for (const std::string& id : agent_ids) request.add_agent_ids(id);
  std::vector<state::v1::AgentView> agents;
  RETURN_IF_ERROR(ForEachPage<state::v1::ListAgentsResponse>(
      request, &state::v1::StateService::Stub::ListAgents,
      [&](auto& page) { MoveTo(page.mutable_agents(), &agents); }));
  return agents;
}

absl::StatusOr<std::vector<state::v1::FrameworkView>> ListFrameworks(bool with_completed) {
  state::v1::ListFrameworksRequest request;
  request.set_with_completed(with_completed);
  std::vector<state::v1::FrameworkView> frameworks;
  RETURN_IF_ERROR(ForEachPage<state::v1::ListFrameworksResponse>(
      request, &state::v1::StateService::Stub::ListFrameworks,
      [&](auto& page) { MoveTo(page.mutable_frameworks(), &frameworks); }));
  return frameworks;
}

absl::StatusOr<std::vector<state::v1::TaskView>> ListTasks(state::v1::ListTasksRequest filter) {
  std::vector<state::v1::TaskView> tasks;
  RETURN_IF_ERROR(ForEachPage<state::v1::ListTasksResponse>(
      std::move(filter), &state::v1::StateService::Stub::ListTasks,
      [&](auto& page) { MoveTo(page.mutable_tasks(), &tasks); }));
  return tasks;
}

absl::StatusOr<std::vector<model::v1::Offer>> ListOffers(const std::string& framework_id) {
  state::v1::ListOffersRequest request;
  request.set_framework_id(framework_id);
  std::vector<model::v1::Offer> offers;
  RETURN_IF_ERROR(ForEachPage<state::v1::ListOffersResponse>(
      request, &state::v1::StateService::Stub::ListOffers,
      [&](auto& page) { MoveTo(page.mutable_offers(), &offers); }));
  return offers;
}

absl::StatusOr<state::v1::TaskView> FindTask(const std::string& framework_id,
                                             const std::string& task_id) {
  state::v1::ListTasksRequest filter;
  filter.set_framework_id(framework_id);
  filter.set_task_id(task_id);
  filter.set_with_completed(true);
  ASSIGN_OR_RETURN(std::vector<state::v1::TaskView> tasks, ListTasks(filter));
  if (tasks.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no task \"", task_id, "\"",
                     framework_id.empty() ? "" : absl::StrCat(" of framework ", framework_id),
                     ": `tessera tasks --all` lists those that are known"));
  }
  for (const auto& task : tasks) {
    if (task.task().framework_id() != tasks[0].task().framework_id()) {
      return absl::InvalidArgumentError(absl::StrCat("several frameworks have a task \"", task_id,
                                                     "\": name one with --framework"));
    }
  }
  return *std::max_element(tasks.begin(), tasks.end(), [](const auto& one, const auto& other) {
    const model::v1::Incarnation& a = one.task().incarnation();
    const model::v1::Incarnation& b = other.task().incarnation();
    return std::pair(a.epoch(), a.number()) < std::pair(b.epoch(), b.number());
  });
}

absl::StatusOr<std::vector<state::v1::RoleView>> ListRoles() {
  std::vector<state::v1::RoleView> roles;
  RETURN_IF_ERROR(ForEachPage<state::v1::ListRolesResponse>(
      state::v1::ListRolesRequest(), &state::v1::StateService::Stub::ListRoles,
      [&](auto& page) { MoveTo(page.mutable_roles(), &roles); }));
  return roles;
}

absl::Status UpdateWeights(const std::map<std::string, int64_t>& weights_milli) {
  operators::v1::UpdateWeightsRequest request;
  for (const auto& [role, weight_milli] : weights_milli) {
    auto* weight = request.add_weights();
    weight->set_role(role);
    weight->set_weight_milli(weight_milli);
  }
  return CallOperator<operators::v1::UpdateWeightsResponse>(
             request, &operators::v1::OperatorService::Stub::UpdateWeights)
      .status();
}

absl::Status UpdateQuota(const operators::v1::UpdateQuotaRequest& request) {
  return CallOperator<operators::v1::UpdateQuotaResponse>(
             request, &operators::v1::OperatorService::Stub::UpdateQuota)
      .status();
}

absl::Status TeardownFramework(const std::string& framework_id) {
  operators::v1::TeardownFrameworkRequest request;
  request.set_framework_id(framework_id);
  return CallOperator<operators::v1::TeardownFrameworkResponse>(
             request, &operators::v1::OperatorService::Stub::TeardownFramework)
      .status();
}

absl::Status KillTask(const std::string& framework_id, const std::string& task_id,
                      std::optional<absl::Duration> grace) {
  operators::v1::KillTaskRequest request;
  request.set_framework_id(framework_id);
  request.set_task_id(task_id);
  if (grace) {
    absl::Duration rest;
    request.mutable_grace_period()->set_seconds(
        absl::IDivDuration(*grace, absl::Seconds(1), &rest));
    request.mutable_grace_period()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  }
  return CallOperator<operators::v1::KillTaskResponse>(
             request, &operators::v1::OperatorService::Stub::KillTask)
      .status();
}

absl::StatusOr<operators::v1::GetMaintenanceScheduleResponse> GetMaintenanceSchedule() {
  return CallOperator<operators::v1::GetMaintenanceScheduleResponse>(
      operators::v1::GetMaintenanceScheduleRequest(),
      &operators::v1::OperatorService::Stub::GetMaintenanceSchedule);
}

absl::StatusOr<operators::v1::GetMaintenanceStatusResponse> GetMaintenanceStatus() {
  return CallOperator<operators::v1::GetMaintenanceStatusResponse>(
      operators::v1::GetMaintenanceStatusRequest(),
      &operators::v1::OperatorService::Stub::GetMaintenanceStatus);
}

absl::Status UpdateMaintenanceSchedule(
    const operators::v1::UpdateMaintenanceScheduleRequest& request) {
  return CallOperator<operators::v1::UpdateMaintenanceScheduleResponse>(
             request, &operators::v1::OperatorService::Stub::UpdateMaintenanceSchedule)
      .status();
}

absl::Status StartMaintenance(const operators::v1::StartMaintenanceRequest& request) {
  return CallOperator<operators::v1::StartMaintenanceResponse>(
             request, &operators::v1::OperatorService::Stub::StartMaintenance)
      .status();
}

absl::Status StopMaintenance(const operators::v1::StopMaintenanceRequest& request) {
  return CallOperator<operators::v1::StopMaintenanceResponse>(
             request, &operators::v1::OperatorService::Stub::StopMaintenance)
      .status();
}

absl::StatusOr<operators::v1::ExplainAllocationResponse> ExplainAllocation(
    const operators::v1::ExplainAllocationRequest& request) {
  return CallOperator<operators::v1::ExplainAllocationResponse>(
      request, &operators::v1::OperatorService::Stub::ExplainAllocation);
}

absl::StatusOr<std::vector<agent::v1::Container>> ListContainers(const std::string& address) {
  auto stub = agent::v1::AgentService::NewStub(rpc::MakeChannel(address));
  agent::v1::ListContainersRequest request;
  request.set_page_size(kPageSize);
  std::vector<agent::v1::Container> containers;
  for (;;) {
    ASSIGN_OR_RETURN(agent::v1::ListContainersResponse page,
                     rpc::Call<agent::v1::ListContainersResponse>(
                         request, kCallTimeout, [&](auto* context, auto& r, auto* out) {
                           return stub->ListContainers(context, r, out);
                         }));
    MoveTo(page.mutable_containers(), &containers);
    if (page.next_page_token().empty()) return containers;
    request.set_page_token(page.next_page_token());
  }
}

absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& path) {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (curl == nullptr) return absl::InternalError("curl cannot be initialised");
  const std::string url = absl::StrCat("http://", address, path);
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &AppendBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(CommandTimeout())));
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    return absl::UnavailableError(absl::StrCat(url, ": ", curl_easy_strerror(code)));
  }
  long http_status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &http_status);
  if (http_status != 200) {
    return absl::UnavailableError(absl::StrCat(url, " answers ", http_status, ": ", body));
  }
  return body;
}

}  // namespace tessera::cli
