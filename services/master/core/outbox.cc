#include "services/master/core/outbox.h"

namespace tessera::master {
namespace {

// A few ids of at most 255 bytes and a number or two.
constexpr size_t kSmall = 1024;

}  // namespace

size_t RoughBytes(const sched::Event& event) {
  switch (event.kind_case()) {
    case sched::Event::kSubscribed:
    case sched::Event::kRescind:
    case sched::Event::kHeartbeat:
    case sched::Event::kFailure:
    case sched::Event::KIND_NOT_SET:
      return kSmall;
    case sched::Event::kOffers:
    case sched::Event::kInverseOffers:
    case sched::Event::kUpdate:
    case sched::Event::kOperationUpdate:
    case sched::Event::kMessage:
    case sched::Event::kError:
      break;
  }
  return event.ByteSizeLong();
}

size_t RoughBytes(const link::MasterMessage& message) {
  switch (message.kind_case()) {
    case link::MasterMessage::kRegistered:
    case link::MasterMessage::kKillTask:
    case link::MasterMessage::kAcknowledgeUpdate:
    case link::MasterMessage::kShutdownExecutor:
    case link::MasterMessage::kShutdownFramework:
    case link::MasterMessage::kPing:
    case link::MasterMessage::KIND_NOT_SET:
      return kSmall;
    case link::MasterMessage::kDescribeFramework:
    case link::MasterMessage::kRunTask:
    case link::MasterMessage::kRunTaskGroup:
    case link::MasterMessage::kAcknowledgeOperation:
    case link::MasterMessage::kFrameworkToExecutor:
    case link::MasterMessage::kApplyOperation:
    case link::MasterMessage::kReconcileTasks:
    case link::MasterMessage::kDrain:
    case link::MasterMessage::kShutdown:
      break;
  }
  return message.ByteSizeLong();
}

void Outbox::ToFramework(StreamId stream, sched::Event event) {
  const size_t bytes = RoughBytes(event);
  auto [open, fresh] = to_framework_.try_emplace(stream, effects_.size());
  if (!fresh) {
    auto& batch = std::get<master::ToFramework>(effects_[open->second]);
    if (batch.response.events_size() < kBatchPartsMax && batch.bytes + bytes <= kBatchBytesMax) {
      *batch.response.add_events() = std::move(event);
      batch.bytes += bytes;
      return;
    }
    open->second = effects_.size();
  }
  master::ToFramework effect{stream, {}, bytes};
  *effect.response.add_events() = std::move(event);
  effects_.push_back(std::move(effect));
}

void Outbox::CloseFramework(StreamId stream, absl::Status status) {
  to_framework_.erase(stream);
  effects_.push_back(master::CloseFramework{stream, std::move(status)});
}

void Outbox::ToAgent(AgentStreamId stream, link::MasterMessage message) {
  const size_t bytes = RoughBytes(message);
  auto [open, fresh] = to_agent_.try_emplace(stream, effects_.size());
  if (!fresh) {
    auto& batch = std::get<master::ToAgent>(effects_[open->second]);
    if (batch.response.messages_size() < kBatchPartsMax && batch.bytes + bytes <= kBatchBytesMax) {
      *batch.response.add_messages() = std::move(message);
      batch.bytes += bytes;
      return;
    }
    open->second = effects_.size();
  }
  master::ToAgent effect{stream, {}, bytes};
  *effect.response.add_messages() = std::move(message);
  effects_.push_back(std::move(effect));
}

void Outbox::CloseAgent(AgentStreamId stream, absl::Status status) {
  to_agent_.erase(stream);
  effects_.push_back(master::CloseAgent{stream, std::move(status)});
}

void Outbox::Flush(uint64_t epoch, Effects* effects) {
  for (Effect& effect : effects_) {
    if (auto* to_agent = std::get_if<master::ToAgent>(&effect)) {
      to_agent->response.set_epoch(epoch);
    }
    effects->push_back(std::move(effect));
  }
  effects_.clear();
  to_framework_.clear();
  to_agent_.clear();
}

}  // namespace tessera::master
