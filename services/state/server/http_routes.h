// The read endpoints over HTTP: /state, /master/state, /state.json and their like.
//
// A body is made for a snapshot once, whoever asks: requests for the same version share its pieces,
// and those that come while it is made wait for it. Its compressed form, too. Within `max_age` of
// the last one no new body is made even when there is a newer snapshot, so that pollers bound what
// rendering costs.
//
// Threads: handlers run on any thread of the HTTP server.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/feed/core/snapshot.h"
#include "services/http/http_server.h"
#include "services/state/json/state_renderer.h"

namespace tessera::state {

struct HttpReadOptions {
  absl::Duration max_age = absl::Milliseconds(50);
};

// Requests of one endpoint.
struct EndpointCounters {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> not_modified{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> unavailable{0};
  // Time from the request to the finished body, in nanoseconds.
  std::atomic<uint64_t> nanos{0};
};

class HttpReads {
 public:
  enum Endpoint : size_t { kState, kSummary, kSlaves, kFrameworks, kTasks, kRoles, kFlags };
  // The paths, by Endpoint.
  static constexpr std::array<const char*, 7> kEndpoints = {
      "state", "state-summary", "slaves", "frameworks", "tasks", "roles", "flags"};

  HttpReads(HttpReadOptions options, PublicAddress address, std::function<SnapshotPtr()> snapshot,
            std::function<double()> feed_age);
  ~HttpReads();

  // For a server that learns its port late.
  void SetAddress(PublicAddress address) { renderer_.SetAddress(std::move(address)); }

  // Every route; the object outlives the server that serves them.
  std::vector<http::Route> Routes();

  const EndpointCounters& counters(size_t endpoint) const { return counters_[endpoint]; }
  const RenderCounters& rendered() const { return renderer_.counters(); }
  // Of the last whole /state, in bytes.
  uint64_t state_bytes() const { return state_bytes_.load(); }
  // Times that /state was put together, and how long that took in all, in nanoseconds.
  uint64_t states_built() const { return states_built_.load(); }
  uint64_t build_nanos() const { return build_nanos_.load(); }

 private:
  class SharedBody;
  using Render = std::function<JsonBody(const Snapshot&, const http::HttpRequest&)>;

  http::HttpResponse Answer(Endpoint endpoint, const http::HttpRequest& request,
                            const Render& render);
  // Headers and status. False when the client has this snapshot already, and gets no body.
  bool Begin(Endpoint endpoint, const http::HttpRequest& request, const SnapshotPtr& snapshot,
             http::HttpResponse* response);
  http::HttpResponse Respond(Endpoint endpoint, const http::HttpRequest& request,
                             const SharedBody& body);
  http::HttpResponse RespondWithTasks(const http::HttpRequest& request,
                                      const SnapshotPtr& snapshot);
  std::shared_ptr<SharedBody> StateBody(const SnapshotPtr& snapshot);

  const HttpReadOptions options_;
  StateRenderer renderer_;
  const std::function<SnapshotPtr()> snapshot_;
  const std::function<double()> feed_age_;
  std::array<EndpointCounters, kEndpoints.size()> counters_;
  std::atomic<uint64_t> state_bytes_{0};
  std::atomic<uint64_t> states_built_{0};
  std::atomic<uint64_t> build_nanos_{0};

  absl::Mutex mu_;
  std::shared_ptr<SharedBody> state_body_ ABSL_GUARDED_BY(mu_);
  absl::Time state_body_made_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

// A name that may be called with an answer: letters, digits, `_`, `$` and `.`, at most 128.
bool IsCallbackName(std::string_view name);

}  // namespace tessera::state
