// Offers: from the allocator's decisions to their end, and what frameworks say about what they
// want.
//
// An allocation may have been decided before the allocator knew of a change. Whatever cannot be
// offered any more is given back; what lies on an agent that the allocator was told to forget since
// is dropped, because the allocator forgot it with the agent.
#pragma once

#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"

namespace tessera::master {

class OfferFlow {
 public:
  OfferFlow(Books* books, SessionFlow* sessions) : books_(*books), sessions_(*sessions) {}

  void OnAllocations(const alloc::AllocateResponse& response);
  void OnOfferTimeout(const Timer& timer);

  void OnCall(CallId call, const sched::DeclineOffersRequest& request);
  void OnCall(CallId call, const sched::ReviveOffersRequest& request);
  void OnCall(CallId call, const sched::SuppressOffersRequest& request);
  void OnCall(CallId call, const sched::UnsuppressOffersRequest& request);
  void OnCall(CallId call, const sched::ClearFiltersRequest& request);
  void OnCall(CallId call, const sched::SetDemandRequest& request);

 private:
  using Roles = google::protobuf::RepeatedPtrField<std::string>;

  // The roles meant, all when the list is empty. Refuses the call when one is not subscribed.
  bool ReadRoles(CallId call, const Framework& framework, const Roles& roles,
                 std::vector<std::string>* read);
  void Refuse(CallId call, absl::Status status);

  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
