#include "services/http/router.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::http {
namespace {

Handler Nothing() {
  return [](RequestHead, BodyReader, Responder) {};
}

// The path of the route that serves, or the status of the refusal.
std::string Ask(const Router& router, const std::string& path, Method method = Method::kGet) {
  HttpResponse refusal;
  const Route* route = router.Match(path, method, &refusal);
  return route == nullptr ? std::to_string(refusal.status) : route->path;
}

TEST(RouterTest, TheLongestPrefixWinsAndExactRoutesComeFirst) {
  auto router = Router::Make({{.path = "/", .handler = Nothing(), .prefix = true},
                              {.path = "/files", .handler = Nothing(), .prefix = true},
                              {.path = "/files/a", .handler = Nothing(), .prefix = true},
                              {.path = "/state", .handler = Nothing()}});
  ASSERT_TRUE(router.ok());
  EXPECT_EQ(Ask(*router, "/state"), "/state");
  EXPECT_EQ(Ask(*router, "/state/x"), "/");
  EXPECT_EQ(Ask(*router, "/files"), "/files");
  EXPECT_EQ(Ask(*router, "/files/b/c"), "/files");
  EXPECT_EQ(Ask(*router, "/files/a/b"), "/files/a");
  EXPECT_EQ(Ask(*router, "/filesystem"), "/");
  EXPECT_EQ(Ask(*router, "/"), "/");
}

TEST(RouterTest, NoRouteIs404AndAWrongMethodIs405) {
  auto router = Router::Make(
      {{.path = "/post", .handler = Nothing(), .methods = {Method::kPost}},
       {.path = "/get", .handler = Nothing()},
       {.path = "/both", .handler = Nothing(), .methods = {Method::kGet, Method::kPut}}});
  ASSERT_TRUE(router.ok());
  EXPECT_EQ(Ask(*router, "/none"), "404");
  EXPECT_EQ(Ask(*router, "/get/"), "404");
  HttpResponse refused;
  EXPECT_EQ(router->Match("/get", Method::kPost, &refused), nullptr);
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.headers.at(0).second, "GET, HEAD");
  refused = HttpResponse();
  EXPECT_EQ(router->Match("/both", Method::kDelete, &refused), nullptr);
  EXPECT_EQ(refused.headers.at(0).second, "GET, HEAD, PUT");
  EXPECT_EQ(Ask(*router, "/post"), "405");
  EXPECT_EQ(Ask(*router, "/post", Method::kHead), "405");
  EXPECT_EQ(Ask(*router, "/post", Method::kPost), "/post");
  EXPECT_EQ(Ask(*router, "/get", Method::kHead), "/get");
  EXPECT_EQ(Ask(*router, "/both", Method::kPut), "/both");
}

TEST(RouterTest, HealthIsThereUnlessRouted) {
  EXPECT_EQ(Ask(*Router::Make({}), "/healthz"), "/healthz");
  EXPECT_TRUE(Router::Make({{.path = "/healthz", .handler = Nothing()}}).ok());
}

TEST(RouterTest, WrongRoutesAreRefused) {
  EXPECT_EQ(Router::Make({{.path = "x", .handler = Nothing()}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      Router::Make({{.path = "/x", .handler = Nothing()}, {.path = "/x", .handler = Nothing()}})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::http
