// Frameworks, and clients: one framework in one role, which is what sorters order and what filters
// and holdings belong to.
//
// Invariants: a framework lists its clients, and each of them names it; a number is told as
// forgotten when its framework is not known and has no client, and stands for nothing then. Which
// clients there are, and which of them are active, is the business of Subscriptions.
// Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/amounts.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/minimum.h"

namespace tessera::allocator {

struct Client {
  FrameworkNum framework{kNoNumber};
  RoleNum role = kNoRole;
  bool subscribed = false;
  bool suppressed = false;
  bool active = false;        // in the sorter
  bool maybe_closed = false;  // some agent may have it closed
  uint32_t agents_held = 0;   // on how many agents it holds something
  std::optional<Minimum> min_allocatable;
  std::shared_ptr<const OfferConstraints> constraints;  // null: any agent
  // Demand: none stated, or what was stated and what is left of it.
  std::optional<Amounts> wanted;
  Amounts wanted_left;
  Minimum smallest;

  bool IsSated() const { return wanted && !wanted_left.AnyPositive(); }
};

struct Framework {
  bool known = false;  // added and not removed; else it only holds something still
  bool active = false;
  FrameworkCapabilities capabilities;
  std::vector<ClientNum> clients;  // in order of creation
  uint32_t outstanding_offers = 0;
  int silences = 0;             // in a row
  uint64_t silences_total = 0;  // over its life
  // It let offers lie, and is not asked until then; infinite past when it is.
  absl::Time quiet_until = absl::InfinitePast();
  // The runs that it asked for are paid for until then.
  absl::Time runs_paid_until = absl::InfinitePast();
  // Refusals that were made longer than the framework had asked for.
  uint64_t refusals_lengthened = 0;

  // It holds as many offers without an answer as it may.
  bool IsAtOfferCap(const AllocatorConfig& config) const {
    return config.outstanding_offers_max != 0 &&
           outstanding_offers >= config.outstanding_offers_max;
  }
  bool IsQuiet() const { return quiet_until != absl::InfinitePast(); }
  bool IsKeptFromOffers(const AllocatorConfig& config) const {
    return IsAtOfferCap(config) || IsQuiet();
  }
};

class FrameworkTable {
 public:
  // Null unless the framework is known.
  const Framework* Find(FrameworkNum number) const {
    if (Index(number) >= frameworks_.size() || !frameworks_[Index(number)].known) return nullptr;
    return &frameworks_[Index(number)];
  }
  // Of a number that is known or holds something.
  Framework& at(FrameworkNum number) { return frameworks_[Index(number)]; }
  const Framework& at(FrameworkNum number) const { return frameworks_[Index(number)]; }
  // All numbers so far are below this.
  size_t slots() const { return frameworks_.size(); }
  // The row of a number, an empty one when there is none.
  Framework& GetOrMake(FrameworkNum number);
  // The number, without a client, stands for nothing from now on.
  void Forget(FrameworkNum number);
  // Numbers that nothing refers to any longer; the caller empties the list.
  std::vector<FrameworkNum> forgotten;

  std::optional<ClientNum> FindClient(FrameworkNum framework, RoleNum role) const;
  Client& client(ClientNum number) { return clients_[Index(number)]; }
  const Client& client(ClientNum number) const { return clients_[Index(number)]; }
  // All numbers so far are below this; a free one has no role.
  size_t client_slots() const { return clients_.size(); }
  // There must be none of the framework in the role.
  ClientNum MakeClient(FrameworkNum framework, RoleNum role);
  // Frees the number. With its last client a framework that is not known is forgotten.
  void ForgetClient(ClientNum number);

 private:
  std::vector<Framework> frameworks_;
  std::vector<Client> clients_;
  std::vector<ClientNum> free_clients_;
};

}  // namespace tessera::allocator
