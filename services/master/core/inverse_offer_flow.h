// Inverse offers: from the allocator's questions to the frameworks' answers.
//
// The allocator asks each framework once for each agent that will be unavailable, and takes the
// question for outstanding until it is answered or ended. So whatever cannot be asked is ended at
// once, and what is asked a second time, because the allocator began anew, is passed over.
#pragma once

#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"

namespace tessera::master {

class InverseOfferFlow {
 public:
  InverseOfferFlow(Books* books, SessionFlow* sessions) : books_(*books), sessions_(*sessions) {}

  void OnAllocations(const alloc::AllocateResponse& response);
  void OnTimeout(const Timer& timer);
  void OnCall(CallId call, const sched::AnswerInverseOffersRequest& request);

 private:
  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
