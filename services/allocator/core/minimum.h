// The least that is worth offering: alternatives, each a set of amounts that must all be reached.
//
// Ranges and sets count by their elements; everything counts whatever it is reserved for. Nothing
// at all is never worth offering.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "services/allocator/core/amounts.h"
#include "services/allocator/core/bag.h"
#include "services/allocator/core/vocabulary.h"
#include "services/model/quantities.h"

namespace tessera::allocator {

class Minimum {
 public:
  // Everything but nothing is worth offering.
  Minimum() = default;
  // An empty list is no minimum.
  explicit Minimum(const std::vector<model::Quantities>& alternatives);

  bool Admits(const Bag& bag, const Vocabulary& words) const;

  // How far `bag` is from being admitted by the alternative that it comes nearest to: the parts
  // that are missing of each name, in millionths of what is asked, summed. 0 when it is admitted.
  int64_t DistanceFrom(const Bag& bag, const Vocabulary& words) const;
  // What is missing for that alternative, by name; thousandths, positive.
  std::vector<std::pair<std::string, int64_t>> MissingFrom(const Bag& bag,
                                                           const Vocabulary& words) const;

  friend bool operator==(const Minimum&, const Minimum&) = default;

 private:
  struct Alternative {
    Amounts well_known;                                   // cpus, mem, disk, gpus
    std::vector<std::pair<std::string, int64_t>> others;  // thousandths
    friend bool operator==(const Alternative&, const Alternative&) = default;
  };
  // Calls `visit` with name, what is asked of it and what is missing of it, for all that is asked.
  template <typename Visit>
  static void ForEachName(const Alternative& alternative, const Bag& bag, const Vocabulary& words,
                          Visit visit);
  static int64_t Distance(const Alternative& alternative, const Bag& bag, const Vocabulary& words);

  std::vector<Alternative> alternatives_;
};

}  // namespace tessera::allocator
