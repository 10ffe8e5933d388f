// Ids that follow one request through the services: taken from the client when it brings a sound
// one (gRPC metadata and HTTP header `x-request-id`), made here otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::auth {

inline constexpr char kRequestIdHeader[] = "x-request-id";

// True for 1 to 64 letters, digits, '.', '_', ':' and '-': what can stand in a log, a header and a
// label without being escaped.
bool IsRequestId(std::string_view text);

// Makes ids that differ within the process by their count, and between processes by the seed.
// Threads: any.
class RequestIds {
 public:
  // Pure: the same seed gives the same ids.
  explicit RequestIds(uint64_t seed);

  // The next one; IsRequestId holds.
  std::string Next();
  // `offered` when it is a sound id, else the next one.
  std::string TakeOrMake(std::string_view offered);

 private:
  const std::string prefix_;
  std::atomic<uint64_t> made_{0};
};

}  // namespace tessera::auth
