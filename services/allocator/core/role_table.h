// Roles: the sorter that orders them, and for each role the sorter of its clients.
//
// Invariants: a role is in the role sorter while it has a client, and active there while one of its
// clients is active.
// Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/sorter.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

struct RoleState {
  std::unique_ptr<Sorter> clients;  // null while the role has no client
  uint32_t client_count = 0;
};

class RoleTable {
 public:
  // All must outlive the table.
  RoleTable(const AllocatorConfig* config, const Vocabulary* words, const ClusterTotals* totals);

  Sorter& sorter() { return *sorter_; }
  const Sorter& sorter() const { return *sorter_; }
  const RoleState& at(RoleNum number) const { return roles_[Index(number)]; }
  // All roles that ever had a client are below this.
  size_t slots() const { return roles_.size(); }

  // An inactive client, new in its role.
  void AddClient(RoleNum role, ClientNum client, FrameworkNum framework);
  // Forgets what was charged to it.
  void RemoveClient(RoleNum role, ClientNum client);
  void SetActive(RoleNum role, ClientNum client, bool active);
  // In millionths, positive; whether the role has a client or not.
  void SetWeight(RoleNum role, int64_t weight);

 private:
  const AllocatorConfig& config_;
  const Vocabulary& words_;
  const ClusterTotals* const totals_;
  std::unique_ptr<Sorter> sorter_;
  std::vector<RoleState> roles_;
};

}  // namespace tessera::allocator
