#include "services/state/server/state_service.h"

#include <utility>

#include "protos/tessera/state/v1/state_service.grpc.pb.h"
#include "services/feed/server/feed_hub.h"
#include "services/rpc/bytes.h"
#include "services/rpc/status.h"
#include "services/state/core/watch_cursor.h"
#include "services/state/server/read_pool.h"
#include "services/state/server/watched_bytes.h"

namespace tessera::state {
namespace {

using S = v1::StateService;
using Base = S::WithRawCallbackMethod_Watch<
    S::WithCallbackMethod_GetCluster<S::WithCallbackMethod_ListAgents<
        S::WithCallbackMethod_ListFrameworks<S::WithCallbackMethod_ListTasks<
            S::WithCallbackMethod_ListOffers<S::WithCallbackMethod_ListRoles<S::Service>>>>>>>;
using Reactor = grpc::ServerUnaryReactor;
using Context = grpc::CallbackServerContext;

class StateServiceServer final : public Base {
 public:
  StateServiceServer(feed::FeedPublisher* publisher, StateReads* reads, ReadPool* pool,
                     std::function<double()> feed_age, std::shared_ptr<ReadCounters> counters)
      : hub_(publisher->hub()),
        reads_(reads),
        pool_(pool),
        feed_age_(std::move(feed_age)),
        counters_(std::move(counters)) {
    hub_->KeepForWatchers();
  }

  Reactor* GetCluster(Context* context, const v1::GetClusterRequest*,
                      v1::GetClusterResponse* response) override {
    return Answer(context, ReadCounters::kGetCluster, response,
                  [this] { return reads_->GetCluster(feed_age_()); });
  }
  Reactor* ListAgents(Context* context, const v1::ListAgentsRequest* request,
                      v1::ListAgentsResponse* response) override {
    return Answer(context, ReadCounters::kListAgents, response,
                  [this, request] { return reads_->ListAgents(*request); });
  }
  Reactor* ListFrameworks(Context* context, const v1::ListFrameworksRequest* request,
                          v1::ListFrameworksResponse* response) override {
    return Answer(context, ReadCounters::kListFrameworks, response,
                  [this, request] { return reads_->ListFrameworks(*request); });
  }
  Reactor* ListTasks(Context* context, const v1::ListTasksRequest* request,
                     v1::ListTasksResponse* response) override {
    return Answer(context, ReadCounters::kListTasks, response,
                  [this, request] { return reads_->ListTasks(*request); });
  }
  Reactor* ListOffers(Context* context, const v1::ListOffersRequest* request,
                      v1::ListOffersResponse* response) override {
    return Answer(context, ReadCounters::kListOffers, response,
                  [this, request] { return reads_->ListOffers(*request); });
  }
  Reactor* ListRoles(Context* context, const v1::ListRolesRequest* request,
                     v1::ListRolesResponse* response) override {
    return Answer(context, ReadCounters::kListRoles, response,
                  [this, request] { return reads_->ListRoles(*request); });
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(Context* context,
                                                    const grpc::ByteBuffer* bytes) override {
    counters_->watches.fetch_add(1, std::memory_order_relaxed);
    v1::WatchRequest request;
    grpc::ByteBuffer copy = *bytes;
    const absl::Status parsed = rpc::FromBytes(&copy, &request);
    if (!parsed.ok()) return feed::PullStream::Refuse(context, parsed);
    return hub_->Serve(
        context, std::make_unique<WatchCursor>(
                     request, [this](const feed::LoggedDelta& delta, const WatchFilter& filter) {
                       return watched_.Of(delta, filter);
                     }));
  }

 private:
  // Request and response live until the reactor is finished.
  template <typename Response, typename Read>
  Reactor* Answer(Context* context, ReadCounters::Method method, Response* response, Read read) {
    Reactor* reactor = context->DefaultReactor();
    auto work = [this, reactor, method, response, read] {
      absl::StatusOr<Response> answer = read();
      Count(method, answer.ok());
      if (answer.ok()) *response = *std::move(answer);
      reactor->Finish(rpc::ToGrpc(answer.status()));
    };
    if (!pool_->Run(std::move(work))) {
      Count(method, false);
      reactor->Finish(rpc::ToGrpc(rpc::Overloaded("reads")));
    }
    return reactor;
  }

  void Count(ReadCounters::Method method, bool ok) {
    (ok ? counters_->ok : counters_->failed)[method].fetch_add(1, std::memory_order_relaxed);
  }

  feed::FeedHub* const hub_;
  // Outlived by no stream: the hub is stopped before the service goes.
  WatchedBytes watched_;
  StateReads* const reads_;
  ReadPool* const pool_;
  const std::function<double()> feed_age_;
  const std::shared_ptr<ReadCounters> counters_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeStateService(feed::FeedPublisher* publisher, StateReads* reads,
                                                ReadPool* pool, std::function<double()> feed_age,
                                                std::shared_ptr<ReadCounters> counters) {
  return std::make_unique<StateServiceServer>(publisher, reads, pool, std::move(feed_age),
                                              std::move(counters));
}

}  // namespace tessera::state
