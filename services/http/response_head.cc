#include "services/http/response_head.h"

#include <algorithm>
#include <boost/beast/http/status.hpp>

#include "absl/strings/str_cat.h"

namespace tessera::http {
namespace {

bool IsSafeInHeader(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

// The text of a second is made once a thread.
const std::string& DateText(absl::Time now) {
  thread_local int64_t second = -1;
  thread_local std::string text;
  if (const int64_t seconds = absl::ToUnixSeconds(now); seconds != second) {
    second = seconds;
    text = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone());
  }
  return text;
}

}  // namespace

bool HasBody(int status) { return status >= 200 && status != 204 && status != 304; }

std::string ResponseHead(const HttpResponse& response, const Framing& framing, absl::Time now) {
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " ",
                                  absl::string_view(reason.data(), reason.size()),
                                  "\r\nServer: tessera\r\nDate: ", DateText(now), "\r\n");
  if (framing.length.has_value()) {
    absl::StrAppend(&head, "Content-Length: ", *framing.length, "\r\n");
  }
  if (framing.chunked) absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
  if (IsSafeInHeader(response.content_type)) {
    absl::StrAppend(&head, "Content-Type: ", response.content_type, "\r\n");
  }
  if (framing.gzip) absl::StrAppend(&head, "Content-Encoding: gzip\r\n");
  absl::StrAppend(&head, "Vary: Accept-Encoding\r\n");
  for (const auto& [name, value] : response.headers) {
    if (IsSafeInHeader(name) && IsSafeInHeader(value)) {
      absl::StrAppend(&head, name, ": ", value, "\r\n");
    }
  }
  absl::StrAppend(&head, framing.keep_alive ? "Connection: keep-alive" : "Connection: close",
                  "\r\n\r\n");
  return head;
}

}  // namespace tessera::http
