// Faults that wait for a moment: not "a crash at 12:03:07", but "when next an agent has asked for
// records to be written".
//
// A strike is armed for a moment (a Bite that names one) and hits whoever comes to it first. The
// process dies right before the effect is carried out, right after, or a little later, when what
// follows from it is under way; or all its connections break, and it lives on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/sim/faults.h"

namespace tessera::sim {

class Process;

struct Strike {
  enum class When { kBefore, kAfter, kSoonAfter };
  enum class What { kCrash, kBreakWires };

  Bite moment = Bite::kCount;
  // So many such moments pass before it.
  uint64_t skip = 0;
  When when = When::kBefore;
  What what = What::kCrash;
  // With kSoonAfter.
  absl::Duration delay;
};

class Strikes {
 public:
  void Arm(Strike strike) { armed_.push_back(strike); }
  void Disarm() { armed_.clear(); }

  // Whoever carries effects out has come to this moment.
  std::optional<Strike> At(Bite moment) {
    for (auto it = armed_.begin(); it != armed_.end(); ++it) {
      if (it->moment != moment) continue;
      if (it->skip > 0) {
        --it->skip;
        continue;
      }
      const Strike strike = *it;
      armed_.erase(it);
      return strike;
    }
    return std::nullopt;
  }

  // How the process is hit; set by whoever runs the simulation.
  std::function<void(Process*, const Strike&)> hit;

 private:
  std::vector<Strike> armed_;
};

}  // namespace tessera::sim
