#include "services/agent/server/agent_service.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "protos/tessera/agent/v1/agent_service.grpc.pb.h"
#include "services/agent/core/wire_time.h"
#include "services/agent/server/agent_messages.h"
#include "services/agent/server/file_streams.h"
#include "services/agent/server/sandbox_reader.h"
#include "services/rpc/caller.h"
#include "services/rpc/error.h"
#include "services/rpc/server_stream.h"
#include "services/rpc/status.h"

namespace tessera::agent {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using model::v1::ErrorDetail;

constexpr uint32_t kPageDefault = 1'000;
constexpr uint32_t kPageMax = 10'000;

uint32_t PageSize(uint32_t asked) { return asked == 0 ? kPageDefault : std::min(asked, kPageMax); }

absl::Status NotSupported(const char* what) {
  return rpc::Error(absl::StatusCode::kUnimplemented, ErrorDetail::NOT_SUPPORTED,
                    std::string("this agent does not offer ") + what);
}

ServerUnaryReactor* Answer(CallbackServerContext* context, const absl::Status& status) {
  ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpc(status));
  return reactor;
}

// A unary call that the core answers, unless the caller goes first.
class OperatorCall final : public ServerUnaryReactor,
                           public std::enable_shared_from_this<OperatorCall> {
 public:
  explicit OperatorCall(AgentShell* shell) : shell_(shell) {}

  // `begin` hands the call to the shell and returns its number.
  void Begin(absl::FunctionRef<uint64_t()> begin) {
    self_ = shared_from_this();
    const uint64_t call = begin();
    if (call == 0) return FinishOnce(rpc::Overloaded("operators' calls"));
    call_ = call;
    if (cancelled_) shell_->Forget(call);
  }

  void Refuse(const absl::Status& status) {
    self_ = shared_from_this();
    FinishOnce(status);
  }

  void FinishOnce(const absl::Status& status) {
    if (!finished_.exchange(true)) Finish(rpc::ToGrpc(status));
  }
  // Claims the right to write the response and finish.
  bool Claim() { return !finished_.exchange(true); }

  void OnCancel() override {
    cancelled_ = true;
    if (const uint64_t call = call_; call != 0) shell_->Forget(call);
    FinishOnce(absl::CancelledError("the caller is gone"));
  }
  void OnDone() override { self_.reset(); }

 private:
  AgentShell* const shell_;
  std::atomic<uint64_t> call_{0};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> finished_{false};
  std::shared_ptr<OperatorCall> self_;  // until gRPC is done with it
};

// Gathers the usage of several containers, then finishes the call.
struct UsageGathering {
  ServerUnaryReactor* reactor;
  v1::ListContainersResponse* response;
  absl::Mutex mu;
  size_t left ABSL_GUARDED_BY(mu) = 0;

  void One(int index, const absl::StatusOr<ContainerUsage>* usage) {
    {
      absl::MutexLock lock(&mu);
      // A container that has just ended has no usage.
      if (usage != nullptr && usage->ok()) {
        *response->mutable_containers(index)->mutable_usage() = ToMessage(**usage);
      }
      if (--left > 0) return;
    }
    reactor->Finish(grpc::Status::OK);
  }
};

class Service final : public v1::AgentService::CallbackService, public AgentServiceServer {
 public:
  Service(AgentShell* shell, std::string sandbox_root)
      : shell_(shell), sandbox_root_(std::move(sandbox_root)) {}

  grpc::Service* service() override { return this; }

  ServerUnaryReactor* GetAgent(CallbackServerContext* context, const v1::GetAgentRequest*,
                               v1::GetAgentResponse* response) override {
    const auto view = shell_->View();
    *response->mutable_info() = *view->info;
    response->mutable_total()->Assign(view->total.begin(), view->total.end());
    response->mutable_used()->Assign(view->used.begin(), view->used.end());
    *response->mutable_start_time() = ToTimestamp(view->started);
    response->set_master_address(view->master_address);
    response->set_highest_epoch(view->highest_epoch);
    return Answer(context, absl::OkStatus());
  }

  ServerUnaryReactor* ListContainers(CallbackServerContext* context,
                                     const v1::ListContainersRequest* request,
                                     v1::ListContainersResponse* response) override {
    const auto view = shell_->View();
    if (!view->recovered) return Answer(context, Recovering());
    const std::set<std::string> wanted(request->container_ids().begin(),
                                       request->container_ids().end());
    std::vector<std::shared_ptr<const ContainerView>> found;
    view->containers.ForEach([&](const auto& container) {
      if ((wanted.empty() || wanted.count(container->container_id) > 0) &&
          container->container_id > request->page_token()) {
        found.push_back(container);
      }
    });
    std::sort(found.begin(), found.end(), [](const auto& left, const auto& right) {
      return left->container_id < right->container_id;
    });
    const size_t page = PageSize(request->page_size());
    if (found.size() > page) {
      found.resize(page);
      response->set_next_page_token(found.back()->container_id);
    }
    for (const auto& container : found) *response->add_containers() = ToMessage(*container);
    if (!request->with_usage()) return Answer(context, absl::OkStatus());

    auto gathering = std::make_shared<UsageGathering>();
    gathering->reactor = context->DefaultReactor();
    gathering->response = response;
    {
      absl::MutexLock lock(&gathering->mu);
      gathering->left = found.size() + 1;
    }
    for (size_t i = 0; i < found.size(); ++i) {
      const int index = static_cast<int>(i);
      if (found[i]->state == ContainerView::State::kEnded) {
        gathering->One(index, nullptr);
        continue;
      }
      shell_->runtime()->ReadUsage(found[i]->container_id,
                                   [gathering, index](absl::StatusOr<ContainerUsage> usage) {
                                     gathering->One(index, &usage);
                                   });
    }
    // Read before One() may finish the call.
    ServerUnaryReactor* reactor = gathering->reactor;
    gathering->One(0, nullptr);
    return reactor;
  }

  ServerUnaryReactor* WaitContainer(CallbackServerContext* context,
                                    const v1::WaitContainerRequest* request,
                                    v1::WaitContainerResponse* response) override {
    auto call = std::make_shared<OperatorCall>(shell_);
    call->Begin([&] {
      return shell_->Wait(request->container_id(), rpc::CallerOf(*context),
                          [call, response](absl::Status status,
                                           const std::optional<ContainerTermination>& termination) {
                            if (!call->Claim()) return;
                            if (termination.has_value()) {
                              *response->mutable_termination() = ToMessage(*termination);
                            }
                            call->Finish(rpc::ToGrpc(status));
                          });
    });
    return call.get();
  }

  ServerUnaryReactor* KillContainer(CallbackServerContext* context,
                                    const v1::KillContainerRequest* request,
                                    v1::KillContainerResponse*) override {
    auto call = std::make_shared<OperatorCall>(shell_);
    const int signal = request->signal() == 0 ? 9 : request->signal();
    if (signal < 1 || signal > 64) {
      call->Refuse(rpc::InvalidField("signal", "must be 1 to 64"));
      return call.get();
    }
    call->Begin([&] {
      return shell_->Signal(request->container_id(), signal, rpc::CallerOf(*context),
                            [call](absl::Status status, const auto&) { call->FinishOnce(status); });
    });
    return call.get();
  }

  grpc::ServerWriteReactor<v1::ReadFileResponse>* ReadFile(
      CallbackServerContext* context, const v1::ReadFileRequest* request) override {
    rpc::StreamOptions options;
    options.outgoing_max = 16;
    return rpc::AcceptServerStream<v1::ReadFileResponse>(
        context, options, [&](rpc::StreamPtr<v1::ReadFileResponse> stream) {
          const absl::Status begun = BeginReading(*request, stream);
          if (!begun.ok()) stream->Cancel(begun);
          return [](const absl::Status&) {};
        });
  }

  ServerUnaryReactor* ListFiles(CallbackServerContext* context, const v1::ListFilesRequest* request,
                                v1::ListFilesResponse* response) override {
    const auto sandbox = SandboxOf(request->sandbox());
    if (!sandbox.ok()) return Answer(context, sandbox.status());
    const size_t page = PageSize(request->page_size());
    const auto entries =
        ListSandboxFolder(*sandbox, request->path(), request->page_token(), page + 1);
    if (!entries.ok()) return Answer(context, entries.status());
    for (const SandboxEntry& entry : *entries) {
      if (response->files_size() == static_cast<int>(page)) {
        const std::string& last = response->files(response->files_size() - 1).path();
        response->set_next_page_token(last.substr(last.rfind('/') + 1));
        break;
      }
      v1::ListFilesResponse::File* file = response->add_files();
      file->set_path(entry.path);
      file->set_size(entry.size);
      file->set_mode(entry.mode);
      file->set_user(entry.user);
      file->set_group(entry.group);
      *file->mutable_modified_time() = ToTimestamp(entry.modified);
      file->set_links(entry.links);
    }
    return Answer(context, absl::OkStatus());
  }

  // ---- Not offered ----

  ServerUnaryReactor* LaunchContainer(CallbackServerContext* context,
                                      const v1::LaunchContainerRequest*,
                                      v1::LaunchContainerResponse*) override {
    return Answer(context, NotSupported("containers of the operator's own"));
  }
  ServerUnaryReactor* RemoveContainer(CallbackServerContext* context,
                                      const v1::RemoveContainerRequest*,
                                      v1::RemoveContainerResponse*) override {
    return Answer(context, NotSupported("containers of the operator's own"));
  }
  ServerUnaryReactor* ListImages(CallbackServerContext* context, const v1::ListImagesRequest*,
                                 v1::ListImagesResponse*) override {
    return Answer(context, NotSupported("images"));
  }
  ServerUnaryReactor* PruneImages(CallbackServerContext* context, const v1::PruneImagesRequest*,
                                  v1::PruneImagesResponse*) override {
    return Answer(context, NotSupported("images"));
  }
  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(
      CallbackServerContext* context) override {
    return rpc::AcceptBidi<v1::AttachRequest, v1::AttachResponse>(
        context, {}, [](rpc::StreamPtr<v1::AttachResponse> stream) {
          stream->Cancel(NotSupported("attaching to containers"));
          return rpc::StreamHandlers<v1::AttachRequest>{};
        });
  }
  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecResponse>* Exec(
      CallbackServerContext* context) override {
    return rpc::AcceptBidi<v1::ExecRequest, v1::ExecResponse>(
        context, {}, [](rpc::StreamPtr<v1::ExecResponse> stream) {
          stream->Cancel(NotSupported("commands in running containers"));
          return rpc::StreamHandlers<v1::ExecRequest>{};
        });
  }

 private:
  static absl::Status Recovering() {
    ErrorDetail detail;
    detail.set_reason(ErrorDetail::RECOVERING);
    detail.mutable_retry_after()->set_seconds(1);
    return rpc::Error(absl::StatusCode::kUnavailable, detail,
                      "the agent still finds its containers");
  }

  absl::StatusOr<std::string> SandboxOf(const v1::SandboxRef& ref) const {
    const auto view = shell_->View();
    if (!view->recovered) return Recovering();
    return FindSandbox(*view, sandbox_root_, ref.container_id(), ref.framework_id(), ref.task_id());
  }

  absl::Status BeginReading(const v1::ReadFileRequest& request,
                            const rpc::StreamPtr<v1::ReadFileResponse>& stream) {
    auto sandbox = SandboxOf(request.sandbox());
    if (!sandbox.ok()) return sandbox.status();
    auto file = OpenSandboxFile(*sandbox, request.path());
    if (!file.ok()) return file.status();
    struct stat facts {};
    ::fstat(file->get(), &facts);
    FileStreams::Reading reading;
    reading.file = *std::move(file);
    const int64_t size = facts.st_size;
    const int64_t offset = request.offset();
    reading.offset =
        static_cast<uint64_t>(offset >= 0 ? offset : std::max<int64_t>(0, size + offset));
    if (request.length() > 0) reading.wanted = request.length();
    reading.follow = request.follow();
    reading.stream = stream;
    reading.ended = [this, sandbox = *sandbox] {
      const auto view = shell_->View();
      bool lives = false;
      view->containers.ForEachLive(
          [&](const auto& container) { lives = lives || container->sandbox == sandbox; });
      return !lives;
    };
    return files_.Add(std::move(reading));
  }

  AgentShell* const shell_;
  const std::string sandbox_root_;
  FileStreams files_;
};

}  // namespace

std::unique_ptr<AgentServiceServer> AgentServiceServer::Make(AgentShell* shell,
                                                             std::string sandbox_root) {
  return std::make_unique<Service>(shell, std::move(sandbox_root));
}

}  // namespace tessera::agent
