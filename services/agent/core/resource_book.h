// The agent's resources: what there is, and what is held by whom.
//
// Three sums are kept, so that each question is one comparison whatever the number of tasks:
//
//   used       of everything that was accepted and has not ended
//   promised   of that, what the master counts as used: not what belongs to frameworks that were
//              shut down, which the master gives away while it is still being killed
//   occupied   of that, what was launched: used, without what still waits for room
//
// Invariant: promised never exceeds the total (Fits before Promise), and neither does occupied
// (HasRoom before Occupy).
//
// The total has a version that grows with each change of it, through restarts of the agent.
#pragma once

#include <cstdint>
#include <utility>

#include "services/model/resources.h"

namespace tessera::agent {

// What one task or executor holds.
struct Holding {
  // As the master allocated it.
  model::Resources resources;
  bool counted = false;    // in used
  bool withdrawn = false;  // not in promised
  bool occupies = false;   // in occupied
};

class ResourceBook {
 public:
  ResourceBook() = default;
  ResourceBook(model::Resources total, uint64_t version)
      : total_(std::move(total)), version_(version) {}

  const model::Resources& total() const { return total_; }
  uint64_t version() const { return version_; }
  // Unallocated resources, and the version that they have.
  void SetTotal(model::Resources total, uint64_t version) {
    total_ = std::move(total);
    version_ = version;
    ++changes_;
  }

  const model::Resources& used() const { return used_; }

  // Whether the agent has these at all; whether they can be promised; whether they can be occupied
  // now. Of unallocated resources.
  bool Has(const model::Resources& resources) const { return total_.Contains(resources); }
  bool Fits(const model::Resources& resources) const {
    return total_.Contains(promised_ + resources);
  }
  bool HasRoom(const model::Resources& resources) const {
    return total_.Contains(occupied_ + resources);
  }

  void Promise(Holding* holding) {
    if (std::exchange(holding->counted, true)) return;
    const model::Resources plain = holding->resources.UnallocatedCopy();
    used_ += plain;
    promised_ += plain;
    ++changes_;
  }
  // The master counts it as free from now on.
  void Withdraw(Holding* holding) {
    if (!holding->counted || std::exchange(holding->withdrawn, true)) return;
    promised_ -= holding->resources.UnallocatedCopy();
  }
  void Occupy(Holding* holding) {
    if (!holding->counted || std::exchange(holding->occupies, true)) return;
    occupied_ += holding->resources.UnallocatedCopy();
  }
  // Its holder has ended.
  void Free(Holding* holding) {
    if (!std::exchange(holding->counted, false)) return;
    const model::Resources plain = holding->resources.UnallocatedCopy();
    used_ -= plain;
    if (!std::exchange(holding->withdrawn, false)) promised_ -= plain;
    if (std::exchange(holding->occupies, false)) occupied_ -= plain;
    ++changes_;
  }

  // Grows with each change of what readers see: total and used.
  uint64_t changes() const { return changes_; }

 private:
  model::Resources total_;
  uint64_t version_ = 0;
  model::Resources used_;
  model::Resources promised_;
  model::Resources occupied_;
  uint64_t changes_ = 0;
};

}  // namespace tessera::agent
