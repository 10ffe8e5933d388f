// Why a framework in a role is not offered what it wants: each agent under the one obstacle that
// stands in the way there, the agents that come nearest to fitting, and who holds what is missing.
//
// Asks the questions of offer_checks.h of every agent, as the next full run would. Reads the tables
// and changes nothing, not even the random numbers to come: it costs nothing when nobody asks, and
// a look at each agent when somebody does.
//
// Invariant: the counts add up to the number of known agents. An agent under kNone is offered by
// the next full run, unless a client whose turn is earlier takes it or the quota for it, or the
// client's demand or quota is met by what it is offered before. Quota cuts disks and volumes in
// random order: where several of them compete for too little room, a run may choose otherwise than
// the explanation did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/minimum.h"

namespace tessera::allocator {

// An earlier group hides a later one.
enum class Obstacle {
  kNone,
  // Of the client, whatever the agent.
  kPaused,
  kFrameworkInactive,
  kSuppressed,
  kOfferCap,
  kSilence,  // it has let offers lie, and is not asked for a while
  kNoDemand,
  // Of the agent, whatever is free there.
  kAgentInactive,
  kNotWhitelisted,
  kConstraint,
  kRegion,
  kGpu,
  // Of what is free there.
  kTooSmall,           // all that it may have of the agent is too little
  kTooLittleLeft,      // others hold too much
  kHeldByItself,       // enough together with what it holds there in this role
  kReservedForOthers,  // enough only with what is reserved for other roles
  kCapability,         // enough only with what asks for a capability that it lacks
  // Of quota, where enough is free.
  kOverLimit,     // the limit of the role or of one above it cuts it short
  kHeadroomHeld,  // what is held back for guarantees of others cuts it short
  // Of what the framework said of it.
  kFiltered,
};
inline constexpr size_t kObstacles = static_cast<size_t>(Obstacle::kFiltered) + 1;

struct Question {
  // Of a known framework, which subscribes to the role.
  ClientNum client;
  // What an offer must hold to be of use; none: whatever may be offered.
  std::optional<Minimum> needed;
  // Nothing is allocated now.
  bool paused = false;
  size_t nearest_max = 10;
  size_t holders_max = 10;
};

struct Explanation {
  struct NearAgent {
    AgentNum agent;
    Obstacle obstacle = Obstacle::kNone;
    Bag available;                                         // what would be offered, were it enough
    std::vector<std::pair<std::string, int64_t>> missing;  // by name; thousandths, positive
  };
  // Over the agents under kTooLittleLeft.
  struct Holder {
    ClientNum client;
    uint64_t agents = 0;
    Amounts held;
  };

  uint64_t Count(Obstacle obstacle) const { return counts[static_cast<size_t>(obstacle)]; }

  std::array<uint64_t, kObstacles> counts{};
  uint64_t agents = 0;
  std::vector<NearAgent> nearest;  // the least missing first
  std::vector<Holder> holders;     // the most agents first
};

Explanation Explain(const Question& question, const ClusterTables& tables);

}  // namespace tessera::allocator
