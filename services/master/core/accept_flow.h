// AcceptOffers: offers are used up, tasks are launched on what they held, the rest goes back.
//
// Operations are applied in order on what is left of the offers; one that fails harms no other.
#pragma once

#include <string>
#include <vector>

#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"

namespace tessera::master {

class AcceptFlow {
 public:
  AcceptFlow(Books* books, SessionFlow* sessions) : books_(*books), sessions_(*sessions) {}

  void OnCall(CallId call, const sched::AcceptOffersRequest& request);

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
  absl::Status CheckOffers(const Framework& framework,
                           const google::protobuf::RepeatedPtrField<std::string>& ids);
  void RefuseOffers(CallId call, Framework& framework, const sched::AcceptOffersRequest& request,
                    const absl::Status& why);
  void Launch(Accepted& accepted, const pb::Operation::Launch& launch, bool has_operation_id);
  void LaunchGroup(Accepted& accepted, const pb::Operation::LaunchGroup& launch,
                   bool has_operation_id);
  void BookTask(Accepted& accepted, const pb::TaskInfo& task, const model::Resources& resources);
  void BookExecutor(Accepted& accepted, const pb::ExecutorInfo& executor,
                    const model::Resources& resources);
  void RefuseTask(Accepted& accepted, const std::string& task_id, pb::TaskState state,
                  pb::TaskStatusReason reason, const std::string& message);
  // Tells of a task that was never booked.
  void TellRefused(Framework& framework, const std::string& task_id, const std::string& agent_id,
                   pb::TaskState state, pb::TaskStatusReason reason, const std::string& message);

  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
