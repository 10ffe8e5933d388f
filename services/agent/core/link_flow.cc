#include "services/agent/core/link_flow.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/inventory.h"
#include "services/agent/core/wire_time.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::agent {

using agentlink::v1::AgentMessage;
using checkpoint::Record;
using model::v1::ErrorDetail;

namespace {

// Messages of one batch, in the mean.
constexpr size_t kBatchMessages = 64;

constexpr DeadlineKey kDial{DeadlineKind::kDial, {}, 0};
constexpr DeadlineKey kRegistration{DeadlineKind::kRegistration, {}, 0};
constexpr DeadlineKey kPing{DeadlineKind::kPing, {}, 0};

}  // namespace

void LinkFlow::DialSoon() { state_.deadlines.Set(kDial, state_.now + state_.session.FirstWait()); }

void LinkFlow::Dial() {
  if (state_.session.link() != 0 || state_.leaving) return;
  const uint64_t link = state_.session.Open();
  ++state_.Count().dials;
  state_.Emit(OpenLink{link, state_.session.address()});
  AgentMessage message;
  AgentMessage::Register* registration = message.mutable_register_();
  *registration->mutable_info() = *state_.info;
  registration->set_highest_epoch(state_.session.highest_epoch());
  model::wire::ToProto(state_.book.total(), registration->mutable_total_resources());
  registration->set_resource_version(state_.book.version());
  state_.Send(std::move(message));
  if (!state_.info->id().empty()) {
    WriteInventory(state_, [this](AgentMessage chunk) { state_.Send(std::move(chunk)); });
    state_.frameworks.Listed(state_.session.link());
  }
  state_.deadlines.Set(kRegistration, state_.now + state_.config.registration_timeout);
}

void LinkFlow::End(const absl::Status& reason) {
  if (state_.session.link() == 0) return;
  state_.Emit(CloseLink{state_.session.link(), reason});
  Lost(reason);
}

void LinkFlow::Lost(const absl::Status& status) {
  state_.deadlines.Clear(kRegistration);
  state_.deadlines.Clear(kPing);
  kept_.clear();
  state_.Touch();
  const absl::Duration wait = state_.session.Failed(status);
  state_.frameworks.ForgetIdle();
  statuses_.StopRetries();
  if (!state_.leaving) state_.deadlines.Set(kDial, state_.now + wait);
}

bool LinkFlow::On(const LinkClosed& event) {
  if (!state_.session.IsCurrent(event.link)) return false;
  Lost(event.status.ok() ? absl::UnavailableError("the master ended the link") : event.status);
  return rpc::ReasonOf(event.status) == ErrorDetail::AGENT_GONE;
}

void LinkFlow::On(const LinkReceived& event, Obey obey) {
  if (!state_.session.IsCurrent(event.link)) return;
  if (event.batch.epoch() < state_.session.highest_epoch()) {
    ++state_.Count().stale_batches;
    return End(
        rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH,
                   absl::StrCat("the master's epoch ", event.batch.epoch(), " is lower than ",
                                state_.session.highest_epoch(), ", which this agent has obeyed")));
  }
  if (state_.session.RaiseEpoch(event.batch.epoch())) {
    state_.Touch();
    Record record;
    record.mutable_epoch()->set_highest(event.batch.epoch());
    state_.journal.Write(std::move(record));
    gate_ = state_.journal.Mark();
  }
  for (const MasterMessage& message : event.batch.messages()) {
    // Only the gate holds messages back, and it opens with the next sync: this much never waits.
    if (kept_.size() >= state_.config.held_batches_max * kBatchMessages) {
      return End(rpc::Overloaded("messages that wait for the agent's log"));
    }
    if (Gated() || !kept_.empty()) {
      kept_.push_back(message);
      continue;
    }
    obey(message);
    if (!state_.session.IsCurrent(event.link)) return;
  }
}

bool LinkFlow::ObeyKept(Obey obey) {
  bool any = false;
  while (!kept_.empty() && !Gated()) {
    const MasterMessage message = std::move(kept_.front());
    kept_.pop_front();
    obey(message);
    any = true;
  }
  return any;
}

void LinkFlow::OnRegistered(const MasterMessage::Registered& message) {
  if (state_.session.registered() || message.agent_id().empty()) {
    ++state_.Count().ignored_messages;
    return;
  }
  if (state_.info->id().empty()) {
    auto info = std::make_shared<model::v1::AgentInfo>(*state_.info);
    info->set_id(message.agent_id());
    state_.SetInfo(std::move(info));
    Record record;
    *record.mutable_identity()->mutable_info() = *state_.info;
    state_.journal.Write(std::move(record));
    gate_ = state_.journal.Mark();
  } else if (state_.info->id() != message.agent_id()) {
    return End(absl::InternalError(absl::StrCat("the master calls this agent ", message.agent_id(),
                                                ", its id is ", state_.info->id())));
  }
  const absl::Duration timeout = FromDuration(message.ping_timeout());
  state_.session.set_ping_timeout(timeout > absl::ZeroDuration() ? timeout
                                                                 : state_.config.ping_timeout);
  state_.deadlines.Clear(kRegistration);
  state_.deadlines.Set(kPing, state_.now + state_.session.ping_timeout());
  if (Gated()) {
    state_.journal.After(after::Registration{state_.session.link()});
  } else {
    CompleteRegistration(state_.session.link());
  }
}

void LinkFlow::CompleteRegistration(uint64_t link) {
  if (!state_.session.IsCurrent(link) || state_.session.registered()) return;
  state_.session.Registered();
  ++state_.Count().registrations;
  statuses_.SendAllHeads();
}

void LinkFlow::OnPing(const MasterMessage::Ping& message) {
  state_.deadlines.Clear(kRegistration);
  state_.deadlines.Set(kPing, state_.now + state_.session.ping_timeout());
  if (!state_.session.registered()) {
    state_.deadlines.Set(kRegistration, state_.now + state_.config.registration_timeout);
  }
  AgentMessage answer;
  answer.mutable_pong()->set_sequence(message.sequence());
  state_.Send(std::move(answer));
}

void LinkFlow::OnRegistrationDeadline() {
  End(absl::DeadlineExceededError("the master did not answer the registration"));
}

void LinkFlow::OnPingDeadline() {
  ++state_.Count().ping_timeouts;
  End(absl::DeadlineExceededError("no ping from the master"));
}

}  // namespace tessera::agent
