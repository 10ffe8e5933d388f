// Finds the route of a request and runs its handler; pure but for what handlers do.
//
// Threads: immutable once made; Answer from any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/http/http_server.h"

namespace tessera::http {

class Router {
 public:
  // INVALID_ARGUMENT when a path is given twice or does not begin with '/'. Adds /healthz when it
  // is not among the routes.
  static absl::StatusOr<Router> Make(std::vector<Route> routes);

  // The handler's response, 404 when no route fits, 405 (with Allow) when its method does not, 500
  // when the handler throws.
  HttpResponse Answer(const HttpRequest& request) const;

 private:
  const Route* Find(const std::string& path) const;

  std::map<std::string, Route> exact_;
  std::map<std::string, Route> prefixes_;
};

}  // namespace tessera::http
