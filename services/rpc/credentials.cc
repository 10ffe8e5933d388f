#include "services/rpc/credentials.h"

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <utility>

#include "absl/base/const_init.h"
#include "absl/synchronization/mutex.h"

namespace tessera::rpc {
namespace {

class Insecure final : public CredentialsProvider {
 public:
  std::shared_ptr<grpc::ServerCredentials> ForServer() const override {
    return grpc::InsecureServerCredentials();
  }
  std::shared_ptr<grpc::ChannelCredentials> ForChannel(const std::string&) const override {
    return grpc::InsecureChannelCredentials();
  }
};

ABSL_CONST_INIT absl::Mutex mu(absl::kConstInit);

// Never destroyed: channels may be made until the very end of the process.
std::shared_ptr<const CredentialsProvider>& Slot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
  static auto* slot = new std::shared_ptr<const CredentialsProvider>(InsecureCredentials());
  return *slot;
}

}  // namespace

std::shared_ptr<const CredentialsProvider> InsecureCredentials() {
  return std::make_shared<const Insecure>();
}

void SetProcessCredentials(std::shared_ptr<const CredentialsProvider> provider) {
  if (provider == nullptr) provider = InsecureCredentials();
  absl::MutexLock lock(&mu);
  Slot() = std::move(provider);
}

std::shared_ptr<const CredentialsProvider> ProcessCredentials() {
  absl::MutexLock lock(&mu);
  return Slot();
}

}  // namespace tessera::rpc
