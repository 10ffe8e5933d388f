#include "services/allocator/core/framework_table.h"

namespace tessera::allocator {

Framework& FrameworkTable::GetOrMake(FrameworkNum number) {
  if (Index(number) >= frameworks_.size()) frameworks_.resize(Index(number) + 1);
  return frameworks_[Index(number)];
}

void FrameworkTable::Forget(FrameworkNum number) {
  frameworks_[Index(number)] = Framework();
  forgotten.push_back(number);
}

std::optional<ClientNum> FrameworkTable::FindClient(FrameworkNum framework, RoleNum role) const {
  if (Index(framework) >= frameworks_.size()) return std::nullopt;
  for (ClientNum number : frameworks_[Index(framework)].clients) {
    if (client(number).role == role) return number;
  }
  return std::nullopt;
}

ClientNum FrameworkTable::MakeClient(FrameworkNum framework, RoleNum role) {
  ClientNum number;
  if (free_clients_.empty()) {
    number = ClientNum(clients_.size());
    clients_.emplace_back();
  } else {
    number = free_clients_.back();
    free_clients_.pop_back();
  }
  Client& made = clients_[Index(number)];
  made.framework = framework;
  made.role = role;
  GetOrMake(framework).clients.push_back(number);
  return number;
}

void FrameworkTable::ForgetClient(ClientNum number) {
  Client& gone = clients_[Index(number)];
  Framework& framework = frameworks_[Index(gone.framework)];
  std::erase(framework.clients, number);
  if (framework.clients.empty() && !framework.known) Forget(gone.framework);
  gone = Client();
  free_clients_.push_back(number);
}

}  // namespace tessera::allocator
