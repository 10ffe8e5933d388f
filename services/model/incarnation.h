// Incarnation: the number of one launch of a task, or of one life of an executor. Names that
// frameworks choose are used again, an incarnation never is (protos/tessera/model/v1/incarnation).
//
// Pure value. Ordered by age: of two things of one name, the higher one is the newer.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

namespace tessera::model {

struct Incarnation {
  uint64_t epoch = 0;
  uint64_t number = 0;

  // A default-constructed one names nothing.
  constexpr bool valid() const { return epoch != 0 && number != 0; }

  friend constexpr auto operator<=>(const Incarnation&, const Incarnation&) = default;
  friend constexpr bool operator==(const Incarnation&, const Incarnation&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const Incarnation& incarnation) {
    return H::combine(std::move(state), incarnation.epoch, incarnation.number);
  }

  // `<epoch>.<number>`.
  std::string ToString() const { return std::to_string(epoch) + "." + std::to_string(number); }
  friend std::ostream& operator<<(std::ostream& out, const Incarnation& incarnation) {
    return out << incarnation.ToString();
  }
};

}  // namespace tessera::model
