// What this process proves of itself on its gRPC connections, and asks of its peers: one provider
// for all servers (server.h) and channels (channel.h), which are made in two places only.
//
// Set once, in main(), before the first server or channel. Without it connections are neither
// encrypted nor authenticated.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace tessera::rpc {

class CredentialsProvider {
 public:
  virtual ~CredentialsProvider() = default;
  // Never null; asked once for each server or channel. From any thread.
  virtual std::shared_ptr<grpc::ServerCredentials> ForServer() const = 0;
  // `address` as in MakeChannel: what is dialled.
  virtual std::shared_ptr<grpc::ChannelCredentials> ForChannel(
      const std::string& address) const = 0;
};

// Plain connections.
std::shared_ptr<const CredentialsProvider> InsecureCredentials();

// Replaces the process's provider for servers and channels that are made from now on; null: plain
// connections.
void SetProcessCredentials(std::shared_ptr<const CredentialsProvider> provider);
std::shared_ptr<const CredentialsProvider> ProcessCredentials();

}  // namespace tessera::rpc
