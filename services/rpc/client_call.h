// Unary calls from the client's side, with a time-out and absl statuses.
//
//   rpc::CallAsync<CommitResponse>(
//       request, absl::Seconds(5),
//       [&](auto* ctx, auto* req, auto* resp, auto done) { stub->async()->Commit(ctx, req, resp,
//       done); },
//       [](absl::StatusOr<CommitResponse> answer) { ... });
//   absl::StatusOr<GetResponse> got = rpc::Call<GetResponse>(
//       request, absl::Seconds(5),
//       [&](auto* ctx, auto& req, auto* resp) { return stub->Get(ctx, req, resp); });
#pragma once

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/rpc/status.h"

namespace tessera::rpc {

// Starts a call. `on_answer` comes exactly once, on a thread of gRPC; DEADLINE_EXCEEDED after
// `timeout`. The request is kept until then.
template <typename Response, typename Request, typename StartCall>
void CallAsync(Request request, absl::Duration timeout, StartCall start,
               std::function<void(absl::StatusOr<Response>)> on_answer) {
  struct Pending {
    grpc::ClientContext context;
    Request request;
    Response response;
    std::function<void(absl::StatusOr<Response>)> on_answer;
  };
  auto pending = std::make_shared<Pending>();
  pending->request = std::move(request);
  pending->on_answer = std::move(on_answer);
  pending->context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  start(&pending->context, &pending->request, &pending->response,
        std::function<void(grpc::Status)>([pending](grpc::Status status) {
          auto on_answer = std::move(pending->on_answer);
          if (status.ok()) {
            on_answer(std::move(pending->response));
          } else {
            on_answer(FromGrpc(status));
          }
        }));
}

// Makes a call and waits for its answer. Not for strands.
template <typename Response, typename Request, typename MakeCall>
absl::StatusOr<Response> Call(const Request& request, absl::Duration timeout, MakeCall call) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  Response response;
  const grpc::Status status = call(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

}  // namespace tessera::rpc
