// Requests and responses of the HTTP server, free of any network type.
//
// A response's body is a list of shared immutable chunks: cached fragments are sent to any number
// of clients by one gathering write, without being copied or joined.
//
// Threads: values; chunks are immutable and shared.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::http {

enum class Method { kGet, kHead, kPost };

using Chunk = std::shared_ptr<const std::string>;

inline Chunk MakeChunk(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

struct HttpRequest {
  Method method = Method::kGet;
  // Decoded, always begins with '/', without the query.
  std::string path;
  // Decoded parameters of the query, in the order of their names; a repeated one keeps each value.
  std::multimap<std::string, std::string> query;
  // Names in lower case.
  std::multimap<std::string, std::string> headers;
  std::string body;
  // `ip:port` of the client.
  std::string peer;

  // The first value of a parameter, `fallback` if there is none.
  std::string_view Param(const std::string& name, std::string_view fallback = "") const;
  // The first value of a header; `name` in lower case.
  std::string_view Header(const std::string& name, std::string_view fallback = "") const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  // Further headers. Content-Length, Content-Encoding, Connection and Vary are the server's.
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Chunk> body;
  // The same body compressed before (a gzip stream cut at will), for clients that accept it. When
  // empty, the server compresses a body of gzip_bytes_min or more itself.
  std::vector<Chunk> gzip_body;

  // A response of one chunk.
  static HttpResponse Text(int status, std::string text);
  static HttpResponse Json(std::string json);
};

// Decodes `%41` and, in queries, `+`. False when an escape is malformed.
bool DecodeUrl(std::string_view encoded, bool plus_is_space, std::string* decoded);

// Takes a request target apart into path and query. False when it is malformed or does not begin
// with '/'.
bool ParseTarget(std::string_view target, std::string* path,
                 std::multimap<std::string, std::string>* query);

// True when an Accept-Encoding header (RFC 9110) allows gzip: named, or by "*", with a weight above
// 0.
bool AcceptsGzip(std::string_view accept_encoding);

}  // namespace tessera::http
