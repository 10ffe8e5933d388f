#include "services/http/http_types.h"

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

TEST(DecodeUrlTest, EscapesAreDecoded) {
  std::string out;
  EXPECT_TRUE(DecodeUrl("a%20b%2Fc+d", false, &out));
  EXPECT_EQ(out, "a b/c+d");
  EXPECT_TRUE(DecodeUrl("a+b", true, &out));
  EXPECT_EQ(out, "a b");
  EXPECT_TRUE(DecodeUrl("%c3%A9", false, &out));
  EXPECT_EQ(out, "\xc3\xa9");
}

TEST(DecodeUrlTest, MalformedEscapesAreRefused) {
  std::string out;
  for (const char* wrong : {"%", "%4", "a%g0", "%0g", "x%"}) {
    EXPECT_FALSE(DecodeUrl(wrong, false, &out)) << wrong;
  }
}

TEST(ParseTargetTest, PathAndQueryComeApart) {
  std::string path;
  std::multimap<std::string, std::string> query;
  ASSERT_TRUE(ParseTarget("/a%20b/c?x=1&y=%26&x=2&flag&=z&e=a=b#part", &path, &query));
  EXPECT_EQ(path, "/a b/c");
  EXPECT_EQ(query, (std::multimap<std::string, std::string>{
                       {"e", "a=b"}, {"flag", ""}, {"x", "1"}, {"x", "2"}, {"y", "&"}}));
  HttpRequest request;
  request.query = query;
  EXPECT_EQ(request.Param("x"), "1");
  EXPECT_EQ(request.Param("none", "else"), "else");
}

TEST(ParseTargetTest, WhatIsNoPathIsRefused) {
  std::string path;
  std::multimap<std::string, std::string> query;
  for (const char* wrong : {"", "a", "*", "http://x/y", "/%zz", "/a?b=%1", "/a%00b", "?x=1"}) {
    EXPECT_FALSE(ParseTarget(wrong, &path, &query)) << wrong;
  }
}

TEST(AcceptsGzipTest, FollowsTheHeadersWeights) {
  for (const char* yes : {"gzip", "deflate, gzip", "GZIP;q=0.1", "*", "br;q=1.0, gzip;q=0.8, *;q=0",
                          "x-gzip", " gzip ; q=1 "}) {
    EXPECT_TRUE(AcceptsGzip(yes)) << yes;
  }
  for (const char* no : {"", "identity", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "br", "gzipped"}) {
    EXPECT_FALSE(AcceptsGzip(no)) << no;
  }
}

}  // namespace
}  // namespace tessera::http
