// Finds the route of a request; pure.
//
// Threads: immutable once made; Match from any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/http/http_options.h"

namespace tessera::http {

class Router {
 public:
  // INVALID_ARGUMENT when a path is given twice or does not begin with '/'. Adds /healthz when it
  // is not among the routes.
  static absl::StatusOr<Router> Make(std::vector<Route> routes);

  // The route of a request. Null, with the answer in `*refusal`: 404 when no route fits, 405 (with
  // Allow) when its methods do not.
  const Route* Match(const std::string& path, Method method, HttpResponse* refusal) const;

 private:
  const Route* Find(const std::string& path) const;

  std::map<std::string, Route> exact_;
  std::map<std::string, Route> prefixes_;
};

// As in a request's first line.
const char* MethodName(Method method);

}  // namespace tessera::http
