#include "services/master/server/scheduler_server.h"

#include <utility>

#include "protos/tessera/scheduler/v1/scheduler_service.grpc.pb.h"
#include "services/master/server/master_shell.h"
#include "services/rpc/caller.h"
#include "services/rpc/server_stream.h"

namespace tessera::master {
namespace {

class SchedulerServer final : public sched::SchedulerService::CallbackService {
 public:
  explicit SchedulerServer(MasterShell* shell) : shell_(*shell) {}

  grpc::ServerWriteReactor<sched::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* context, const sched::SubscribeRequest* request) override {
    return rpc::AcceptServerStream<sched::SubscribeResponse>(
        context, {},
        [&](rpc::StreamPtr<sched::SubscribeResponse> stream)
            -> std::function<void(const absl::Status&)> {
          const StreamId id = shell_.framework_streams().Add(stream);
          if (absl::Status taken = shell_.PushCall(
                  SubscribeOpened{id, *request, rpc::CallerOf(*context)}, request->ByteSizeLong());
              !taken.ok()) {
            shell_.framework_streams().Remove(id);
            stream->Cancel(taken);
            return nullptr;
          }
          return [this, id](const absl::Status&) {
            shell_.framework_streams().Remove(id);
            shell_.PushReserved(StreamClosed{id});
          };
        });
  }

// Every unary rpc is the same: it waits in the table until the core has answered.
#define TESSERA_SCHEDULER_CALL(Rpc)                                        \
  grpc::ServerUnaryReactor* Rpc(grpc::CallbackServerContext* context,      \
                                const sched::Rpc##Request* request,        \
                                sched::Rpc##Response* response) override { \
    return Call(context, *request, response);                              \
  }
  TESSERA_SCHEDULER_CALL(DeclineOffers)
  TESSERA_SCHEDULER_CALL(ReviveOffers)
  TESSERA_SCHEDULER_CALL(SuppressOffers)
  TESSERA_SCHEDULER_CALL(UnsuppressOffers)
  TESSERA_SCHEDULER_CALL(ClearFilters)
  TESSERA_SCHEDULER_CALL(SetDemand)
  TESSERA_SCHEDULER_CALL(AnswerInverseOffers)
  TESSERA_SCHEDULER_CALL(KillTask)
  TESSERA_SCHEDULER_CALL(Acknowledge)
  TESSERA_SCHEDULER_CALL(ReconcileTasks)
  TESSERA_SCHEDULER_CALL(ReconcileOperations)
  TESSERA_SCHEDULER_CALL(SendMessage)
  TESSERA_SCHEDULER_CALL(ShutdownExecutor)
  TESSERA_SCHEDULER_CALL(UpdateFramework)
  TESSERA_SCHEDULER_CALL(Teardown)
#undef TESSERA_SCHEDULER_CALL

  // What is launched is read here, on the caller's thread.
  grpc::ServerUnaryReactor* AcceptOffers(grpc::CallbackServerContext* context,
                                         const sched::AcceptOffersRequest* request,
                                         sched::AcceptOffersResponse* response) override {
    return Push(context, response, request->ByteSizeLong(), ReadAcceptOffers(*request));
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const Request& request,
                                 Response* response) {
    return Push(context, response, request.ByteSizeLong(), request);
  }

  template <typename Response>
  grpc::ServerUnaryReactor* Push(grpc::CallbackServerContext* context, Response* response,
                                 size_t bytes, SchedulerRequest request) {
    auto [id, reactor] = shell_.scheduler_calls().Add(context, response);
    if (!id.valid()) return reactor;
    if (absl::Status taken =
            shell_.PushCall(SchedulerCall{id, std::move(request), rpc::CallerOf(*context)}, bytes);
        !taken.ok()) {
      shell_.scheduler_calls().Finish(id, taken);
    }
    return reactor;
  }

  MasterShell& shell_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSchedulerServer(MasterShell* shell) {
  return std::make_unique<SchedulerServer>(shell);
}

}  // namespace tessera::master
