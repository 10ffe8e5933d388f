// Guarantees and limits of roles, and what each role's subtree consumes of them.
//
// consumed(role) = reservations held by the subtree + unreserved, not revocable scalars allocated
// to it. A guarantee that is not consumed yet is held back from everybody else: that is the
// required head-room,
//
//   required(role) = max(guarantee - consumed, sum of required(children))    per name, at least 0,
//
// summed over the top-level roles. Children's guarantees are part of their parent's. All sums are
// kept up to date by each charge in O(depth). Not thread safe.
#pragma once

#include <cstdint>
#include <vector>

#include "services/allocator/core/amounts.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

struct Quota {
  Amounts guarantee;  // 0: none
  Amounts limit = Amounts::Unlimited();

  bool IsDefault() const { return guarantee.IsZero() && limit == Amounts::Unlimited(); }
  friend bool operator==(const Quota&, const Quota&) = default;
};

class QuotaTable {
 public:
  explicit QuotaTable(const Vocabulary* words) : words_(*words) {}

  void Set(RoleNum role, const Quota& quota);
  Quota Get(RoleNum role) const;
  // Some role has a guarantee or a limit.
  bool AnyQuota() const { return with_quota_ > 0; }

  void Consume(RoleNum role, const Amounts& amounts) { Charge(role, amounts, 1); }
  void Release(RoleNum role, const Amounts& amounts) { Charge(role, amounts, -1); }
  Amounts Consumed(RoleNum role) const;

  // Held back for guarantees over the whole cluster.
  const Amounts& required_headroom() const { return required_headroom_; }

  // How much the role may still take under its own limit and those above it; kUnlimited where
  // nothing limits.
  Amounts LimitRoom(RoleNum role) const;
  // What the role may take in the name of a guarantee, its own or of a role above it, leaving
  // what other roles beneath that one are guaranteed.
  Amounts GuaranteeRoom(RoleNum role) const;

 private:
  struct Account {
    Quota quota;
    Amounts consumed;
    Amounts required;
    Amounts required_below;
  };

  Account& At(RoleNum role);
  void Charge(RoleNum role, const Amounts& amounts, int sign);
  void Propagate(RoleNum role);

  const Vocabulary& words_;
  std::vector<Account> accounts_;  // by role
  Amounts required_headroom_;
  size_t with_quota_ = 0;
  size_t with_limit_ = 0;
};

}  // namespace tessera::allocator
