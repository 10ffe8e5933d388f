// Rows that are known outside by a number with a prefix: offers and inverse offers.
//
// Invariant: a number is given once; an id is found only while its row is there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tessera::master {

// `Number` is a StrongId over uint64_t; `Row` has a `number`.
template <typename Number, typename Row>
class NumberedTable {
 public:
  // Ids are `<prefix><number>`.
  explicit NumberedTable(std::string prefix) : prefix_(std::move(prefix)) {}

  // Gives the row its number.
  Row& Add(Row row) {
    row.number = Number(++last_);
    return rows_[row.number] = std::move(row);
  }

  void Remove(Number number) { rows_.erase(number); }

  Row* Find(Number number) {
    auto found = rows_.find(number);
    return found == rows_.end() ? nullptr : &found->second;
  }
  const Row* Find(Number number) const { return const_cast<NumberedTable*>(this)->Find(number); }

  Row* FindById(std::string_view id) {
    if (id.substr(0, prefix_.size()) != prefix_) return nullptr;
    id.remove_prefix(prefix_.size());
    uint64_t number = 0;
    if (!absl::SimpleAtoi(absl::string_view(id.data(), id.size()), &number)) return nullptr;
    // Other spellings of the same number are not its id.
    if (absl::StrCat(number) != id) return nullptr;
    return Find(Number(number));
  }

  std::string IdOf(Number number) const { return absl::StrCat(prefix_, number.value()); }

  size_t size() const { return rows_.size(); }

 private:
  std::string prefix_;
  uint64_t last_ = 0;
  absl::flat_hash_map<Number, Row> rows_;
};

}  // namespace tessera::master
