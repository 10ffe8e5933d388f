#include "services/http/router.h"

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
    router.exact_.emplace("/healthz", Route{"/healthz", Whole([](const HttpRequest&) {
                                              return HttpResponse::Text(200, "ok\n");
                                            })});
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

const Route* Router::Match(const std::string& path, Method method, HttpResponse* refusal) const {
  const Route* route = Find(path);
  if (route == nullptr) {
    *refusal = HttpResponse::Text(404, "no such page\n");
    return nullptr;
  }
  const Method served = method == Method::kHead ? Method::kGet : method;
  std::string allow;
  for (const Method own : route->methods) {
    if (own == served) return route;
    absl::StrAppend(&allow, allow.empty() ? "" : ", ", MethodName(own));
    if (own == Method::kGet) absl::StrAppend(&allow, ", ", MethodName(Method::kHead));
  }
  *refusal = HttpResponse::Text(405, "this page does not take this method\n");
  refusal->headers.emplace_back("Allow", allow);
  return nullptr;
}

const char* MethodName(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
  }
  return "";
}

}  // namespace tessera::http
