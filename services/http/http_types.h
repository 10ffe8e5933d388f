// Requests and responses of the HTTP server, free of any network type.
//
// A response's body is a list of shared immutable chunks: cached fragments are sent to any number
// of clients by one gathering write, without being copied or joined. What is large and of one
// client only is yielded piece by piece instead (`HttpResponse::next`).
//
// Threads: values; chunks are immutable and shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/auth/caller.h"

namespace tessera::http {

enum class Method { kGet, kHead, kPost, kPut, kDelete };

using Chunk = std::shared_ptr<const std::string>;

inline Chunk MakeChunk(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

// A request without its body.
struct RequestHead {
  Method method = Method::kGet;
  // Decoded, always begins with '/', without the query.
  std::string path;
  // Decoded parameters of the query, in the order of their names; a repeated one keeps each value.
  std::multimap<std::string, std::string> query;
  // Names in lower case.
  std::multimap<std::string, std::string> headers;
  // Who asks: the address of the connection, what its transport has proven, and the header
  // `x-request-id` when it is sound, else an id made here.
  auth::Caller caller;
  // Bytes of the body; none when they come in chunks of unknown number.
  std::optional<uint64_t> content_length = 0;
  // When the server answers in the handler's stead; InfiniteFuture when it never does.
  absl::Time deadline = absl::InfiniteFuture();

  // The first value of a parameter, `fallback` if there is none.
  std::string_view Param(const std::string& name, std::string_view fallback = "") const;
  // The first value of a header; `name` in lower case.
  std::string_view Header(const std::string& name, std::string_view fallback = "") const;
};

// A request that has come whole.
struct HttpRequest : RequestHead {
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  // Further headers. Content-Length, Transfer-Encoding, Content-Encoding, Connection and Vary are
  // the server's.
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Chunk> body;
  // The same body compressed before (a gzip stream cut at will), for clients that accept it. When
  // empty, the server compresses a body of gzip_bytes_min or more itself.
  std::vector<Chunk> gzip_body;
  // True when the chunks are kept by somebody anyway, so that one more reader costs no memory. Else
  // they count into HttpOptions::body_bytes_waiting_max while they wait to be written.
  bool shared = false;
  // More of the body after `body`, of a length that nobody knows yet: called on a thread of the
  // server whenever most of what it yielded has been written, null at the end. Pieces of about 64
  // KiB cost the least. What it holds lives until the client has it all, or is gone.
  std::function<Chunk()> next;

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
