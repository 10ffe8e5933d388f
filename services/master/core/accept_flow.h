// AcceptOffers: offers are used up, tasks are launched on what they held, the rest goes back.
//
// Operations are applied in order on what is left of the offers; one that fails harms no other.
#pragma once

#include <string>
#include <vector>

#include "services/master/core/books.h"
#include "services/master/core/launch_request.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/task_validation.h"

namespace tessera::master {

class AcceptFlow {
 public:
  AcceptFlow(Books* books, SessionFlow* sessions) : books_(*books), sessions_(*sessions) {}

  void OnCall(CallId call, const AcceptOffers& request);

 private:
  // What one call works on.
  struct Accepted {
    Framework& framework;
    Agent& agent;
    std::string role;
    // Of the offers, not used yet.
    model::Resources available;
    sched::AcceptOffersResponse response;
    // A task or executor was booked.
    bool took = false;
  };

  // INVALID_ARGUMENT (INVALID_OFFER) when these cannot be used together.
  absl::Status CheckOffers(const Framework& framework, const std::vector<std::string>& ids);
  void RefuseOffers(CallId call, Framework& framework, const AcceptOffers& request,
                    const absl::Status& why);
  void Launch(Accepted& accepted, const OperationRequest& launch);
  void LaunchGroup(Accepted& accepted, const OperationRequest& launch);
  // Book what is launched, and say so in the message that launches it.
  void BookTask(Accepted& accepted, const TaskRequest& task, const model::Resources& resources,
                const link::ExecutorLaunch* executor, link::TaskLaunch* launch);
  void BookExecutor(Accepted& accepted, const ExecutorRequest& executor,
                    const CheckedExecutor& checked, link::ExecutorLaunch* launch);
  void RefuseTask(Accepted& accepted, const std::string& task_id, pb::TaskState state,
                  pb::TaskStatusReason reason, const std::string& message);
  // Tells of a task that was never booked.
  void TellRefused(Framework& framework, const std::string& task_id, const std::string& agent_id,
                   pb::TaskState state, pb::TaskStatusReason reason, const std::string& message);

  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
