// Calls to the registry that acts, of several that may.
//
// One of the registries acts at a time; the others stand by and refuse every call, naming the one
// that acts where they know it. The client stays with the one that answers, follows what standbys
// say, and goes round the list when nothing answers.
//
// Invariants: a call is sent again only when a standby refused it, which did nothing with it; every
// other failure is the caller's, who waits before it tries again and then reaches the next one. An
// answer comes once. What a standby says never reaches the caller as a hint: it names a registry,
// and the caller's own clients look for another service.
//
// Threads: every function from any thread; answers come on threads of gRPC, also after the client
// has gone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/rpc/stream.h"

namespace tessera::registry {

class RegistryClient {
 public:
  template <typename Response>
  using OnAnswer = std::function<void(absl::StatusOr<Response>)>;

  // `addresses`: `host:port` of each registry that may act, in the order to try. Not empty.
  explicit RegistryClient(std::vector<std::string> addresses);
  RegistryClient(const RegistryClient&) = delete;
  RegistryClient& operator=(const RegistryClient&) = delete;

  // As the calls of RegistryService, with its statuses; UNAVAILABLE when no registry acts or can be
  // reached, DEADLINE_EXCEEDED after `timeout`. A commit that failed in these ways may have been
  // done.
  void Read(v1::ReadRequest request, absl::Duration timeout, OnAnswer<v1::ReadResponse> on_answer);
  void Commit(v1::CommitRequest request, absl::Duration timeout,
              OnAnswer<v1::CommitResponse> on_answer);
  void Renew(v1::RenewRequest request, absl::Duration timeout,
             OnAnswer<v1::RenewResponse> on_answer);
  void Resign(v1::ResignRequest request, absl::Duration timeout,
              OnAnswer<v1::ResignResponse> on_answer);

  // Opens a campaign at the registry that seems to act. When it ends, open another: that goes to
  // where the end has pointed.
  std::shared_ptr<rpc::StreamControl> Campaign(v1::CampaignRequest request,
                                               rpc::StreamHandlers<v1::CampaignResponse> handlers);

  // The registry that the next call goes to.
  std::string address() const;

 private:
  class Way;
  const std::shared_ptr<Way> way_;
};

}  // namespace tessera::registry
