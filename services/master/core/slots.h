// Rows of a table in dense slots: a row is found by its number without hashing, the place of a row
// that is gone is used again. Rows do not move.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "services/base/bug.h"

namespace tessera::master {

// `Index` is a StrongId over uint32_t.
template <typename Index, typename Row>
class Slots {
 public:
  Index Add(Row row) {
    ++size_;
    if (!free_.empty()) {
      const Index index = free_.back();
      free_.pop_back();
      rows_[index.index()].emplace(std::move(row));
      return index;
    }
    rows_.emplace_back(std::move(row));
    return Index(static_cast<uint32_t>(rows_.size() - 1));
  }

  void Remove(Index index) {
    if (TESSERA_BUG_IF(Find(index) == nullptr, "removed a row that is not there")) return;
    rows_[index.index()].reset();
    free_.push_back(index);
    --size_;
  }

  // Null when the row is gone.
  Row* Find(Index index) {
    if (index.index() >= rows_.size() || !rows_[index.index()].has_value()) return nullptr;
    return &*rows_[index.index()];
  }
  const Row* Find(Index index) const { return const_cast<Slots*>(this)->Find(index); }

  size_t size() const { return size_; }

  // Every row, in the order of the numbers. `visit` may remove the row that it is given.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].has_value()) visit(*rows_[i]);
    }
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const std::optional<Row>& row : rows_) {
      if (row.has_value()) visit(*row);
    }
  }

 private:
  std::deque<std::optional<Row>> rows_;
  std::vector<Index> free_;
  size_t size_ = 0;
};

}  // namespace tessera::master
