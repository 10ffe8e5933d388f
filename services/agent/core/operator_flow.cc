#include "services/agent/core/operator_flow.h"

#include <csignal>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"

namespace tessera::agent {

using checkpoint::Record;
using model::v1::ErrorDetail;

void OperatorFlow::On(const OperatorSignal& event) {
  const Container* container = state_.containers.Find(event.container_id);
  Task* task = container == nullptr ? nullptr : state_.tasks.Find(container->task);
  absl::Status status;
  if (task == nullptr) {
    status = rpc::Error(absl::StatusCode::kNotFound, ErrorDetail::UNKNOWN_CONTAINER,
                        absl::StrCat("no container runs with the id ", event.container_id));
  } else if (event.signal_number == SIGKILL) {
    tasks_.Kill(*task, Record::KILL_OPERATOR, absl::ZeroDuration());
  } else {
    state_.Emit(SignalContainer{event.container_id, event.signal_number});
  }
  state_.Emit(AnswerOperator{event.call, status, std::nullopt});
}

void OperatorFlow::On(const OperatorWait& event) {
  if (const ContainerView* ended = state_.views.FindEnded(event.container_id); ended != nullptr) {
    state_.Emit(AnswerOperator{event.call, absl::OkStatus(), ended->termination});
    return;
  }
  if (state_.containers.Find(event.container_id) == nullptr) {
    state_.Emit(AnswerOperator{
        event.call,
        rpc::Error(absl::StatusCode::kNotFound, ErrorDetail::UNKNOWN_CONTAINER,
                   absl::StrCat("no container is known by the id ", event.container_id)),
        std::nullopt});
    return;
  }
  waits_[event.container_id].push_back(event.call);
  wait_of_call_[event.call] = event.container_id;
}

void OperatorFlow::On(const OperatorGone& event) {
  auto found = wait_of_call_.find(event.call);
  if (found == wait_of_call_.end()) return;
  auto calls = waits_.find(found->second);
  if (calls != waits_.end()) {
    std::erase(calls->second, event.call);
    if (calls->second.empty()) waits_.erase(calls);
  }
  wait_of_call_.erase(found);
}

void OperatorFlow::OnContainer(const ContainerChange& change) {
  if (std::holds_alternative<ContainerChange::Started>(change.what)) return;
  auto waiting = waits_.find(change.container_id);
  if (waiting == waits_.end()) return;
  const auto* ended = std::get_if<ContainerChange::Ended>(&change.what);
  for (const uint64_t call : waiting->second) {
    state_.Emit(
        AnswerOperator{call, absl::OkStatus(),
                       ended == nullptr ? std::nullopt : std::make_optional(ended->termination)});
    wait_of_call_.erase(call);
  }
  waits_.erase(waiting);
}

}  // namespace tessera::agent
