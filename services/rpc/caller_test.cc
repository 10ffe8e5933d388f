// Who a server takes its callers for, over loopback, plain and with certificates.

#include "services/rpc/caller.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/auth/request_id.h"
#include "services/auth/testing/test_certificates.h"
#include "services/rpc/channel.h"
#include "services/rpc/credentials.h"
#include "services/rpc/server.h"

namespace tessera::rpc {
namespace {

using registry::v1::RegistryService;
using registry::v1::ResignRequest;
using registry::v1::ResignResponse;

// Notes who calls.
class Service final : public RegistryService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Resign(grpc::CallbackServerContext* context, const ResignRequest*,
                                   ResignResponse*) override {
    {
      absl::MutexLock lock(&mu_);
      last_ = CallerOf(*context);
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  auth::Caller last() {
    absl::MutexLock lock(&mu_);
    return last_;
  }

 private:
  absl::Mutex mu_;
  auth::Caller last_ ABSL_GUARDED_BY(mu_);
};

// Calls once, with these request ids in the metadata.
grpc::Status Call(const std::string& address, const std::vector<std::string>& ids = {}) {
  auto stub = RegistryService::NewStub(MakeChannel(address, {.own_connection = true}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.set_wait_for_ready(true);
  for (const std::string& id : ids) context.AddMetadata(auth::kRequestIdHeader, id);
  ResignRequest request;
  ResignResponse response;
  return stub->Resign(&context, request, &response);
}

// Certificates of one authority on both ends.
class MutualTls final : public CredentialsProvider {
 public:
  MutualTls(std::string authority, auth::PemPair own)
      : authority_(std::move(authority)), own_(std::move(own)) {}

  std::shared_ptr<grpc::ServerCredentials> ForServer() const override {
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = authority_;
    options.pem_key_cert_pairs.push_back({own_.private_key, own_.certificate});
    return grpc::SslServerCredentials(options);
  }
  std::shared_ptr<grpc::ChannelCredentials> ForChannel(const std::string&) const override {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority_;
    options.pem_private_key = own_.private_key;
    options.pem_cert_chain = own_.certificate;
    return grpc::SslCredentials(options);
  }

 private:
  const std::string authority_;
  const auth::PemPair own_;
};

// Puts the process's credentials back.
struct CredentialsScope {
  explicit CredentialsScope(std::shared_ptr<const CredentialsProvider> provider) {
    SetProcessCredentials(std::move(provider));
  }
  ~CredentialsScope() { SetProcessCredentials(nullptr); }
};

TEST(CallerTest, IsNobodyOnAPlainConnectionButHasAnAddressAndAnId) {
  Service service;
  auto server = Server::Start({}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE(Call((*server)->address()).ok());
  const auth::Caller first = service.last();
  EXPECT_FALSE(first.authenticated());
  EXPECT_EQ(first.principal(), "");
  EXPECT_TRUE(absl::StartsWith(first.address(), "127.0.0.1:")) << first.address();
  EXPECT_TRUE(auth::IsRequestId(first.request_id())) << first.request_id();

  ASSERT_TRUE(Call((*server)->address()).ok());
  EXPECT_NE(service.last().request_id(), first.request_id());
}

TEST(CallerTest, TakesASoundRequestIdAndNoOther) {
  Service service;
  auto server = Server::Start({}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_TRUE(Call((*server)->address(), {"deploy-7"}).ok());
  EXPECT_EQ(service.last().request_id(), "deploy-7");
  for (const std::string& bad : {std::string(65, 'a'), std::string("a b"), std::string("")}) {
    ASSERT_TRUE(Call((*server)->address(), {bad}).ok());
    EXPECT_NE(service.last().request_id(), bad);
    EXPECT_TRUE(auth::IsRequestId(service.last().request_id()));
  }
}

TEST(CallerTest, IsWhoItsCertificateNames) {
  auth::TestAuthority authority;
  Service service;
  std::unique_ptr<Server> server;
  {
    CredentialsScope scope(
        std::make_shared<MutualTls>(authority.certificate(), authority.Issue("localhost")));
    auto started = Server::Start({.listen = "localhost:0"}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  {
    CredentialsScope scope(
        std::make_shared<MutualTls>(authority.certificate(), authority.Issue("agent-7")));
    const grpc::Status status = Call(server->address());
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  const auth::Caller caller = service.last();
  EXPECT_TRUE(caller.authenticated());
  EXPECT_EQ(caller.proof(), auth::Proof::kCertificate);
  EXPECT_EQ(caller.principal(), "agent-7");
}

TEST(CallerTest, ACertificateOfAStrangerIsRefusedByTheTransport) {
  auth::TestAuthority authority, stranger;
  Service service;
  CredentialsScope scope(
      std::make_shared<MutualTls>(authority.certificate(), authority.Issue("localhost")));
  auto server = Server::Start({.listen = "localhost:0"}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  SetProcessCredentials(
      std::make_shared<MutualTls>(authority.certificate(), stranger.Issue("agent-7")));
  auto stub = RegistryService::NewStub(MakeChannel((*server)->address()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  ResignResponse response;
  EXPECT_EQ(stub->Resign(&context, {}, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(service.last().authenticated());
  EXPECT_EQ(service.last().address(), "");
}

TEST(PeerAddressTest, IsWrittenAsEverywhere) {
  EXPECT_EQ(PeerAddress("ipv4:127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(PeerAddress("ipv6:%5B::1%5D:80"), "[::1]:80");
  EXPECT_EQ(PeerAddress("ipv6:%5Bfe80::1%25eth0%5D:80"), "[fe80::1%eth0]:80");
  EXPECT_EQ(PeerAddress("unix:/run/tessera.sock"), "unix:/run/tessera.sock");
  EXPECT_EQ(PeerAddress(""), "");
  EXPECT_EQ(PeerAddress(std::string(1000, 'x')).size(), 256u);
}

}  // namespace
}  // namespace tessera::rpc
