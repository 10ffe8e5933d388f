// What state-svc shows on /metrics: the only place where its names are spelt. Everything is read
// from plain counters when a scrape asks.
//
// Threads: Collect from any thread.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>
#include <vector>

#include "services/feed/server/feed_publisher.h"
#include "services/http/http_server.h"
#include "services/rpc/kind_counts.h"
#include "services/state/server/feed_client.h"
#include "services/state/server/http_routes.h"
#include "services/state/server/state_service.h"

namespace tessera::state {

struct Following {
  FollowView core;
  // The leading master's heartbeat is young enough.
  bool fresh = false;
  uint64_t queue_length = 0;
  std::vector<rpc::KindCount> steps;
  std::vector<rpc::KindCount> effects;
};

struct MetricSources {
  std::function<Following()> follow;
  std::function<double()> feed_age;
  std::function<http::HttpCounters()> http;
  const feed::FeedPublisher* publisher = nullptr;
  const HttpReads* reads = nullptr;
  std::shared_ptr<const ReadCounters> calls;
};

std::shared_ptr<prometheus::Collectable> MakeStateMetrics(MetricSources sources);

}  // namespace tessera::state
