#include "services/allocator/core/minimum.h"

#include <array>
#include <string_view>

namespace tessera::allocator {
namespace {

constexpr std::array<std::string_view, 4> kWellKnown = {"cpus", "mem", "disk", "gpus"};

bool ReachesOther(const Bag& bag, const Amounts& quantity, const std::string& name, int64_t amount,
                  const Vocabulary& words) {
  if (const std::optional<uint32_t> scalar = words.FindScalarName(name);
      scalar && quantity[*scalar] >= amount) {
    return true;
  }
  const uint64_t elements = CountElements(bag.extras, name, words);
  return elements >= static_cast<uint64_t>(amount + 999) / 1000;
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
      reached = reached && ReachesOther(bag, quantity, name, amount, words);
    }
    if (reached) return true;
  }
  return false;
}

}  // namespace tessera::allocator
