// The children of a node in the order in which they are asked, kept in short chunks.
//
// Taking an entry out and putting it in elsewhere moves a chunk's entries at most, however many
// children there are. Not thread safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::allocator {

struct ChildEntry {
  uint64_t share = 0;
  uint64_t chosen = 0;
  uint64_t rank = 0;  // of the path; unique among siblings
  uint32_t node = 0;

  friend bool operator<(const ChildEntry& left, const ChildEntry& right) {
    if (left.share != right.share) return left.share < right.share;
    if (left.chosen != right.chosen) return left.chosen < right.chosen;
    return left.rank < right.rank;
  }
};

class ChildOrder {
 public:
  // Takes over entries in any order.
  void Assign(std::vector<ChildEntry>* entries) {
    std::sort(entries->begin(), entries->end());
    chunks_.resize((entries->size() + kChunkFill - 1) / kChunkFill);
    for (size_t i = 0; i < chunks_.size(); ++i) {
      const auto from = entries->begin() + i * kChunkFill;
      chunks_[i].assign(from, from + std::min(kChunkFill, entries->size() - i * kChunkFill));
    }
  }
  void Clear() { chunks_.clear(); }

  void Insert(const ChildEntry& entry) {
    if (chunks_.empty()) {
      chunks_.push_back({entry});
      return;
    }
    const size_t at = ChunkOf(entry);
    std::vector<ChildEntry>& chunk = chunks_[at];
    chunk.insert(std::lower_bound(chunk.begin(), chunk.end(), entry), entry);
    if (chunk.size() <= kChunkMax) return;
    std::vector<ChildEntry> rest(chunk.begin() + kChunkFill, chunk.end());
    chunk.resize(kChunkFill);
    chunks_.insert(chunks_.begin() + at + 1, std::move(rest));
  }

  // `entry` must be there.
  void Erase(const ChildEntry& entry) {
    const size_t at = ChunkOf(entry);
    std::vector<ChildEntry>& chunk = chunks_[at];
    chunk.erase(std::lower_bound(chunk.begin(), chunk.end(), entry));
    if (chunk.empty()) chunks_.erase(chunks_.begin() + at);
  }

  // Calls `visit(entry)` in order until it returns false; returns whether all were visited.
  template <typename Visit>
  bool ForEach(Visit visit) const {
    for (const std::vector<ChildEntry>& chunk : chunks_) {
      for (const ChildEntry& entry : chunk) {
        if (!visit(entry)) return false;
      }
    }
    return true;
  }

 private:
  static constexpr size_t kChunkFill = 32;
  static constexpr size_t kChunkMax = 64;

  // The chunk that holds `entry`, or would.
  size_t ChunkOf(const ChildEntry& entry) const {
    const auto after = std::upper_bound(
        chunks_.begin(), chunks_.end(), entry,
        [](const ChildEntry& one, const auto& chunk) { return one < chunk.front(); });
    return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
  }

  std::vector<std::vector<ChildEntry>> chunks_;  // none is empty
};

}  // namespace tessera::allocator
