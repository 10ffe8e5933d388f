#include "services/http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace tessera::http {
namespace {

Handler Says(std::string text) {
  return [text](const HttpRequest&) { return HttpResponse::Text(200, text); };
}

HttpResponse Ask(const Router& router, std::string path, Method method = Method::kGet) {
  HttpRequest request;
  request.path = std::move(path);
  request.method = method;
  return router.Answer(request);
}

std::string Body(const HttpResponse& response) { return *response.body.at(0); }

TEST(RouterTest, TheLongestPrefixWinsAndExactRoutesComeFirst) {
  auto router = Router::Make({{.path = "/", .handler = Says("root"), .prefix = true},
                              {.path = "/files", .handler = Says("files"), .prefix = true},
                              {.path = "/files/a", .handler = Says("a"), .prefix = true},
                              {.path = "/state", .handler = Says("state")}});
  ASSERT_TRUE(router.ok());
  EXPECT_EQ(Body(Ask(*router, "/state")), "state");
  EXPECT_EQ(Body(Ask(*router, "/state/x")), "root");
  EXPECT_EQ(Body(Ask(*router, "/files")), "files");
  EXPECT_EQ(Body(Ask(*router, "/files/b/c")), "files");
  EXPECT_EQ(Body(Ask(*router, "/files/a/b")), "a");
  EXPECT_EQ(Body(Ask(*router, "/filesystem")), "root");
  EXPECT_EQ(Body(Ask(*router, "/")), "root");
}

TEST(RouterTest, NoRouteIs404AndAWrongMethodIs405) {
  auto router = Router::Make({{.path = "/post", .handler = Says("x"), .get = false, .post = true},
                              {.path = "/get", .handler = Says("y")}});
  ASSERT_TRUE(router.ok());
  EXPECT_EQ(Ask(*router, "/none").status, 404);
  EXPECT_EQ(Ask(*router, "/get/").status, 404);
  const HttpResponse refused = Ask(*router, "/get", Method::kPost);
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.headers.at(0).second, "GET, HEAD");
  EXPECT_EQ(Ask(*router, "/post").headers.at(0).second, "POST");
  EXPECT_EQ(Ask(*router, "/post", Method::kPost).status, 200);
  EXPECT_EQ(Ask(*router, "/get", Method::kHead).status, 200);
}

TEST(RouterTest, HealthIsThereUnlessRouted) {
  EXPECT_EQ(Body(Ask(*Router::Make({}), "/healthz")), "ok\n");
  auto routed = Router::Make({{.path = "/healthz", .handler = Says("mine")}});
  EXPECT_EQ(Body(Ask(*routed, "/healthz")), "mine");
}

TEST(RouterTest, AHandlerThatThrowsIs500) {
  auto router = Router::Make({{.path = "/boom", .handler = [](const HttpRequest&) -> HttpResponse {
                                 throw std::runtime_error("secret");
                               }}});
  const HttpResponse response = Ask(*router, "/boom");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(Body(response).find("secret"), std::string::npos);
}

TEST(RouterTest, WrongRoutesAreRefused) {
  EXPECT_EQ(Router::Make({{.path = "x", .handler = Says("")}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Router::Make({{.path = "/x", .handler = Says("")}, {.path = "/x", .handler = Says("")}})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::http
