#include "services/http/router.h"

#include <glog/logging.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::http {

absl::StatusOr<Router> Router::Make(std::vector<Route> routes) {
  Router router;
  for (Route& route : routes) {
    if (route.path.empty() || route.path.front() != '/') {
      return absl::InvalidArgumentError(
          absl::StrCat("route \"", route.path, "\" does not begin with '/'"));
    }
    auto& table = route.prefix ? router.prefixes_ : router.exact_;
    const std::string path = route.path;
    if (!table.emplace(path, std::move(route)).second) {
      return absl::InvalidArgumentError(absl::StrCat("route \"", path, "\" is given twice"));
    }
  }
  if (router.exact_.count("/healthz") == 0) {
    router.exact_.emplace("/healthz", Route{"/healthz", [](const HttpRequest&) {
                                              return HttpResponse::Text(200, "ok\n");
                                            }});
  }
  return router;
}

const Route* Router::Find(const std::string& path) const {
  if (const auto it = exact_.find(path); it != exact_.end()) return &it->second;
  // Each prefix of the path that ends before a '/', the longest first.
  std::string prefix = path;
  while (true) {
    if (const auto it = prefixes_.find(prefix); it != prefixes_.end()) return &it->second;
    const size_t slash = prefix.rfind('/');
    if (slash == std::string::npos) return nullptr;
    if (slash == 0) {
      const auto root = prefixes_.find("/");
      return root == prefixes_.end() ? nullptr : &root->second;
    }
    prefix.resize(slash);
  }
}

HttpResponse Router::Answer(const HttpRequest& request) const {
  const Route* route = Find(request.path);
  if (route == nullptr) return HttpResponse::Text(404, "no such page\n");
  const bool reads = request.method != Method::kPost;
  if (reads ? !route->get : !route->post) {
    HttpResponse response = HttpResponse::Text(405, "this page does not take this method\n");
    std::string allow;
    if (route->get) allow = "GET, HEAD";
    if (route->post) absl::StrAppend(&allow, allow.empty() ? "" : ", ", "POST");
    response.headers.emplace_back("Allow", allow);
    return response;
  }
  try {
    return route->handler(request);
  } catch (const std::exception& error) {
    LOG(ERROR) << "the handler of " << route->path << " threw: " << error.what();
  } catch (...) {
    LOG(ERROR) << "the handler of " << route->path << " threw";
  }
  return HttpResponse::Text(500, "internal error; the service's log has the reason\n");
}

}  // namespace tessera::http
