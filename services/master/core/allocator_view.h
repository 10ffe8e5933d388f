// What the allocator is told: one function for each kind of message, which reads the rows. The only
// place that writes these messages.
//
// They are sent in the order of the calls: what was refused, or how an offer ended, is a deed and
// not a state, and the allocator's answers refer to its place among the others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/master/core/agent_table.h"
#include "services/master/core/allocator_link.h"
#include "services/master/core/framework_table.h"
#include "services/model/resources.h"

namespace tessera::master {

class Books;

// What the end of an allocation tells of its framework.
enum class AllocationEnd : uint8_t {
  // It took something.
  kTaken,
  // It took nothing: refused, let lie, or accepted for nothing.
  kLeft,
  // Nothing: the master took it back, or never sent it.
  kWithdrawn,
};

class AllocatorView {
 public:
  AllocatorView(Books* books, AllocatorLink* link) : books_(*books), link_(*link) {}

  // ---- frameworks
  void AddToAllocator(Framework& framework);
  void FrameworkActivated(const Framework& framework);
  void FrameworkDeactivated(const Framework& framework);
  // Its description, suppressed roles or constraints.
  void FrameworkUpdated(const Framework& framework);
  void FrameworkRemoved(const Framework& framework);
  void Revived(const Framework& framework, const std::vector<std::string>& roles);
  void Suppressed(const Framework& framework, const std::vector<std::string>& roles);
  void Unsuppressed(const Framework& framework, const std::vector<std::string>& roles);
  void FiltersCleared(const Framework& framework, const std::vector<std::string>& roles);
  // It wants this now, whatever it was offered before.
  void DemandStated(const Framework& framework, const sched::SetDemandRequest::Demand& demand);
  // The allocator lost count of what is left of the framework's demand in the role.
  void RestateDemand(const Framework& framework, const std::string& role);

  // ---- agents
  void AddToAllocator(Agent& agent);
  void RemoveFromAllocator(Agent& agent);
  // The next AddToAllocator takes the place of what the allocator has of the agent; until then it
  // is told nothing of it.
  static void BeginReplacement(Agent& agent);
  // Its description or total.
  void AgentUpdated(const Agent& agent);
  // Tells when the agent began or ceased to take part in offers.
  void UpdateActivity(Agent& agent);
  void UnavailabilityUpdated(const Agent& agent);
  // The hostnames whose agents may be offered; none: all.
  void SetWhitelist(std::optional<std::vector<std::string>> hostnames);

  // ---- offers
  // Allocations are outstanding offers no longer, or never became any. `lay`: how long the longest
  // of them was outstanding.
  void EndAllocations(const std::string& framework_id, uint32_t count, AllocationEnd end,
                      absl::Duration lay = absl::ZeroDuration());
  // The framework holds these no longer. `refuse` is set for what was offered and not taken, zero
  // when there shall be no filter.
  void GiveBack(const std::string& framework_id, const Agent& agent,
                const model::Resources& resources, std::optional<absl::Duration> refuse);
  void InverseOfferAnswered(const Framework& framework, const Agent& agent, bool accepted,
                            absl::Duration refuse);
  // What the allocator asked is not outstanding.
  void EndInverseOffer(const Framework& framework, const Agent& agent);

  // ---- roles
  void WeightSet(const std::string& role, int64_t weight_milli);
  void QuotaSet(const std::string& role, const pb::Quantities& guarantees,
                const pb::Quantities& limits);

  // All rows, in the order that the contract asks for. `expected_agents`: wait for so many.
  void SendSnapshot(size_t expected_agents, absl::Duration expectation_timeout);

 private:
  void SendWhitelist();

  Books& books_;
  AllocatorLink& link_;
  std::optional<std::vector<std::string>> whitelist_;
};

}  // namespace tessera::master
