#include "services/allocator/core/role_table.h"

namespace tessera::allocator {

RoleTable::RoleTable(const AllocatorConfig* config, const Vocabulary* words,
                     const ClusterTotals* totals)
    : config_(*config),
      words_(*words),
      totals_(totals),
      sorter_(NewSorter(config->role_sorter, /*hierarchical=*/true, totals)) {}

void RoleTable::AddClient(RoleNum role, ClientNum client, FrameworkNum framework) {
  if (Index(role) >= roles_.size()) roles_.resize(Index(role) + 1);
  RoleState& state = roles_[Index(role)];
  if (state.client_count++ == 0) {
    state.clients = NewSorter(config_.framework_sorter, /*hierarchical=*/false, totals_);
    sorter_->Add(Index(role), words_.role(role).path);
  }
  state.clients->Add(Index(client), words_.FrameworkId(framework));
}

void RoleTable::RemoveClient(RoleNum role, ClientNum client) {
  RoleState& state = roles_[Index(role)];
  state.clients->Remove(Index(client));
  if (--state.client_count > 0) return;
  state.clients = nullptr;
  sorter_->Remove(Index(role));
}

void RoleTable::SetActive(RoleNum role, ClientNum client, bool active) {
  Sorter& clients = *roles_[Index(role)].clients;
  if (active) {
    clients.Activate(Index(client));
  } else {
    clients.Deactivate(Index(client));
  }
  if (clients.active_clients() == 0) {
    sorter_->Deactivate(Index(role));
  } else {
    sorter_->Activate(Index(role));
  }
}

void RoleTable::SetWeight(RoleNum role, int64_t weight) {
  sorter_->SetWeight(words_.role(role).path, weight);
}

}  // namespace tessera::allocator
