#include "services/allocator/core/minimum.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

namespace tessera::allocator {
namespace {

constexpr std::array<std::string_view, 4> kWellKnown = {"cpus", "mem", "disk", "gpus"};

// A distance greater than nothing at all from a minimum that asks for nothing in particular.
constexpr int64_t kWhole = 1'000'000;

// How much there is of a name, as it counts for a minimum.
int64_t CountOf(const Bag& bag, const Amounts& quantity, const std::string& name,
                const Vocabulary& words) {
  constexpr uint64_t kElementsMax = std::numeric_limits<int64_t>::max() / 1000;
  const uint64_t elements = std::min(CountElements(bag.extras, name, words), kElementsMax);
  const std::optional<uint32_t> scalar = words.FindScalarName(name);
  if (!scalar)
    return std::max(UncountedAmount(bag.extras, name, words),
                    static_cast<int64_t>(elements) * 1000);
  return std::max(quantity[*scalar], static_cast<int64_t>(elements) * 1000);
}

}  // namespace

Minimum::Minimum(const std::vector<model::Quantities>& alternatives) {
  for (const model::Quantities& bounds : alternatives) {
    Alternative alternative;
    for (const auto& [name, amount] : bounds) {
      const auto known = std::find(kWellKnown.begin(), kWellKnown.end(), name);
      if (known != kWellKnown.end()) {
        alternative.well_known[known - kWellKnown.begin()] = amount.thousandths();
      } else {
        alternative.others.emplace_back(name, amount.thousandths());
      }
    }
    alternatives_.push_back(std::move(alternative));
  }
}

bool Minimum::Admits(const Bag& bag, const Vocabulary& words) const {
  if (bag.IsEmpty()) return false;
  if (alternatives_.empty()) return true;
  const Amounts quantity = bag.Quantity();
  for (const Alternative& alternative : alternatives_) {
    bool reached = true;
    for (size_t name = 0; name < kWellKnown.size(); ++name) {
      reached = reached && quantity[name] >= alternative.well_known[name];
    }
    for (const auto& [name, amount] : alternative.others) {
      reached = reached && CountOf(bag, quantity, name, words) >= amount;
    }
    if (reached) return true;
  }
  return false;
}

template <typename Visit>
void Minimum::ForEachName(const Alternative& alternative, const Bag& bag, const Vocabulary& words,
                          Visit visit) {
  const Amounts quantity = bag.Quantity();
  for (size_t name = 0; name < kWellKnown.size(); ++name) {
    const int64_t asked = alternative.well_known[name];
    visit(std::string(kWellKnown[name]), asked, std::max<int64_t>(0, asked - quantity[name]));
  }
  for (const auto& [name, asked] : alternative.others) {
    const int64_t there = CountOf(bag, quantity, name, words);
    visit(name, asked, std::max<int64_t>(0, asked - there));
  }
}

int64_t Minimum::Distance(const Alternative& alternative, const Bag& bag, const Vocabulary& words) {
  int64_t distance = 0;
  ForEachName(alternative, bag, words, [&](const std::string&, int64_t asked, int64_t missing) {
    if (missing > 0) {
      distance += std::max<int64_t>(
          1, static_cast<int64_t>(static_cast<__int128>(missing) * kWhole / asked));
    }
  });
  return distance;
}

int64_t Minimum::DistanceFrom(const Bag& bag, const Vocabulary& words) const {
  if (alternatives_.empty()) return bag.IsEmpty() ? kWhole : 0;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const Alternative& alternative : alternatives_) {
    least = std::min(least, Distance(alternative, bag, words));
  }
  return least == 0 && bag.IsEmpty() ? kWhole : least;
}

std::vector<std::pair<std::string, int64_t>> Minimum::MissingFrom(const Bag& bag,
                                                                  const Vocabulary& words) const {
  std::vector<std::pair<std::string, int64_t>> missing_of_all;
  const auto nearest = std::min_element(
      alternatives_.begin(), alternatives_.end(), [&](const auto& left, const auto& right) {
        return Distance(left, bag, words) < Distance(right, bag, words);
      });
  if (nearest == alternatives_.end()) return missing_of_all;
  ForEachName(*nearest, bag, words, [&](const std::string& name, int64_t, int64_t missing) {
    if (missing > 0) missing_of_all.emplace_back(name, missing);
  });
  return missing_of_all;
}

}  // namespace tessera::allocator
