// How often each kind of a variant came, under the name that the compiler knows it by: a new kind
// is counted and named without a table of names that somebody has to keep.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::rpc {

struct KindCount {
  // The type's name without its namespaces, as metrics are written: LaunchContainer is
  // launch_container. Lives for ever.
  std::string_view kind;
  uint64_t count = 0;
};

namespace kind_counts_internal {

// From the compiler's words for this function: "... [with Kind = a::b::LaunchContainer; ...]".
template <typename Kind>
constexpr std::string_view TypeName() {
  std::string_view words = __PRETTY_FUNCTION__;
  words.remove_prefix(words.find("Kind = ") + 7);
  words = words.substr(0, words.find_first_of(";]"));
  return words.substr(words.rfind(':') + 1);
}

constexpr bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

template <typename Kind>
struct Snake {
  static constexpr auto kLetters = [] {
    constexpr std::string_view name = TypeName<Kind>();
    std::pair<std::array<char, 2 * name.size()>, size_t> letters{};
    for (size_t i = 0; i < name.size(); ++i) {
      if (IsUpper(name[i]) && i > 0) letters.first[letters.second++] = '_';
      letters.first[letters.second++] =
          IsUpper(name[i]) ? static_cast<char>(name[i] - 'A' + 'a') : name[i];
    }
    return letters;
  }();
  static constexpr std::string_view kName{kLetters.first.data(), kLetters.second};
};

template <size_t kSize>
constexpr bool AllDiffer(const std::array<std::string_view, kSize>& names) {
  for (size_t i = 0; i < kSize; ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (names[i] == names[j]) return false;
    }
  }
  return true;
}

}  // namespace kind_counts_internal

template <typename Variant>
class KindCounts;

template <typename... Kinds>
class KindCounts<std::variant<Kinds...>> {
 public:
  void Count(const std::variant<Kinds...>& one) {
    counts_[one.index()].fetch_add(1, std::memory_order_relaxed);
  }

  // All kinds in the variant's order, those that have not come yet included.
  std::vector<KindCount> Read() const {
    std::vector<KindCount> read;
    read.reserve(kNames.size());
    for (size_t i = 0; i < kNames.size(); ++i) {
      read.push_back({kNames[i], counts_[i].load(std::memory_order_relaxed)});
    }
    return read;
  }

 private:
  static constexpr std::array<std::string_view, sizeof...(Kinds)> kNames = {
      kind_counts_internal::Snake<Kinds>::kName...};
  static_assert(kind_counts_internal::AllDiffer(kNames), "two kinds would be counted as one");

  std::array<std::atomic<uint64_t>, sizeof...(Kinds)> counts_{};
};

}  // namespace tessera::rpc
