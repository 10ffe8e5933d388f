#include "services/allocator/core/cluster_tables.h"

#include <cstdint>

namespace tessera::allocator {

ClusterTables::ClusterTables(const AllocatorConfig& allocator_config, const Vocabulary* vocabulary)
    : config(allocator_config),
      words(*vocabulary),
      roles(&config, vocabulary, &totals),
      quotas(vocabulary),
      filters(config.filters_max, config.filters_of_client_max),
      closed(&frameworks) {}

std::vector<size_t> ClusterTables::FiltersByRole() const {
  std::vector<size_t> counts(roles.slots());
  for (uint32_t index = 0; index < frameworks.client_slots(); ++index) {
    const RoleNum role = frameworks.client(ClientNum{index}).role;
    if (role != kNoRole) counts[Index(role)] += filters.CountOf(ClientNum{index});
  }
  return counts;
}

}  // namespace tessera::allocator
