#include "services/agent/core/drain_flow.h"

#include <memory>
#include <utility>
#include <vector>

#include "services/model/wire/incarnation.h"

namespace tessera::agent {

using checkpoint::Record;

void DrainFlow::OnDrain(const model::v1::DrainConfig& config) {
  if (state_.tasks.size() == 0) return;
  state_.drain = config;
  state_.Touch();
  Record record;
  *record.mutable_drain()->mutable_config() = config;
  state_.journal.Write(std::move(record));
  tasks_.KillAll(Record::KILL_DRAINING);
}

void DrainFlow::Leave(const std::string& why) {
  if (state_.leaving) return;
  state_.leaving = true;
  link_.End(absl::CancelledError(why));
  state_.deadlines.Clear(DeadlineKey::OfAgent(DeadlineKind::kDial));
  auto info = std::make_shared<model::v1::AgentInfo>(*state_.info);
  info->clear_id();
  state_.SetInfo(std::move(info));
  state_.drain.reset();
  Record record;
  *record.mutable_identity()->mutable_info() = *state_.info;
  state_.journal.Write(std::move(record));
  tasks_.KillAll(Record::KILL_AGENT_SHUTDOWN);
}

void DrainFlow::Resume() {
  if (state_.drain.has_value()) OnDrain(model::v1::DrainConfig(*state_.drain));
  if (state_.leaving) tasks_.KillAll(Record::KILL_AGENT_SHUTDOWN);
}

void DrainFlow::FinishIfDone() {
  if (state_.drain.has_value() && state_.tasks.size() == 0) {
    state_.drain.reset();
    state_.Touch();
    Record record;
    record.mutable_drain();
    state_.journal.Write(std::move(record));
  }
  if (!state_.leaving || state_.tasks.live() > 0) return;
  // Their pods are still being taken away.
  if (!state_.executors.executors().empty()) return;
  // Statuses of the old agent interest nobody: the master has declared its tasks dead.
  std::vector<model::Incarnation> ended;
  for (const auto& [incarnation, task] : state_.tasks.tasks()) ended.push_back(incarnation);
  for (const model::Incarnation& incarnation : ended) {
    Record record;
    *record.mutable_forgotten()->mutable_task() = model::wire::ToProto(incarnation);
    state_.journal.Write(std::move(record));
    tasks_.Forget(incarnation);
  }
  state_.leaving = false;
  link_.DialSoon();
}

}  // namespace tessera::agent
