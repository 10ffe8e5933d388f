// What an immutable object looks like as text, made at most once and shared from then on.
//
// A slot sits inside an object of a snapshot. The object never changes, so what was rendered from
// it stays right as long as it lives; a changed copy starts with empty slots.
//
// Threads: any. Two threads may render the same object at the same time; both results are equal,
// and one of them stays.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace tessera::feed {

struct Rendering {
  explicit Rendering(std::string bytes) : text(std::move(bytes)) {}

  const std::string text;
  // The text as deflate blocks that end on a byte and refer to nothing before them, so that they
  // can be put one after the other into one gzip stream. Made when it is wanted first.
  mutable std::once_flag deflate_once;
  mutable std::shared_ptr<const std::string> deflated;
  mutable uint32_t crc32 = 0;
};

using RenderingPtr = std::shared_ptr<const Rendering>;

template <size_t kSlots>
class RenderingSlots {
 public:
  RenderingSlots() = default;
  // A copy is about to be changed: it takes nothing over.
  RenderingSlots(const RenderingSlots&) {}
  RenderingSlots& operator=(const RenderingSlots&) {
    Clear();
    return *this;
  }

  RenderingPtr Get(size_t slot) const { return slots_[slot].load(std::memory_order_acquire); }
  void Put(size_t slot, RenderingPtr rendering) const {
    slots_[slot].store(std::move(rendering), std::memory_order_release);
  }
  void Clear() {
    for (auto& slot : slots_) slot.store(nullptr, std::memory_order_relaxed);
  }

 private:
  mutable std::array<std::atomic<RenderingPtr>, kSlots> slots_;
};

}  // namespace tessera::feed
