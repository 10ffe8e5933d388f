// Outstanding offers by number. An offer's id is `<master id>-O<number>`.
//
// Invariant: a number is given once; an id is found only while its offer is outstanding.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/master/core/indexes.h"
#include "services/model/resources.h"

namespace tessera::master {

struct Offer {
  OfferNumber number;
  FrameworkIndex framework;
  AgentIndex agent;
  std::string role;
  // Allocated to `role`.
  model::Resources resources;
  absl::Time made = absl::InfinitePast();
};

class OfferTable {
 public:
  explicit OfferTable(const std::string& master_id) : prefix_(absl::StrCat(master_id, "-O")) {}

  // Gives the offer its number.
  Offer& Add(Offer offer) {
    offer.number = OfferNumber(++last_);
    return offers_[offer.number] = std::move(offer);
  }

  void Remove(OfferNumber number) { offers_.erase(number); }

  Offer* Find(OfferNumber number) {
    auto found = offers_.find(number);
    return found == offers_.end() ? nullptr : &found->second;
  }
  const Offer* Find(OfferNumber number) const {
    return const_cast<OfferTable*>(this)->Find(number);
  }

  Offer* FindById(std::string_view id) {
    if (id.substr(0, prefix_.size()) != prefix_) return nullptr;
    id.remove_prefix(prefix_.size());
    uint64_t number = 0;
    if (!absl::SimpleAtoi(absl::string_view(id.data(), id.size()), &number)) return nullptr;
    // Other spellings of the same number are not its id.
    if (absl::StrCat(number) != id) return nullptr;
    return Find(OfferNumber(number));
  }

  std::string IdOf(OfferNumber number) const { return absl::StrCat(prefix_, number.value()); }

  size_t size() const { return offers_.size(); }

 private:
  std::string prefix_;
  uint64_t last_ = 0;
  absl::flat_hash_map<OfferNumber, Offer> offers_;
};

}  // namespace tessera::master
