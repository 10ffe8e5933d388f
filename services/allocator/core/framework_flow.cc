#include "services/allocator/core/framework_flow.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::allocator {

bool FrameworkFlow::CheckSpec(FrameworkNum number, const FrameworkSpec& spec) {
  if (spec.roles.size() < 2) return true;
  std::vector<RoleNum> roles;
  for (const RoleSubscription& subscription : spec.roles) roles.push_back(subscription.role);
  std::sort(roles.begin(), roles.end());
  const auto twice = std::adjacent_find(roles.begin(), roles.end());
  if (twice == roles.end()) return true;
  state_.Refuse(RefusalReason::kDuplicateRole,
                absl::StrCat("framework ", state_.words().FrameworkId(number), " names role ",
                             state_.words().role(*twice).path, " twice"));
  return false;
}

std::optional<std::vector<ClientNum>> FrameworkFlow::ClientsOf(FrameworkNum number,
                                                               const std::vector<RoleNum>& roles) {
  if (!state_.CheckFramework(number)) return std::nullopt;
  const ClusterTables& tables = state_.tables;
  std::vector<ClientNum> clients;
  if (roles.empty()) {
    for (ClientNum client : tables.FindFramework(number)->clients) {
      if (tables.client(client).subscribed) clients.push_back(client);
    }
    return clients;
  }
  for (RoleNum role : roles) {
    const std::optional<ClientNum> client = tables.FindClient(number, role);
    if (!client || !tables.client(*client).subscribed) {
      state_.Refuse(RefusalReason::kNotSubscribed,
                    absl::StrCat("framework ", state_.words().FrameworkId(number),
                                 " is not subscribed to ", state_.words().role(role).path));
      return std::nullopt;
    }
    clients.push_back(*client);
  }
  return clients;
}

void FrameworkFlow::On(const FrameworkAdded& event) {
  if (state_.tables.FindFramework(event.framework) != nullptr) {
    state_.Refuse(RefusalReason::kDuplicateFramework, state_.words().FrameworkId(event.framework));
    return;
  }
  if (!CheckSpec(event.framework, event.spec)) return;
  state_.tables.AddFramework(event.framework, event.spec, event.active, event.outstanding_offers);
  if (event.active) state_.WantRunOnAll();
}

void FrameworkFlow::On(const FrameworkUpdated& event) {
  if (!state_.CheckFramework(event.framework) || !CheckSpec(event.framework, event.spec)) return;
  const uint64_t news = state_.tables.news();
  state_.tables.UpdateFramework(event.framework, event.spec);
  if (state_.tables.news() != news) state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const FrameworkRemoved& event) {
  if (state_.CheckFramework(event.framework)) state_.tables.RemoveFramework(event.framework);
}

void FrameworkFlow::On(const FrameworkActivated& event) {
  if (!state_.CheckFramework(event.framework)) return;
  state_.tables.EndQuiet(event.framework);
  state_.tables.SetFrameworkActive(event.framework, true);
  state_.WantRunOnAll();
}

void FrameworkFlow::On(const FrameworkDeactivated& event) {
  if (!state_.CheckFramework(event.framework)) return;
  state_.tables.SetFrameworkActive(event.framework, false);
}

void FrameworkFlow::On(const Revived& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) {
    state_.tables.filters().ClearClient(client);
    state_.tables.Reopen(client);
    state_.tables.SetSuppressed(client, false);
  }
  state_.tables.EndQuiet(event.framework);
  state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const Suppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) state_.tables.SetSuppressed(client, true);
}

void FrameworkFlow::On(const Unsuppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) state_.tables.SetSuppressed(client, false);
  state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const FiltersCleared& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  bool any = false;
  for (ClientNum client : *clients) {
    if (!state_.tables.filters().ClearClient(client)) continue;
    state_.tables.Reopen(client);
    any = true;
  }
  if (any) state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const DemandStated& event) {
  if (!state_.CheckFramework(event.framework)) return;
  if ((event.wanted && event.wanted->AnyNegative()) || (event.left && event.left->AnyNegative())) {
    state_.Refuse(RefusalReason::kNegativeAmount, "demand");
    return;
  }
  ClusterTables& tables = state_.tables;
  const std::optional<ClientNum> client = tables.FindClient(event.framework, event.role);
  if (!client || !tables.client(*client).subscribed) return;
  tables.filters().ForgetHistory(*client);
  state_.tables.StateDemand(*client, event);
  state_.WantRunFor(event.framework);
}

}  // namespace tessera::allocator
