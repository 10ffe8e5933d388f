#include "services/state/server/http_routes.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tessera::state {
namespace {

// Below this, compressing costs more than it saves.
constexpr size_t kGzipBytesMin = 1024;

uint64_t Nanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string Etag(const Snapshot& snapshot) {
  return absl::StrCat("W/\"", snapshot.epoch, "-", snapshot.version, "\"");
}

// What cannot be read falls back in silence, as it always has.
int64_t Number(std::string_view text, int64_t fallback) {
  int64_t number = 0;
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number) ? number : fallback;
}

StateRenderer::TaskQuery TasksAskedFor(const http::HttpRequest& request) {
  StateRenderer::TaskQuery query;
  query.framework_id = std::string(request.Param("framework_id"));
  query.task_id = std::string(request.Param("task_id"));
  query.limit = Number(request.Param("limit"), query.limit);
  query.offset = std::max<int64_t>(0, Number(request.Param("offset"), 0));
  query.ascending = request.Param("order") == "asc";
  return query;
}

}  // namespace

// A body and its compressed form, each made once.
class HttpReads::SharedBody {
 public:
  SharedBody(SnapshotPtr of, JsonBody body)
      : snapshot(std::move(of)), size(body.size()), text(body.Chunks()), body_(std::move(body)) {}

  const std::vector<Chunk>& Gzip() const {
    std::call_once(gzip_once_, [this] { gzip_ = JoinAsGzip(body_.pieces); });
    return gzip_;
  }
  const JsonBody& body() const { return body_; }

  const SnapshotPtr snapshot;
  const size_t size;
  const std::vector<Chunk> text;

 private:
  const JsonBody body_;
  mutable std::once_flag gzip_once_;
  mutable std::vector<Chunk> gzip_;
};

bool IsCallbackName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '.';
  });
}

HttpReads::HttpReads(HttpReadOptions options, PublicAddress address,
                     std::function<SnapshotPtr()> snapshot, std::function<double()> feed_age)
    : options_(options),
      renderer_(std::move(address)),
      snapshot_(std::move(snapshot)),
      feed_age_(std::move(feed_age)) {}

HttpReads::~HttpReads() = default;

std::shared_ptr<HttpReads::SharedBody> HttpReads::StateBody(const SnapshotPtr& snapshot) {
  absl::MutexLock lock(&mu_);
  if (state_body_ != nullptr) {
    const bool same = state_body_->snapshot == snapshot;
    const bool young = absl::Now() - state_body_made_ < options_.max_age &&
                       state_body_->snapshot->epoch == snapshot->epoch;
    if (same || young) return state_body_;
  }
  const uint64_t began = Nanos();
  state_body_ = std::make_shared<SharedBody>(snapshot, renderer_.State(*snapshot));
  state_body_made_ = absl::Now();
  build_nanos_.fetch_add(Nanos() - began);
  states_built_.fetch_add(1);
  state_bytes_.store(state_body_->size);
  return state_body_;
}

bool HttpReads::Begin(Endpoint endpoint, const http::HttpRequest& request,
                      const SnapshotPtr& snapshot, http::HttpResponse* response) {
  const std::string etag = Etag(*snapshot);
  const double age = feed_age_();
  response->headers = {{"ETag", etag},
                       {"Cache-Control", "no-cache"},
                       {"X-State-Revision", absl::StrCat(snapshot->epoch, ".", snapshot->version)},
                       {"Age", absl::StrCat(static_cast<uint64_t>(std::clamp(age, 0.0, 1e9)))}};
  const bool wrapped = !request.Param("jsonp").empty();
  response->content_type = wrapped ? "text/javascript" : "application/json";
  if (wrapped || request.Header("if-none-match") != etag) return true;
  counters_[endpoint].not_modified.fetch_add(1);
  response->status = 304;
  return false;
}

http::HttpResponse HttpReads::Respond(Endpoint endpoint, const http::HttpRequest& request,
                                      const SharedBody& body) {
  http::HttpResponse response;
  if (!Begin(endpoint, request, body.snapshot, &response)) return response;
  // Any number of readers of one /state share its pieces.
  response.shared = endpoint == kState;
  const std::string callback(request.Param("jsonp"));
  const bool gzip =
      body.size >= kGzipBytesMin && http::AcceptsGzip(request.Header("accept-encoding"));
  if (callback.empty()) {
    response.body = body.text;
    if (gzip) response.gzip_body = body.Gzip();
    return response;
  }
  JsonBody wrapped;
  wrapped.Add(callback + "(");
  wrapped.pieces.insert(wrapped.pieces.end(), body.body().pieces.begin(), body.body().pieces.end());
  wrapped.Add(")");
  response.body = wrapped.Chunks();
  if (gzip) response.gzip_body = JoinAsGzip(wrapped.pieces);
  return response;
}

// All tasks of a cluster are too much to be put together for each reader: they are told piece by
// piece, as fast as the reader takes them.
http::HttpResponse HttpReads::RespondWithTasks(const http::HttpRequest& request,
                                               const SnapshotPtr& snapshot) {
  http::HttpResponse response;
  if (!Begin(kTasks, request, snapshot, &response)) return response;
  std::function<Chunk()> pieces = renderer_.TaskPieces(snapshot, TasksAskedFor(request));
  const std::string callback(request.Param("jsonp"));
  if (callback.empty()) {
    response.next = std::move(pieces);
    return response;
  }
  response.body.push_back(http::MakeChunk(callback + "("));
  response.next = [pieces = std::move(pieces), ended = false]() mutable -> Chunk {
    if (ended) return nullptr;
    Chunk piece = pieces();
    if (piece != nullptr) return piece;
    ended = true;
    return http::MakeChunk(")");
  };
  return response;
}

http::HttpResponse HttpReads::Answer(Endpoint endpoint, const http::HttpRequest& request,
                                     const Render& render) {
  EndpointCounters& counters = counters_[endpoint];
  counters.requests.fetch_add(1);
  const std::string_view callback = request.Param("jsonp");
  if (!callback.empty() && !IsCallbackName(callback)) {
    counters.refused.fetch_add(1);
    return http::HttpResponse::Text(400,
                                    "jsonp must be 1 to 128 letters, digits, '_', '$' or '.'\n");
  }
  const SnapshotPtr snapshot = snapshot_();
  if (snapshot == nullptr) {
    counters.unavailable.fetch_add(1);
    return http::HttpResponse::Text(503, "No leader elected\n");
  }
  const uint64_t began = Nanos();
  http::HttpResponse response;
  if (endpoint == kState) {
    response = Respond(endpoint, request, *StateBody(snapshot));
  } else if (endpoint == kTasks) {
    response = RespondWithTasks(request, snapshot);
  } else {
    response = Respond(endpoint, request, SharedBody(snapshot, render(*snapshot, request)));
  }
  counters.nanos.fetch_add(Nanos() - began);
  return response;
}

std::vector<http::Route> HttpReads::Routes() {
  std::vector<http::Route> routes;
  const auto add = [&](std::string path, const http::Handler& handler) {
    routes.push_back({.path = "/master" + path, .handler = handler, .prefix = true});
    routes.push_back({.path = std::move(path), .handler = handler, .prefix = true});
  };
  const auto add_endpoint = [&](Endpoint endpoint, bool legacy_suffix, Render render) {
    const http::Handler handler =
        http::Whole([this, endpoint, render](const http::HttpRequest& request) {
          return Answer(endpoint, request, render);
        });
    add(absl::StrCat("/", kEndpoints[endpoint]), handler);
    if (legacy_suffix) add(absl::StrCat("/", kEndpoints[endpoint], ".json"), handler);
  };
  add_endpoint(kState, true, nullptr);
  add_endpoint(kSummary, false, [this](const Snapshot& snapshot, const http::HttpRequest&) {
    return renderer_.Summary(snapshot);
  });
  add_endpoint(kSlaves, false, [this](const Snapshot& snapshot, const http::HttpRequest& request) {
    return renderer_.Slaves(snapshot, std::string(request.Param("slave_id")));
  });
  add_endpoint(kFrameworks, false,
               [this](const Snapshot& snapshot, const http::HttpRequest& request) {
                 return renderer_.Frameworks(snapshot, std::string(request.Param("framework_id")));
               });
  add_endpoint(kTasks, true, nullptr);
  add_endpoint(kRoles, true, [this](const Snapshot& snapshot, const http::HttpRequest&) {
    return renderer_.Roles(snapshot);
  });
  add_endpoint(kFlags, false, [this](const Snapshot& snapshot, const http::HttpRequest&) {
    return renderer_.Flags(snapshot);
  });
  add("/health",
      http::Whole([](const http::HttpRequest&) { return http::HttpResponse::Text(200, ""); }));
  add("/redirect", http::Whole([this](const http::HttpRequest&) {
        http::HttpResponse response = http::HttpResponse::Text(307, "");
        const auto address = renderer_.address();
        response.headers.emplace_back("Location",
                                      absl::StrCat("//", address->hostname, ":", address->port));
        return response;
      }));
  routes.push_back(
      {.path = "/version",
       .handler = http::Whole([this](const http::HttpRequest&) {
         const SnapshotPtr snapshot = snapshot_();
         return http::HttpResponse::Json(
             renderer_.Version(snapshot == nullptr ? Snapshot() : *snapshot).ToString());
       }),
       .prefix = true});
  return routes;
}

}  // namespace tessera::state
