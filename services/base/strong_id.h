// Ids that the compiler tells apart: StrongId<Tag> holds a string as it travels between services,
// StrongId<Tag, uint32_t> a dense number that a core uses as an index.
//
//   using AgentId = base::StrongId<struct AgentIdTag>;
//   using AgentIndex = base::StrongId<struct AgentIndexTag, uint32_t>;
//
// Invariant: a default-constructed id is not valid() (empty string; the largest number).
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <utility>

namespace tessera::base {

template <typename Tag, typename T = std::string>
class StrongId {
 public:
  constexpr StrongId() : value_(Invalid()) {}
  constexpr explicit StrongId(T value) : value_(std::move(value)) {}

  constexpr const T& value() const { return value_; }
  constexpr bool valid() const { return value_ != Invalid(); }

  // The id as a position in a vector; meaningful for valid numeric ids only.
  constexpr size_t index() const requires std::integral<T> { return static_cast<size_t>(value_); }

  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
  friend constexpr bool operator==(const StrongId&, const StrongId&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.value_);
  }

  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value_;
  }

 private:
  static constexpr T Invalid() {
    if constexpr (std::integral<T>) {
      return std::numeric_limits<T>::max();
    } else {
      return T();
    }
  }

  T value_;
};

}  // namespace tessera::base

template <typename Tag, typename T>
struct std::hash<tessera::base::StrongId<Tag, T>> {
  size_t operator()(const tessera::base::StrongId<Tag, T>& id) const {
    return std::hash<T>()(id.value());
  }
};
