#include "services/agent/server/agent_random.h"

#include <glog/logging.h>
#include <sys/random.h>

#include <string>

namespace tessera::agent {
namespace {

void Fill(void* bytes, size_t size) {
  // Never short and never interrupted for so few bytes, once the kernel is seeded.
  PCHECK(::getrandom(bytes, size, 0) == static_cast<ssize_t>(size));
}

}  // namespace

uint64_t RandomSeed() {
  uint64_t seed = 0;
  Fill(&seed, sizeof seed);
  return seed;
}

UuidSource MakeUuidSource() {
  return [] {
    std::string uuid(16, '\0');
    Fill(uuid.data(), uuid.size());
    uuid[6] = static_cast<char>((uuid[6] & 0x0f) | 0x40);
    uuid[8] = static_cast<char>((uuid[8] & 0x3f) | 0x80);
    return uuid;
  };
}

}  // namespace tessera::agent
