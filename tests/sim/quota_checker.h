// Judges of quotas: limits are never exceeded, and guarantees are never broken by others.
//
// Two of them, because there are two places to stand. QuotaChecker stands at the allocator's door
// and keeps its own account of what the allocator was told and what it has given away: what it
// condemns no race excuses. LimitChecker stands at the leading master and holds offers and tasks
// against what operators were told is in force; it speaks only at moments when the allocator had
// been told everything that the leader knows.
//
// Amounts are of unreserved scalars that cannot be taken back, in thousandths, by name: those are
// what quotas count. Neither judge shares code with the cores. Not thread safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "protos/tessera/allocator/v1/allocator_service.pb.h"
#include "tests/sim/checkers.h"

namespace tessera::sim {

using NamedAmounts = std::map<std::string, int64_t>;

// What quotas count of a list of resources.
NamedAmounts CountedAmounts(const google::protobuf::RepeatedPtrField<model::v1::Resource>& list);

struct RoleQuota {
  NamedAmounts guarantee;  // a name that is not there: nothing is guaranteed
  NamedAmounts limit;      // a name that is not there: no limit

  static RoleQuota From(const model::v1::Quantities& guarantees,
                        const model::v1::Quantities& limits);
  bool IsNone() const { return guarantee.empty() && limit.empty(); }
  friend bool operator==(const RoleQuota&, const RoleQuota&) = default;
};
using Quotas = std::map<std::string, RoleQuota>;  // by role; none is left out

// "a" is above "a/b" and everything beneath.
bool IsAtOrAbove(const std::string& above, const std::string& role);

class QuotaChecker {
 public:
  explicit QuotaChecker(Verdict* verdict) : verdict_(verdict) {}

  // On a stream of the allocator, in order. Streams have numbers of their own.
  void Told(uint64_t stream, const allocator::v1::AllocateRequest& request);
  // Judges each allocation as if it had been the last: after it
  // - no role that it counts for is above its limit, even if tasks had brought it there before;
  // - what is free on the agents that take part in offers suffices for all that is guaranteed and
  // not there yet, unless it
  //   did not before, and then at least it is no worse: only who is owed may take what is owed;
  // - nobody else held it.
  void Allocated(uint64_t stream, const allocator::v1::AllocateResponse& response);
  void Ended(uint64_t stream) { streams_.erase(stream); }
  // The allocator's process has ended.
  void AllEnded() { streams_.clear(); }

  // The quotas by which the allocator goes on the newest stream of an epoch; null: there is none.
  const Quotas* KnownTo(uint64_t epoch) const;
  // How many allocations were judged while some quota was set.
  uint64_t judged() const { return judged_; }

 private:
  struct Agent {
    NamedAmounts total;
    bool active = false;  // takes part in offers
    // By framework and role.
    std::map<std::pair<std::string, std::string>, NamedAmounts> held;
  };
  struct Account {
    uint64_t epoch = 0;
    Quotas quotas;
    std::map<std::string, Agent> agents;
    NamedAmounts free;                             // over the agents that take part in offers
    std::map<std::string, NamedAmounts> consumed;  // by role, without the roles beneath
  };

  static NamedAmounts FreeOn(const Agent& agent);
  // Runs change(&agent), and keeps what is free in step.
  template <typename Change>
  static void ChangeAgent(Account* account, const std::string& id, Change change);
  static NamedAmounts ConsumedBeneath(const Account& account, const std::string& role);
  // What the guarantees of all roles still lack. What a role beneath is owed is part of what the
  // role above it is owed.
  static NamedAmounts Owed(const Account& account);
  void Take(Account* account, const allocator::v1::ClusterEvent& event);
  static void Hold(Account* account, const std::string& agent_id, const std::string& framework,
                   const std::string& role, const NamedAmounts& amounts, int sign);
  static void Remove(Account* account, const std::string& agent_id);
  void Judge(Account* account, const allocator::v1::Allocation& allocation);

  Verdict* verdict_;
  std::map<uint64_t, Account> streams_;
  uint64_t judged_ = 0;
};

class LimitChecker {
 public:
  explicit LimitChecker(Verdict* verdict) : verdict_(verdict) {}

  // ---- What is in force.

  // The registry has stored a key, or forgotten it; it came back with this content.
  void Stored(const std::string& key, const std::optional<std::string>& value);
  void Recovered(const std::map<std::string, std::string>& content);
  // A leader begins: it goes by what is stored.
  void NewEpoch() { in_force_ = stored_; }
  // The leader has told an operator that this holds from now on.
  void Promised(const std::string& role, const RoleQuota& quota);

  // ---- What is said against it.

  // The leader has made offers to `roles`, by allocations that were decided when the allocator knew
  // everything that the leader knew. `consumed`: by role, the resources of outstanding offers and
  // of tasks that hold theirs, the new offers among them. `known`: see QuotaChecker::KnownTo.
  void Judge(const std::map<std::string, NamedAmounts>& roles,
             const std::map<std::string, NamedAmounts>& consumed, const Quotas* known);
  uint64_t judged() const { return judged_; }

 private:
  Verdict* verdict_;
  Quotas stored_;
  Quotas in_force_;
  uint64_t judged_ = 0;
};

}  // namespace tessera::sim
