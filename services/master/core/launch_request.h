// What a framework asks to launch, read once: at the edge, from the messages of its call.
//
// Of a description the core gets what it computes on (ids, resources, the executor), the verdict on
// everything that can be judged without the books, and the rest as the framework's own bytes, which
// nobody reads or encodes again on the way to the agent.
//
// Threads: values; the functions are pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/master/core/contracts.h"
#include "services/model/description.h"
#include "services/model/resources.h"

namespace tessera::master {

struct ExecutorRequest {
  std::string id;
  // Empty, or whose executor the framework says that it is.
  std::string framework_id;
  pb::ExecutorInfo::Type type = pb::ExecutorInfo::TYPE_UNSPECIFIED;
  // As the framework names them, allocated or not.
  model::Resources resources;
  // A serialised ExecutorInfo, and the same without `data`.
  model::Description info;
  model::Description shown;
  // The first rule that it breaks by itself; INVALID_ARGUMENT, for the framework.
  absl::Status wrong;
};

struct TaskRequest {
  std::string id;
  // Empty, or the agent that the framework means.
  std::string agent_id;
  model::Resources resources;
  bool has_command = false;
  std::optional<ExecutorRequest> executor;
  // A serialised TaskInfo, and the same without `data`.
  model::Description info;
  model::Description shown;
  // As of an executor, whose own is not part of it.
  absl::Status wrong;
};

struct OperationRequest {
  // kLaunch and kLaunchGroup have tasks, a group its executor, too. Others are named only.
  pb::Operation::KindCase kind = pb::Operation::KIND_NOT_SET;
  bool has_id = false;
  std::vector<TaskRequest> tasks;
  ExecutorRequest executor;
};

// A sched::AcceptOffersRequest.
struct AcceptOffers {
  sched::Session session;
  std::vector<std::string> offer_ids;
  std::vector<OperationRequest> operations;
  pb::Filters filters;

  size_t tasks() const {
    size_t count = 0;
    for (const OperationRequest& operation : operations) count += operation.tasks.size();
    return count;
  }
};

TaskRequest ReadTask(const pb::TaskInfo& task);
ExecutorRequest ReadExecutor(const pb::ExecutorInfo& executor);
AcceptOffers ReadAcceptOffers(const sched::AcceptOffersRequest& request);

// Whether two descriptions of an executor, as shown, mean the same beside what it holds and whose
// it is.
bool SameExecutor(const model::Description& left, const model::Description& right);

// The descriptions that an agent sends can be read by everybody who follows the cluster.
// INVALID_ARGUMENT (INVALID_FIELD) names the first that cannot.
absl::Status CheckDescriptions(const link::ConnectRequest& batch);

}  // namespace tessera::master
