// Unary calls of any type that wait for an answer of the strand.
//
// Invariants: ids are never 0 and never reused; each call is finished exactly once; calls that are
// still there when the table goes away are answered UNAVAILABLE.
//
// Threads: any.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/master/core/master_events.h"
#include "services/rpc/error.h"
#include "services/rpc/status.h"

namespace tessera::master {

// `Answer` is a variant of responses.
template <typename Answer>
class CallTable {
 public:
  explicit CallTable(size_t calls_max) : calls_max_(calls_max) {}
  ~CallTable() { FailAll(absl::UnavailableError("the master stops")); }
  CallTable(const CallTable&) = delete;
  CallTable& operator=(const CallTable&) = delete;

  struct Added {
    CallId id;  // not valid: the call was refused and is finished already
    grpc::ServerUnaryReactor* reactor;
  };

  template <typename Response>
  Added Add(grpc::CallbackServerContext* context, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    absl::MutexLock lock(&mu_);
    if (calls_.size() >= calls_max_) {
      reactor->Finish(rpc::ToGrpc(rpc::Overloaded("calls that wait")));
      return {CallId(), reactor};
    }
    const CallId id(++last_id_);
    calls_.emplace(id, Waiting{reactor, [response](Answer answer) {
                                 auto* own = std::get_if<Response>(&answer);
                                 if (own != nullptr) *response = std::move(*own);
                                 return own != nullptr;
                               }});
    return {id, reactor};
  }

  void Finish(CallId id, absl::StatusOr<Answer> answer) {
    Waiting call;
    {
      absl::MutexLock lock(&mu_);
      auto found = calls_.find(id);
      if (found == calls_.end()) return;
      call = std::move(found->second);
      calls_.erase(found);
    }
    absl::Status status = answer.status();
    if (status.ok() && !call.take(*std::move(answer))) {
      status = absl::InternalError("the master answered another call");
    }
    call.reactor->Finish(rpc::ToGrpc(status));
  }

  void FailAll(const absl::Status& status) {
    std::map<CallId, Waiting> calls;
    {
      absl::MutexLock lock(&mu_);
      calls.swap(calls_);
    }
    for (auto& [id, call] : calls) call.reactor->Finish(rpc::ToGrpc(status));
  }

 private:
  struct Waiting {
    grpc::ServerUnaryReactor* reactor = nullptr;
    std::function<bool(Answer)> take;
  };

  const size_t calls_max_;
  absl::Mutex mu_;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<CallId, Waiting> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::master
