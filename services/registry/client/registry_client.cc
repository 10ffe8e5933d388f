#include "services/registry/client/registry_client.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"
#include "services/rpc/leader_finder.h"

namespace tessera::registry {
namespace {

using model::v1::ErrorDetail;

bool FromStandby(const absl::Status& status) {
  return rpc::ReasonOf(status) == ErrorDetail::NOT_LEADER;
}

// Nothing is known of who acts: not the acting one's own word about its disk or its queue.
bool NobodyAnswered(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) ||
         (absl::IsUnavailable(status) && rpc::ReasonOf(status) == ErrorDetail::REASON_UNSPECIFIED);
}

absl::Status WithoutHint(const absl::Status& status) {
  if (!FromStandby(status)) return status;
  return absl::UnavailableError(absl::StrCat("no registry acts: ", status.message()));
}

}  // namespace

// Where calls go now. Shared by the client and the calls that are on their way.
class RegistryClient::Way {
 public:
  // One registry, for as long as calls go there.
  struct Target {
    std::string address;
    std::unique_ptr<v1::RegistryService::Stub> stub;
  };
  using TargetPtr = std::shared_ptr<const Target>;

  explicit Way(std::vector<std::string> addresses)
      : attempts_max_(addresses.size() + 2), finder_(std::move(addresses)) {
    absl::MutexLock lock(&mu_);
    Dial();
  }

  size_t attempts_max() const { return attempts_max_; }

  TargetPtr Current() const {
    absl::MutexLock lock(&mu_);
    return target_;
  }

  // A call or a stream at `target` has ended. True when the call was not taken and somebody else is
  // worth the same call at once.
  bool Ended(const TargetPtr& target, const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    // Another call has found the way already.
    if (target != target_) return FromStandby(status);
    if (status.ok()) {
      finder_.Succeeded();
      return false;
    }
    if (!FromStandby(status) && !NobodyAnswered(status)) return false;
    const bool hinted = finder_.Failed(status);
    if (finder_.address() != target_->address) Dial();
    return hinted;
  }

 private:
  void Dial() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    target_ = std::make_shared<const Target>(Target{
        finder_.address(), v1::RegistryService::NewStub(rpc::MakeChannel(finder_.address()))});
  }

  const size_t attempts_max_;
  mutable absl::Mutex mu_;
  rpc::LeaderFinder finder_ ABSL_GUARDED_BY(mu_);
  TargetPtr target_ ABSL_GUARDED_BY(mu_);
};

namespace {

// Sends one call, and again where a standby points. Way is private to the client.
template <typename Way, typename Response, typename Request, typename Start>
void Send(std::shared_ptr<Way> way, std::shared_ptr<const Request> request, absl::Time deadline,
          size_t attempts_left, Start start, std::function<void(absl::StatusOr<Response>)> done) {
  const auto target = way->Current();
  // The request is shared by the attempts: a commit may be large.
  rpc::CallAsync<Response>(
      request, deadline - absl::Now(),
      [target, start](auto* context, auto* shared, auto* response, auto finished) {
        start(target->stub->async(), context, shared->get(), response, std::move(finished));
      },
      [=, way = std::move(way), done = std::move(done)](absl::StatusOr<Response> answer) {
        const bool again = way->Ended(target, answer.status());
        if (again && attempts_left > 0) {
          return Send<Way, Response, Request>(way, request, deadline, attempts_left - 1, start,
                                              done);
        }
        if (answer.ok()) return done(std::move(answer));
        done(WithoutHint(answer.status()));
      });
}

}  // namespace

RegistryClient::RegistryClient(std::vector<std::string> addresses)
    : way_(std::make_shared<Way>(std::move(addresses))) {}

void RegistryClient::Read(v1::ReadRequest request, absl::Duration timeout,
                          OnAnswer<v1::ReadResponse> on_answer) {
  Send<Way, v1::ReadResponse>(
      way_, std::make_shared<const v1::ReadRequest>(std::move(request)), absl::Now() + timeout,
      way_->attempts_max(),
      [](auto* stub, auto* context, auto* from, auto* to, auto done) {
        stub->Read(context, from, to, std::move(done));
      },
      std::move(on_answer));
}

void RegistryClient::Commit(v1::CommitRequest request, absl::Duration timeout,
                            OnAnswer<v1::CommitResponse> on_answer) {
  Send<Way, v1::CommitResponse>(
      way_, std::make_shared<const v1::CommitRequest>(std::move(request)), absl::Now() + timeout,
      way_->attempts_max(),
      [](auto* stub, auto* context, auto* from, auto* to, auto done) {
        stub->Commit(context, from, to, std::move(done));
      },
      std::move(on_answer));
}

void RegistryClient::Renew(v1::RenewRequest request, absl::Duration timeout,
                           OnAnswer<v1::RenewResponse> on_answer) {
  Send<Way, v1::RenewResponse>(
      way_, std::make_shared<const v1::RenewRequest>(std::move(request)), absl::Now() + timeout,
      way_->attempts_max(),
      [](auto* stub, auto* context, auto* from, auto* to, auto done) {
        stub->Renew(context, from, to, std::move(done));
      },
      std::move(on_answer));
}

void RegistryClient::Resign(v1::ResignRequest request, absl::Duration timeout,
                            OnAnswer<v1::ResignResponse> on_answer) {
  Send<Way, v1::ResignResponse>(
      way_, std::make_shared<const v1::ResignRequest>(std::move(request)), absl::Now() + timeout,
      way_->attempts_max(),
      [](auto* stub, auto* context, auto* from, auto* to, auto done) {
        stub->Resign(context, from, to, std::move(done));
      },
      std::move(on_answer));
}

std::shared_ptr<rpc::StreamControl> RegistryClient::Campaign(
    v1::CampaignRequest request, rpc::StreamHandlers<v1::CampaignResponse> handlers) {
  const Way::TargetPtr target = way_->Current();
  rpc::StreamHandlers<v1::CampaignResponse> own;
  // A first message is a word of the one that acts: hints that led here need no bound any more.
  own.on_message = [way = way_, target,
                    on_message = std::move(handlers.on_message)](v1::CampaignResponse response) {
    way->Ended(target, absl::OkStatus());
    return on_message(std::move(response));
  };
  own.on_done = [way = way_, target,
                 on_done = std::move(handlers.on_done)](const absl::Status& status) {
    way->Ended(target, status);
    on_done(WithoutHint(status));
  };
  return rpc::OpenServerStream<v1::CampaignResponse>(
      std::move(own), [&](auto* context, auto* reactor) {
        target->stub->async()->Campaign(context, &request, reactor);
      });
}

std::string RegistryClient::address() const { return way_->Current()->address; }

}  // namespace tessera::registry
