// The children of a node in the order in which they are asked, kept in short chunks.
//
// Taking an entry out and putting it in elsewhere moves a chunk's entries at most, however many
// children there are. Not thread safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
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
    Clear();
    for (size_t i = 0; i < entries->size(); i += kChunkFill) {
      const auto from = entries->begin() + i;
      Chunk chunk = NewChunk();
      chunk.assign(from, from + std::min(kChunkFill, entries->size() - i));
      chunks_.push_back(std::move(chunk));
    }
  }
  void Clear() {
    for (Chunk& chunk : chunks_) Keep(std::move(chunk));
    chunks_.clear();
  }

  void Insert(const ChildEntry& entry) {
    if (chunks_.empty()) {
      chunks_.push_back(NewChunk());
      chunks_.back().push_back(entry);
      return;
    }
    const size_t at = ChunkOf(entry);
    Chunk& chunk = chunks_[at];
    chunk.insert(std::lower_bound(chunk.begin(), chunk.end(), entry), entry);
    if (chunk.size() <= kChunkMax) return;
    Chunk rest = NewChunk();
    rest.assign(chunk.begin() + kChunkFill, chunk.end());
    chunk.resize(kChunkFill);
    chunks_.insert(chunks_.begin() + at + 1, std::move(rest));
  }

  // `entry` must be there.
  void Erase(const ChildEntry& entry) {
    const size_t at = ChunkOf(entry);
    Chunk& chunk = chunks_[at];
    chunk.erase(std::lower_bound(chunk.begin(), chunk.end(), entry));
    if (!chunk.empty()) return;
    Keep(std::move(chunk));
    chunks_.erase(chunks_.begin() + at);
  }

  // Replaces `before`, which must be there, by `after`.
  void Move(const ChildEntry& before, const ChildEntry& after) {
    const size_t at = ChunkOf(before);
    Chunk& chunk = chunks_[at];
    const bool stays = (at == 0 || !(after < chunk.front())) &&
                       (at + 1 == chunks_.size() || after < chunks_[at + 1].front());
    if (!stays) {
      Erase(before);
      Insert(after);
      return;
    }
    const auto from = std::lower_bound(chunk.begin(), chunk.end(), before);
    if (before < after) {
      const auto to = std::lower_bound(from + 1, chunk.end(), after);
      std::move(from + 1, to, from);
      *(to - 1) = after;
    } else {
      const auto to = std::lower_bound(chunk.begin(), from, after);
      std::move_backward(to, from, from + 1);
      *to = after;
    }
  }

  // Calls `visit(entry)` in order until it returns false; returns whether all were visited.
  template <typename Visit>
  bool ForEach(Visit visit) const {
    for (const Chunk& chunk : chunks_) {
      for (const ChildEntry& entry : chunk) {
        if (!visit(entry)) return false;
      }
    }
    return true;
  }

 private:
  static constexpr size_t kChunkFill = 32;
  static constexpr size_t kChunkMax = 64;
  using Chunk = std::vector<ChildEntry>;

  // Chunks come and go as entries move; their memory stays.
  Chunk NewChunk() {
    if (spare_.empty()) {
      Chunk chunk;
      chunk.reserve(kChunkMax + 1);
      return chunk;
    }
    Chunk chunk = std::move(spare_.back());
    spare_.pop_back();
    return chunk;
  }
  void Keep(Chunk chunk) {
    chunk.clear();
    spare_.push_back(std::move(chunk));
  }

  // The chunk that holds `entry`, or would.
  size_t ChunkOf(const ChildEntry& entry) const {
    const auto after = std::upper_bound(
        chunks_.begin(), chunks_.end(), entry,
        [](const ChildEntry& one, const auto& chunk) { return one < chunk.front(); });
    return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
  }

  std::vector<Chunk> chunks_;  // none is empty
  std::vector<Chunk> spare_;
};

}  // namespace tessera::allocator
