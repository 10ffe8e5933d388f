#include "services/rpc/strand.h"

#include <pthread.h>

#include <chrono>

namespace tessera::rpc::strand_internal {

void NameThisThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

uint64_t MonotonicNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void RaiseTo(std::atomic<uint64_t>* highest, uint64_t value) {
  uint64_t seen = highest->load(std::memory_order_relaxed);
  while (seen < value && !highest->compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace tessera::rpc::strand_internal
