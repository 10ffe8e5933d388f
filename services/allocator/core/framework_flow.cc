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
  const FrameworkTable& frameworks = state_.tables.frameworks;
  std::vector<ClientNum> clients;
  if (roles.empty()) {
    for (ClientNum client : frameworks.at(number).clients) {
      if (frameworks.client(client).subscribed) clients.push_back(client);
    }
    return clients;
  }
  for (RoleNum role : roles) {
    const std::optional<ClientNum> client = frameworks.FindClient(number, role);
    if (!client || !frameworks.client(*client).subscribed) {
      state_.Refuse(RefusalReason::kNotSubscribed,
                    absl::StrCat("framework ", state_.words().FrameworkId(number),
                                 " is not subscribed to ", state_.words().role(role).path));
      return std::nullopt;
    }
    clients.push_back(*client);
  }
  return clients;
}

void FrameworkFlow::SetActive(FrameworkNum number, bool active) {
  ClusterTables& tables = state_.tables;
  Framework& framework = tables.frameworks.at(number);
  framework.active = active;
  if (!active) tables.inverse_offers.ForgetFramework(number);
  for (ClientNum client : framework.clients) {
    if (!active && tables.filters.ClearClient(client)) tables.closed.Reopen(client);
    state_.subscriptions.UpdateActivity(client);
  }
}

void FrameworkFlow::On(const FrameworkAdded& event) {
  FrameworkTable& frameworks = state_.tables.frameworks;
  if (frameworks.Find(event.framework) != nullptr) {
    state_.Refuse(RefusalReason::kDuplicateFramework, state_.words().FrameworkId(event.framework));
    return;
  }
  if (!CheckSpec(event.framework, event.spec)) return;
  Framework& framework = frameworks.GetOrMake(event.framework);
  framework.known = true;
  framework.active = event.active;
  framework.outstanding_offers = event.outstanding_offers;
  framework.silences = 0;
  framework.silences_total = 0;
  framework.quiet_until = absl::InfinitePast();
  framework.refusals_lengthened = 0;
  state_.subscriptions.Apply(event.framework, event.spec);
  if (event.active) state_.WantRunOnAll();
}

void FrameworkFlow::On(const FrameworkUpdated& event) {
  if (!state_.CheckFramework(event.framework) || !CheckSpec(event.framework, event.spec)) return;
  const uint64_t news = state_.tables.closed.news();
  state_.subscriptions.Apply(event.framework, event.spec);
  if (state_.tables.closed.news() != news) state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const FrameworkRemoved& event) {
  if (!state_.CheckFramework(event.framework)) return;
  ClusterTables& tables = state_.tables;
  Framework& framework = tables.frameworks.at(event.framework);
  framework.known = false;
  framework.active = false;
  framework.outstanding_offers = 0;
  tables.inverse_offers.ForgetFramework(event.framework);
  if (framework.clients.empty()) {
    tables.frameworks.Forget(event.framework);
  } else {
    state_.subscriptions.End(event.framework);
  }
}

void FrameworkFlow::On(const FrameworkActivated& event) {
  if (!state_.CheckFramework(event.framework)) return;
  offers_.EndQuiet(event.framework);
  SetActive(event.framework, true);
  state_.WantRunOnAll();
}

void FrameworkFlow::On(const FrameworkDeactivated& event) {
  if (state_.CheckFramework(event.framework)) SetActive(event.framework, false);
}

void FrameworkFlow::On(const Revived& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) {
    state_.tables.filters.ClearClient(client);
    state_.tables.closed.Reopen(client);
    state_.subscriptions.SetSuppressed(client, false);
  }
  offers_.EndQuiet(event.framework);
  state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const Suppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) state_.subscriptions.SetSuppressed(client, true);
}

void FrameworkFlow::On(const Unsuppressed& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  for (ClientNum client : *clients) state_.subscriptions.SetSuppressed(client, false);
  state_.WantRunFor(event.framework);
}

void FrameworkFlow::On(const FiltersCleared& event) {
  const auto clients = ClientsOf(event.framework, event.roles);
  if (!clients) return;
  bool any = false;
  for (ClientNum client : *clients) {
    if (!state_.tables.filters.ClearClient(client)) continue;
    state_.tables.closed.Reopen(client);
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
  const std::optional<ClientNum> client = tables.frameworks.FindClient(event.framework, event.role);
  if (!client || !tables.frameworks.client(*client).subscribed) return;
  tables.filters.ForgetHistory(*client);
  state_.subscriptions.StateDemand(*client, event);
  state_.WantRunFor(event.framework);
}

}  // namespace tessera::allocator
