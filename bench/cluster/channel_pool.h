// A few connections to each master, shared by thousands of simulated clients.
//
// Threads: any.
#pragma once

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/rpc/channel.h"

namespace tessera::bench {

class ChannelPool {
 public:
  // `connections` to each address, so that no connection carries more streams than a server takes.
  explicit ChannelPool(int connections) : connections_(connections) {}

  // The connection to `address` of the client with this number.
  std::shared_ptr<grpc::Channel> Get(const std::string& address, size_t client) {
    absl::MutexLock lock(&mu_);
    auto& channels = by_address_[address];
    if (channels.empty()) {
      rpc::ChannelOptions options;
      options.own_connection = true;
      options.reconnect_initial = absl::Milliseconds(50);
      options.reconnect_max = absl::Milliseconds(500);
      for (int i = 0; i < connections_; ++i) channels.push_back(rpc::MakeChannel(address, options));
    }
    return channels[client % channels.size()];
  }

 private:
  const int connections_;
  absl::Mutex mu_;
  std::map<std::string, std::vector<std::shared_ptr<grpc::Channel>>> by_address_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::bench
