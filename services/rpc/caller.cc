#include "services/rpc/caller.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <random>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "services/auth/request_id.h"

namespace tessera::rpc {
namespace {

constexpr size_t kAddressBytesMax = 256;
constexpr size_t kPrincipalBytesMax = 1024;

auth::RequestIds& ProcessRequestIds() {
  static auto* ids = [] {
    std::random_device device;
    return new auth::RequestIds(uint64_t{device()} << 32 | device());
  }();
  return *ids;
}

std::string_view View(const grpc::string_ref& ref) { return {ref.data(), ref.size()}; }

}  // namespace

std::string PeerAddress(std::string_view grpc_peer) {
  if (grpc_peer.substr(0, 5) == "ipv4:" || grpc_peer.substr(0, 5) == "ipv6:") {
    grpc_peer.remove_prefix(5);
  }
  std::string address =
      absl::StrReplaceAll({grpc_peer.data(), grpc_peer.size()},
                          {{"%5B", "["}, {"%5b", "["}, {"%5D", "]"}, {"%5d", "]"}, {"%25", "%"}});
  if (address.size() > kAddressBytesMax) address.resize(kAddressBytesMax);
  return address;
}

auth::Caller CallerOf(const grpc::ServerContextBase& context) {
  auth::CallerFacts facts;
  facts.address = PeerAddress(context.peer());
  const auto transport = context.auth_context();
  if (transport != nullptr && transport->IsPeerAuthenticated()) {
    const std::vector<grpc::string_ref> names = transport->GetPeerIdentity();
    // A name that had to be cut would be another's.
    if (!names.empty() && !names.front().empty() && names.front().size() <= kPrincipalBytesMax) {
      facts.principal = std::string(View(names.front()));
      facts.proof = auth::Proof::kCertificate;
    }
  }
  std::string_view offered;
  const auto& metadata = context.client_metadata();
  if (const auto found = metadata.find(auth::kRequestIdHeader); found != metadata.end()) {
    offered = View(found->second);
  }
  facts.request_id = ProcessRequestIds().TakeOrMake(offered);
  return auth::Caller(std::move(facts));
}

}  // namespace tessera::rpc
