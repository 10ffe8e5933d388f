// What goes into a scheduler's core and what it asks for in return.
//
// Calls are the request messages of SchedulerService; the core fills in their session. Everything
// that happens between the framework and the master is one of these structs, so that the simulator
// can stand in for the network and for the framework.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "protos/tessera/scheduler/v1/scheduler_service.pb.h"

namespace tessera::sdk {

// Every call that a subscribed framework can make. The session of a request is set by the core.
using Request =
    std::variant<scheduler::v1::AcceptOffersRequest, scheduler::v1::DeclineOffersRequest,
                 scheduler::v1::ReviveOffersRequest, scheduler::v1::SuppressOffersRequest,
                 scheduler::v1::UnsuppressOffersRequest, scheduler::v1::ClearFiltersRequest,
                 scheduler::v1::SetDemandRequest, scheduler::v1::AnswerInverseOffersRequest,
                 scheduler::v1::KillTaskRequest, scheduler::v1::AcknowledgeRequest,
                 scheduler::v1::ReconcileTasksRequest, scheduler::v1::ReconcileOperationsRequest,
                 scheduler::v1::SendMessageRequest, scheduler::v1::ShutdownExecutorRequest,
                 scheduler::v1::UpdateFrameworkRequest, scheduler::v1::TeardownRequest>;

// ---- Events ----

// The framework begins: subscribe.
struct Start {};

// A batch of events on the stream that OpenStream{attempt} opened.
struct StreamEvents {
  uint64_t attempt = 0;
  std::vector<scheduler::v1::Event> events;
};

// That stream is over. Also the answer when it could not be opened.
struct StreamEnded {
  uint64_t attempt = 0;
  absl::Status status;
};

// The answer to SendCall{id}.
struct CallAnswered {
  uint64_t id = 0;
  absl::Status status;
  // Of AcceptOffers: as in its answer.
  std::vector<std::string> ids_in_use;
};

// The framework makes a call. Refused with an effect CallFailed when it cannot be sent now.
struct MakeCall {
  Request request;
};

// The framework took note of an update: acknowledge it.
struct UpdateHandled {
  model::v1::TaskStatus status;
};

// Tasks of an earlier life of the framework, with the agents they run on when known: they are
// reconciled like tasks that were launched here.
struct AdoptTasks {
  struct Task {
    std::string task_id;
    std::string agent_id;
    // Of a task whose id had been used before: the end of the launch before it, as it was told.
    // What is said of that one is then not taken for this one's.
    std::string earlier_uuid;
    std::string earlier_container_id;
  };
  std::vector<Task> tasks;
};

// End the session. With `teardown` the framework and its tasks end, too; without, it can come back
// under its id within its failover_timeout.
struct Stop {
  bool teardown = false;
};

// The deadline of the core has passed.
struct Wake {};

using Event = std::variant<Start, StreamEvents, StreamEnded, CallAnswered, MakeCall, UpdateHandled,
                           AdoptTasks, Stop, Wake>;

// ---- Effects ----

// Open Subscribe at `address`. Its events and its end come back with the same attempt.
struct OpenStream {
  uint64_t attempt = 0;
  std::string address;
  scheduler::v1::SubscribeRequest request;
};

// End that stream; StreamEnded comes all the same.
struct CancelStream {
  uint64_t attempt = 0;
};

// Make a unary call at `address`, and answer with CallAnswered{id}.
struct SendCall {
  uint64_t id = 0;
  std::string address;
  Request request;
};

// For the framework: an event of the master. Updates that the framework has seen already and
// heartbeats are not passed on.
struct Deliver {
  scheduler::v1::Event event;
};

// For the framework: the session is down and being opened anew.
struct Disconnected {
  absl::Status status;
};

// For the framework: a call was refused, or it is not known whether it took effect (UNAVAILABLE,
// DEADLINE_EXCEEDED). Tasks of such a call are reconciled by the core.
struct CallFailed {
  Request request;
  absl::Status status;
};

// For the framework: the session has ended for good and nothing follows. OK after Stop.
struct Ended {
  absl::Status status;
};

using Effect =
    std::variant<OpenStream, CancelStream, SendCall, Deliver, Disconnected, CallFailed, Ended>;
using Effects = std::vector<Effect>;

}  // namespace tessera::sdk
