// OperatorService.ExplainAllocation: a question to the books, then to the allocator, role after
// role. Only reads, so it goes by no event of the core.
//
// Threads: any. Each call holds a thread of gRPC while the strand looks into the books, so few are
// let in at a time.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>

#include "services/master/core/contracts.h"

namespace tessera::master {

class MasterShell;

class ExplainCalls {
 public:
  // `shell` outlives the calls' beginnings, not their ends.
  explicit ExplainCalls(MasterShell* shell)
      : shell_(*shell), under_way_(std::make_shared<std::atomic<int>>(0)) {}

  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context,
                                  const ops::ExplainAllocationRequest& request,
                                  ops::ExplainAllocationResponse* response);

 private:
  MasterShell& shell_;
  std::shared_ptr<std::atomic<int>> under_way_;
};

}  // namespace tessera::master
