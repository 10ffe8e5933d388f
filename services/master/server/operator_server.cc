#include "services/master/server/operator_server.h"

#include <utility>

#include "protos/tessera/operators/v1/operator_service.grpc.pb.h"
#include "services/master/server/explain_call.h"
#include "services/master/server/master_shell.h"
#include "services/rpc/caller.h"

namespace tessera::master {
namespace {

class OperatorServer final : public ops::OperatorService::CallbackService {
 public:
  explicit OperatorServer(MasterShell* shell) : shell_(*shell), explain_calls_(shell) {}

#define TESSERA_OPERATOR_CALL(Rpc)                                                              \
  grpc::ServerUnaryReactor* Rpc(grpc::CallbackServerContext* context,                           \
                                const ops::Rpc##Request* request, ops::Rpc##Response* response) \
      override {                                                                                \
    return Call(context, *request, response);                                                   \
  }
  TESSERA_OPERATOR_CALL(UpdateQuota)
  TESSERA_OPERATOR_CALL(UpdateWeights)
  TESSERA_OPERATOR_CALL(ReserveResources)
  TESSERA_OPERATOR_CALL(UnreserveResources)
  TESSERA_OPERATOR_CALL(CreateVolumes)
  TESSERA_OPERATOR_CALL(DestroyVolumes)
  TESSERA_OPERATOR_CALL(ResizeVolume)
  TESSERA_OPERATOR_CALL(UpdateMaintenanceSchedule)
  TESSERA_OPERATOR_CALL(GetMaintenanceSchedule)
  TESSERA_OPERATOR_CALL(GetMaintenanceStatus)
  TESSERA_OPERATOR_CALL(StartMaintenance)
  TESSERA_OPERATOR_CALL(StopMaintenance)
  TESSERA_OPERATOR_CALL(DrainAgent)
  TESSERA_OPERATOR_CALL(DeactivateAgent)
  TESSERA_OPERATOR_CALL(ReactivateAgent)
  TESSERA_OPERATOR_CALL(MarkAgentGone)
  TESSERA_OPERATOR_CALL(TeardownFramework)
  TESSERA_OPERATOR_CALL(KillTask)
#undef TESSERA_OPERATOR_CALL

  grpc::ServerUnaryReactor* ExplainAllocation(grpc::CallbackServerContext* context,
                                              const ops::ExplainAllocationRequest* request,
                                              ops::ExplainAllocationResponse* response) override {
    return explain_calls_.Begin(context, *request, response);
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const Request& request,
                                 Response* response) {
    auto [id, reactor] = shell_.operator_calls().Add(context, response);
    if (!id.valid()) return reactor;
    if (absl::Status taken = shell_.PushCall(OperatorCall{id, request, rpc::CallerOf(*context)},
                                             request.ByteSizeLong());
        !taken.ok()) {
      shell_.operator_calls().Finish(id, taken);
    }
    return reactor;
  }

  MasterShell& shell_;
  ExplainCalls explain_calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperatorServer(MasterShell* shell) {
  return std::make_unique<OperatorServer>(shell);
}

}  // namespace tessera::master
