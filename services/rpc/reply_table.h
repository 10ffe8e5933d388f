// Unary calls that wait for their answer from a strand.
//
// A service method puts the call in the table, pushes an event with the call's id to the strand,
// and returns the reactor. The sink finishes the call when the core's answer comes. Calls that are
// still there when the table goes away are answered UNAVAILABLE, so no client waits for ever.
//
//   grpc::ServerUnaryReactor* Commit(ctx, const Request* request, Response* response) override {
//     auto [id, reactor] = commits_.Add(ctx, response);
//     if (id != 0 && !strand_->Push(...)) commits_.Finish(id, rpc::Overloaded("registry"));
//     return reactor;
//   }
//
// Invariant: ids are never 0 and never reused; each call is finished exactly once.
// Threads: any.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/rpc/status.h"

namespace tessera::rpc {

template <typename Response>
class ReplyTable {
 public:
  // `calls_max`: calls that may wait; more are refused with RESOURCE_EXHAUSTED.
  explicit ReplyTable(size_t calls_max = 16384) : calls_max_(calls_max) {}
  ~ReplyTable() { FailAll(absl::UnavailableError("the service stops")); }
  ReplyTable(const ReplyTable&) = delete;
  ReplyTable& operator=(const ReplyTable&) = delete;

  struct Added {
    uint64_t id;  // 0: the call was refused and is finished already
    grpc::ServerUnaryReactor* reactor;
  };

  Added Add(grpc::CallbackServerContext* context, Response* response) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    absl::MutexLock lock(&mu_);
    if (calls_.size() >= calls_max_) {
      reactor->Finish(ToGrpc(Overloaded("calls that wait")));
      return {0, reactor};
    }
    const uint64_t id = ++last_id_;
    calls_.emplace(id, Waiting{reactor, response});
    return {id, reactor};
  }

  // Answers a call. False when there is none with this id (any more).
  bool Finish(uint64_t id, absl::StatusOr<Response> answer) {
    Waiting call;
    {
      absl::MutexLock lock(&mu_);
      auto it = calls_.find(id);
      if (it == calls_.end()) return false;
      call = it->second;
      calls_.erase(it);
    }
    if (answer.ok()) *call.response = *std::move(answer);
    call.reactor->Finish(ToGrpc(answer.status()));
    return true;
  }

  // Answers all that wait with `status`.
  void FailAll(const absl::Status& status) {
    std::map<uint64_t, Waiting> calls;
    {
      absl::MutexLock lock(&mu_);
      calls.swap(calls_);
    }
    for (auto& [id, call] : calls) call.reactor->Finish(ToGrpc(status));
  }

  size_t size() const {
    absl::MutexLock lock(&mu_);
    return calls_.size();
  }

 private:
  struct Waiting {
    grpc::ServerUnaryReactor* reactor = nullptr;
    Response* response = nullptr;
  };

  const size_t calls_max_;
  mutable absl::Mutex mu_;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Waiting> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::rpc
