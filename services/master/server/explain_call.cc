#include "services/master/server/explain_call.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "services/master/core/allocation_inquiry.h"
#include "services/master/server/master_shell.h"
#include "services/rpc/error.h"
#include "services/rpc/status.h"

namespace tessera::master {
namespace {

constexpr int kUnderWayMax = 4;

// One call on its way through the allocator; keeps itself alive while an answer is awaited.
struct Inquiring : std::enable_shared_from_this<Inquiring> {
  grpc::ServerUnaryReactor* reactor = nullptr;
  ops::ExplainAllocationResponse* response = nullptr;
  AskAllocator ask;
  AllocationInquiry inquiry;
  size_t next = 0;
  std::shared_ptr<std::atomic<int>> under_way;

  void Finish(const absl::Status& status) {
    --*under_way;
    reactor->Finish(rpc::ToGrpc(status));
  }
  void AskNext() {
    if (next == inquiry.questions.size()) {
      *response = std::move(inquiry.answer);
      return Finish(absl::OkStatus());
    }
    ask(std::move(inquiry.questions[next++]),
        [self = shared_from_this()](absl::StatusOr<alloc::ExplainAllocationResponse> answer) {
          if (!answer.ok()) return self->Finish(InquiryFailed(answer.status()));
          *self->inquiry.answer.add_roles() = *std::move(answer);
          self->AskNext();
        });
  }
};

}  // namespace

grpc::ServerUnaryReactor* ExplainCalls::Begin(grpc::CallbackServerContext* context,
                                              const ops::ExplainAllocationRequest& request,
                                              ops::ExplainAllocationResponse* response) {
  auto call = std::make_shared<Inquiring>();
  call->reactor = context->DefaultReactor();
  call->response = response;
  call->under_way = under_way_;
  if (++*under_way_ > kUnderWayMax) {
    call->Finish(rpc::Overloaded("questions why nothing is offered"));
    return call->reactor;
  }
  absl::StatusOr<AllocationInquiry> inquiry = absl::UnavailableError("the master starts or stops");
  shell_.Inspect([&](const MasterCore& core) { inquiry = core.InquireAllocation(request); });
  if (!inquiry.ok()) {
    call->Finish(inquiry.status());
    return call->reactor;
  }
  call->inquiry = *std::move(inquiry);
  call->ask = shell_.allocator_questions();
  call->AskNext();
  return call->reactor;
}

}  // namespace tessera::master
