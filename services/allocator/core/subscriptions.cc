#include "services/allocator/core/subscriptions.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"

namespace tessera::allocator {

ClientNum Subscriptions::Get(FrameworkNum framework, RoleNum role) {
  if (const std::optional<ClientNum> known = tables_.frameworks.FindClient(framework, role)) {
    return *known;
  }
  const ClientNum number = tables_.frameworks.MakeClient(framework, role);
  tables_.roles.AddClient(role, number, framework);
  return number;
}

void Subscriptions::ForgetIfUnused(ClientNum number) {
  const Client& client = tables_.frameworks.client(number);
  if (client.subscribed || client.agents_held > 0) return;
  tables_.roles.RemoveClient(client.role, number);
  tables_.filters.ClearClient(number);
  tables_.closed.Reopen(number);
  tables_.frameworks.ForgetClient(number);
}

void Subscriptions::UpdateActivity(ClientNum number) {
  Client& client = tables_.frameworks.client(number);
  const Framework& framework = tables_.frameworks.at(client.framework);
  const bool active = framework.known && framework.active && client.subscribed &&
                      !client.suppressed && !client.IsSated() &&
                      !framework.IsKeptFromOffers(tables_.config);
  if (active == client.active) return;
  client.active = active;
  tables_.roles.SetActive(client.role, number, active);
  if (active) tables_.closed.Announce();
}

void Subscriptions::UpdateActivityOf(FrameworkNum number) {
  for (ClientNum client : tables_.frameworks.at(number).clients) UpdateActivity(client);
}

void Subscriptions::Apply(FrameworkNum number, const FrameworkSpec& spec) {
  Framework& framework = tables_.frameworks.at(number);
  const bool capable_of_more = framework.capabilities != spec.capabilities;
  framework.capabilities = spec.capabilities;
  for (const RoleSubscription& subscription : spec.roles) {
    const ClientNum client_number = Get(number, subscription.role);
    Client& client = tables_.frameworks.client(client_number);
    // Leaving suppression this way is a revival: refusals are forgotten.
    if (client.suppressed && !subscription.suppressed) tables_.filters.ClearClient(client_number);
    client.subscribed = true;
    client.suppressed = subscription.suppressed;
    client.min_allocatable = subscription.min_allocatable;
    client.constraints = subscription.constraints;
  }
  // A copy: forgetting a client takes it off the framework's list. Most have one role.
  const absl::InlinedVector<ClientNum, 4> all(framework.clients.begin(), framework.clients.end());
  for (ClientNum client_number : all) {
    Client& client = tables_.frameworks.client(client_number);
    const bool listed =
        std::any_of(spec.roles.begin(), spec.roles.end(),
                    [&](const RoleSubscription& one) { return one.role == client.role; });
    if (!listed && client.subscribed) {
      client.subscribed = false;
      client.wanted.reset();
      client.smallest = Minimum();
      client.suppressed = false;
      tables_.filters.ClearClient(client_number);
    }
    if (listed || capable_of_more) tables_.closed.Reopen(client_number);
    UpdateActivity(client_number);
    ForgetIfUnused(client_number);
  }
}

void Subscriptions::End(FrameworkNum number) {
  const std::vector<ClientNum> all = tables_.frameworks.at(number).clients;
  for (ClientNum client_number : all) {
    Client& client = tables_.frameworks.client(client_number);
    client.subscribed = false;
    client.suppressed = false;
    tables_.filters.ClearClient(client_number);
    UpdateActivity(client_number);
    ForgetIfUnused(client_number);
  }
}

void Subscriptions::SetSuppressed(ClientNum number, bool suppressed) {
  tables_.frameworks.client(number).suppressed = suppressed;
  UpdateActivity(number);
}

void Subscriptions::StateDemand(ClientNum number, const DemandStated& demand) {
  Client& client = tables_.frameworks.client(number);
  client.wanted = demand.wanted;
  client.wanted_left = demand.wanted.value_or(Amounts());
  if (demand.left) client.wanted_left = Min(client.wanted_left, *demand.left);
  client.smallest = demand.smallest;
  tables_.closed.Reopen(number);
  UpdateActivity(number);
}

void Subscriptions::LowerDemand(ClientNum number, const Bag& bag) {
  Client& client = tables_.frameworks.client(number);
  if (!client.wanted) return;
  client.wanted_left = (client.wanted_left - bag.Quantity()).Clip();
  UpdateActivity(number);
}

void Subscriptions::RaiseDemand(ClientNum number, const Bag& bag) {
  Client& client = tables_.frameworks.client(number);
  if (!client.wanted) return;
  client.wanted_left = Min(*client.wanted, client.wanted_left + bag.Quantity());
  UpdateActivity(number);
}

}  // namespace tessera::allocator
