// StateService over gRPC: lists run on a pool of threads, watches are fed from the hub.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "services/feed/server/feed_publisher.h"
#include "services/state/server/state_reads.h"

namespace grpc {
class Service;
}

namespace tessera::state {

class ReadPool;

// Calls handled, by method and by the class of their result.
struct ReadCounters {
  enum Method { kGetCluster, kListAgents, kListFrameworks, kListTasks, kListOffers, kListRoles };
  static constexpr std::array<const char*, 6> kNames = {
      "GetCluster", "ListAgents", "ListFrameworks", "ListTasks", "ListOffers", "ListRoles"};
  std::array<std::atomic<uint64_t>, 6> ok{};
  std::array<std::atomic<uint64_t>, 6> failed{};
  std::atomic<uint64_t> watches{0};
};

// The three arguments outlive the service. `feed_age` gives the seconds since the feed was heard
// of.
std::unique_ptr<grpc::Service> MakeStateService(feed::FeedPublisher* publisher, StateReads* reads,
                                                ReadPool* pool, std::function<double()> feed_age,
                                                std::shared_ptr<ReadCounters> counters);

}  // namespace tessera::state
