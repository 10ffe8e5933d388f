// The first lines of a response, as text; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "services/http/http_types.h"

namespace tessera::http {

struct Framing {
  // Bytes of the body; none: it ends otherwise.
  std::optional<uint64_t> length;
  // In chunks, each with its length.
  bool chunked = false;
  bool gzip = false;
  bool keep_alive = false;
};

// Status line and headers, with the empty line after them. A header that would smuggle in another
// is left out.
std::string ResponseHead(const HttpResponse& response, const Framing& framing, absl::Time now);

// 1xx, 204 and 304 have no body, whatever is asked for.
bool HasBody(int status);

}  // namespace tessera::http
