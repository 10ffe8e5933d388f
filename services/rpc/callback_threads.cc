#include "services/rpc/callback_threads.h"

#include <glog/logging.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

namespace tessera::rpc {

void KeepCallbackThreads() {
  // A server without ports: it never gets a call, and is never deleted.
  static const grpc::Server* const keeper = [] {
    static auto* service = new grpc::CallbackGenericService();
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(service);
    return builder.BuildAndStart().release();
  }();
  CHECK(keeper != nullptr) << "gRPC cannot start";
}

}  // namespace tessera::rpc
