#include "cli/run/sandbox_reader.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "protos/tessera/agent/v1/agent_service.grpc.pb.h"
#include "services/base/status_macros.h"
#include "services/rpc/channel.h"
#include "services/rpc/status.h"

namespace tessera::cli {

namespace {

constexpr absl::Duration kRetryWait = absl::Milliseconds(200);

}  // namespace

struct SandboxReader::State {
  absl::Mutex mu;
  bool cancelled ABSL_GUARDED_BY(mu) = false;
  grpc::ClientContext* context ABSL_GUARDED_BY(mu) = nullptr;
};

SandboxReader::SandboxReader() : state_(std::make_unique<State>()) {}
SandboxReader::~SandboxReader() = default;

void SandboxReader::Cancel() {
  absl::MutexLock lock(&state_->mu);
  state_->cancelled = true;
  if (state_->context != nullptr) state_->context->TryCancel();
}

absl::Status SandboxReader::Read(const SandboxFile& file, int64_t offset, bool follow,
                                 absl::Duration patience,
                                 const std::function<void(const std::string& bytes)>& take) {
  return Receive(file, offset, follow, patience, [&](const agent::v1::ReadFileResponse& response) {
    if (!response.data().empty()) take(response.data());
  });
}

absl::StatusOr<int64_t> SandboxReader::Size(const SandboxFile& file, absl::Duration patience) {
  int64_t size = 0;
  // An empty file answers nothing.
  RETURN_IF_ERROR(
      Receive(file, -1, false, patience, [&](const agent::v1::ReadFileResponse& response) {
        size = static_cast<int64_t>(response.file_size());
      }));
  return size;
}

absl::Status SandboxReader::Receive(
    const SandboxFile& file, int64_t offset, bool follow, absl::Duration patience,
    const std::function<void(const agent::v1::ReadFileResponse&)>& take) {
  auto stub = agent::v1::AgentService::NewStub(rpc::MakeChannel(file.agent_address));
  agent::v1::ReadFileRequest request;
  request.mutable_sandbox()->set_framework_id(file.framework_id);
  request.mutable_sandbox()->set_task_id(file.task_id);
  request.set_path(file.path);
  request.set_offset(offset);
  request.set_follow(follow);
  absl::Time give_up = absl::Now() + patience;
  for (;;) {
    grpc::ClientContext context;
    {
      absl::MutexLock lock(&state_->mu);
      if (state_->cancelled) return absl::CancelledError("the read was cancelled");
      state_->context = &context;
    }
    const auto stream = stub->ReadFile(&context, request);
    agent::v1::ReadFileResponse response;
    while (stream->Read(&response)) {
      take(response);
      request.set_offset(static_cast<int64_t>(response.offset() + response.data().size()));
      give_up = absl::Now() + patience;
    }
    const absl::Status status = rpc::FromGrpc(stream->Finish());
    {
      absl::MutexLock lock(&state_->mu);
      state_->context = nullptr;
      if (state_->cancelled) return absl::CancelledError("the read was cancelled");
    }
    if (!absl::IsUnavailable(status) || absl::Now() > give_up) return status;
    absl::SleepFor(kRetryWait);
  }
}

}  // namespace tessera::cli
