#include "services/master/core/outbox.h"

namespace tessera::master {

void Outbox::ToFramework(StreamId stream, sched::Event event) {
  auto [open, fresh] = to_framework_.try_emplace(stream, effects_.size());
  if (!fresh) {
    auto& batch = std::get<master::ToFramework>(effects_[open->second]).response;
    if (batch.events_size() < kBatchMax) {
      *batch.add_events() = std::move(event);
      return;
    }
    open->second = effects_.size();
  }
  master::ToFramework effect{stream, {}};
  *effect.response.add_events() = std::move(event);
  effects_.push_back(std::move(effect));
}

void Outbox::CloseFramework(StreamId stream, absl::Status status) {
  to_framework_.erase(stream);
  effects_.push_back(master::CloseFramework{stream, std::move(status)});
}

void Outbox::ToAgent(AgentStreamId stream, link::MasterMessage message) {
  auto [open, fresh] = to_agent_.try_emplace(stream, effects_.size());
  if (!fresh) {
    auto& batch = std::get<master::ToAgent>(effects_[open->second]).response;
    if (batch.messages_size() < kBatchMax) {
      *batch.add_messages() = std::move(message);
      return;
    }
    open->second = effects_.size();
  }
  master::ToAgent effect{stream, {}};
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
