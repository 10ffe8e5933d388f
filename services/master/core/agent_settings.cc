#include "services/master/core/agent_settings.h"

#include <optional>
#include <utility>

#include "services/master/core/times.h"

namespace tessera::master {

reg::AdmittedAgent RecordOf(const Agent& agent) {
  reg::AdmittedAgent record;
  *record.mutable_info() = agent.info;
  SetTime(agent.registered_time, record.mutable_admitted_time());
  record.set_deactivated(agent.deactivated);
  if (agent.drain.has_value()) *record.mutable_drain() = *agent.drain;
  return record;
}

void ApplySettings(Books& books, Agent& agent, const reg::AdmittedAgent& settings) {
  agent.deactivated = settings.deactivated();
  agent.drain = settings.has_drain() ? std::optional(settings.drain()) : std::nullopt;
  if (agent.drain.has_value() && agent.drain->state() == pb::DRAIN_STATE_DRAINING) {
    link::MasterMessage message;
    *message.mutable_drain()->mutable_config() = agent.drain->config();
    books.Tell(agent, std::move(message));
  }
  books.allocator_view.UpdateActivity(agent);
  if (!agent.active()) books.offer_book.RescindOffersOf(agent);
  books.changed.AgentChanged(agent.id);
}

}  // namespace tessera::master
