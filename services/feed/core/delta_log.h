// The newest deltas as serialised bytes, for followers that lag or come back: bounded by bytes.
//
// Invariants: versions ascend without gaps; the newest delta stays however large it is.
//
// Pure. Threads: none; the owner's lock guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

namespace tessera::feed {

// Bytes is shared by reference: copying one is cheap.
template <typename Bytes>
class DeltaLog {
 public:
  explicit DeltaLog(size_t bytes_max) : bytes_max_(bytes_max) {}

  // A log that goes on after `version`, with nothing in it.
  void StartAfter(uint64_t version) {
    deltas_.clear();
    bytes_ = 0;
    newest_ = version;
  }

  // The delta that leads to version newest() + 1.
  void Append(Bytes delta, size_t size) {
    ++newest_;
    bytes_ += size;
    deltas_.push_back({std::move(delta), size});
    while (bytes_ > bytes_max_ && deltas_.size() > 1) {
      bytes_ -= deltas_.front().size;
      deltas_.pop_front();
    }
  }

  uint64_t newest() const { return newest_; }
  size_t bytes() const { return bytes_; }
  size_t size() const { return deltas_.size(); }

  // Whether all that comes after `version` is here.
  bool CanFollow(uint64_t version) const {
    return version <= newest_ && version + deltas_.size() >= newest_;
  }

  // The delta that leads from `version` to the next one; null when it is not here.
  const Bytes* After(uint64_t version) const {
    if (!CanFollow(version) || version == newest_) return nullptr;
    return &deltas_[deltas_.size() - (newest_ - version)].delta;
  }

 private:
  struct Logged {
    Bytes delta;
    size_t size;
  };

  const size_t bytes_max_;
  std::deque<Logged> deltas_;
  size_t bytes_ = 0;
  uint64_t newest_ = 0;
};

}  // namespace tessera::feed
