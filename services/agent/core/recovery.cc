#include "services/agent/core/recovery.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/agent_compatibility.h"
#include "services/agent/core/replay.h"
#include "services/agent/core/task_validation.h"
#include "services/base/bug.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {

using checkpoint::Record;
using model::v1::AgentInfo;

Recovery::Recovery(AgentState* state, PodFlow* pods, ExecutorFlow* executors, LinkFlow* link,
                   DrainFlow* drains)
    : state_(*state), pods_(*pods), executors_(*executors), link_(*link), drains_(*drains) {
  auto info = std::make_shared<AgentInfo>(state_.config.info);
  info->clear_id();
  state_.SetInfo(std::move(info));
  auto total = ResourcesOf(state_.config.info.resources());
  if (!TESSERA_BUG_IF(!total.ok(), "an agent core was made with resources that are not valid")) {
    configured_ = *std::move(total);
  }
}

void Recovery::Fail(std::string why) {
  stage_ = Stage::kFailed;
  state_.Touch();
  state_.Emit(Fatal{std::move(why)});
}

void Recovery::On(const Started& event) {
  if (stage_ != Stage::kNew) return;
  started_ = state_.now;
  state_.rebooted = event.rebooted;
  state_.Count().recovery_errors += ReplayLog(event.records, &state_);
  state_.journal.Begin(event.records.size());
  if (!TakeDescription()) return;
  TakeTotal();

  stage_ = Stage::kRecovering;
  RecoverContainers recover;
  for (const auto& [id, pod] : state_.pods.pods()) {
    if (pod.shared) recover.expected_pod_ids.push_back(id);
  }
  for (auto& [serial, container] : state_.containers.containers()) {
    recover.expected_container_ids.push_back(container.id);
    const Task* task = state_.tasks.Find(container.task);
    if (task != nullptr) pods_.Show(container, *task);
  }
  state_.Emit(std::move(recover));
}

bool Recovery::TakeDescription() {
  const std::shared_ptr<const AgentInfo> before = state_.info;
  auto info = std::make_shared<AgentInfo>(state_.config.info);
  info->clear_id();
  bool becomes_new = false;
  if (!before->id().empty()) {
    const absl::Status compatible = CheckCompatible(*before, state_.config.info);
    if (compatible.ok()) {
      info->set_id(before->id());
    } else if (!state_.rebooted) {
      Fail(absl::StrCat(
          "The agent's description does not fit the one that it is registered with as ",
          before->id(), ": ", std::string(compatible.message()),
          ". Set --resources, --attributes and --hostname back, or drain the agent and empty its "
          "work directory so that it registers as a new agent."));
      return false;
    } else {
      becomes_new = true;
    }
  }
  state_.SetInfo(info);
  if (becomes_new) {
    BecomeNew();
  } else if (!info->id().empty() && before->SerializeAsString() != info->SerializeAsString()) {
    Record record;
    *record.mutable_identity()->mutable_info() = *info;
    state_.journal.Write(std::move(record));
  }
  return true;
}

void Recovery::TakeTotal() {
  if (state_.book.version() > 0 && state_.book.total() == configured_) return;
  total_changed_ = true;
  state_.book.SetTotal(configured_, state_.book.version() + 1);
  Record record;
  model::wire::ToProto(configured_, record.mutable_total()->mutable_resources());
  record.mutable_total()->set_version(state_.book.version());
  state_.journal.Write(std::move(record));
}

// Nothing runs any more: the changed machine becomes a new agent.
void Recovery::BecomeNew() {
  for (const auto& [id, pod] : state_.pods.pods()) {
    state_.sandboxes.Add(id, {pod.sandbox, state_.now, /*in_pod=*/false});
  }
  state_.tasks = TaskTable();
  state_.containers = ContainerTable();
  state_.pods = PodTable();
  state_.executors = ExecutorTable();
  state_.frameworks = FrameworkTable();
  state_.book = ResourceBook(configured_, state_.book.version() + 1);
  state_.drain.reset();
  total_changed_ = true;
  state_.Emit(state_.journal.Restart(EssenceOf(state_)));
}

bool Recovery::On(const ContainersRecovered& event) {
  if (stage_ != Stage::kRecovering) return false;
  if (!event.result.ok()) {
    ++state_.Count().recovery_errors;
    Fail(absl::StrCat("The containers of the agent could not be found again: ",
                      event.result.status().ToString()));
    return false;
  }
  stage_ = Stage::kRunning;
  duration_ = state_.now - started_;
  state_.Touch();
  state_.leaving = state_.info->id().empty() && state_.tasks.size() > 0;
  // What each end means is settled by the order of the log, before any of them is acted on: the end
  // of one task of a group kills the others, but not those that had ended before.
  for (const RecoveredPod& pod : event.result->pods) pods_.Recover(pod);
  for (const RecoveredContainer& container : event.result->containers) pods_.Recover(container);
  return true;
}

void Recovery::Resume() {
  executors_.Recover();
  // A new total is told with its version, which must never be told of another one.
  if (total_changed_) {
    state_.journal.After(after::Dial{});
  } else if (!state_.leaving) {
    link_.DialSoon();
  }
  drains_.Resume();
}

}  // namespace tessera::agent
