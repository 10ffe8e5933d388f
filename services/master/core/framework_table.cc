#include "services/master/core/framework_table.h"

#include <utility>

#include "services/base/bug.h"
#include "services/model/wire/description.h"

namespace tessera::master {

absl::Duration Framework::failover_timeout() const {
  if (!info.has_failover_timeout()) return absl::ZeroDuration();
  return absl::Seconds(info.failover_timeout().seconds()) +
         absl::Nanoseconds(info.failover_timeout().nanos());
}

Framework& FrameworkTable::Add(std::string id, const pb::FrameworkInfo& info) {
  const FrameworkIndex index = rows_.Add(Framework());
  Framework& framework = *rows_.Find(index);
  framework.index = index;
  framework.session = ++sessions_;
  framework.id = std::move(id);
  SetInfo(framework, info);
  ids_[framework.id] = index;
  return framework;
}

void FrameworkTable::SetInfo(Framework& framework, const pb::FrameworkInfo& info) {
  framework.info = info;
  framework.info.set_id(framework.id);
  framework.description = model::wire::Describe(framework.info);
  framework.description_version = ++descriptions_;
  framework.roles = {info.roles().begin(), info.roles().end()};
  framework.partition_aware = false;
  framework.knows_killing = false;
  for (int capability : info.capabilities()) {
    if (capability == pb::FrameworkInfo::PARTITION_AWARE) framework.partition_aware = true;
    if (capability == pb::FrameworkInfo::TASK_KILLING_STATE) framework.knows_killing = true;
  }
}

void FrameworkTable::Remove(Framework& framework) {
  if (framework.connected()) Disconnect(framework);
  ClearPending(framework);
  ids_.erase(framework.id);
  rows_.Remove(framework.index);
}

Framework* FrameworkTable::FindById(const std::string& id) {
  auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : rows_.Find(found->second);
}

Framework* FrameworkTable::FindByStream(StreamId stream) {
  auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : rows_.Find(found->second);
}

void FrameworkTable::Connect(Framework& framework, StreamId stream, std::string subscription_id) {
  if (framework.connected()) Disconnect(framework);
  framework.phase = FrameworkPhase::kActive;
  framework.stream = stream;
  framework.subscription_id = std::move(subscription_id);
  framework.session = ++sessions_;
  streams_[stream] = framework.index;
  ++connected_;
}

void FrameworkTable::Disconnect(Framework& framework) {
  if (TESSERA_BUG_IF(!framework.connected(), "disconnected a framework that has no stream")) return;
  streams_.erase(framework.stream);
  framework.stream = StreamId();
  framework.subscription_id.clear();
  framework.phase = FrameworkPhase::kDisconnected;
  framework.session = ++sessions_;
  --connected_;
}

void FrameworkTable::SetPending(Framework& framework, Framework::Pending pending) {
  ClearPending(framework);
  streams_[pending.stream] = framework.index;
  framework.pending = std::move(pending);
}

void FrameworkTable::ClearPending(Framework& framework) {
  if (!framework.pending.has_value()) return;
  streams_.erase(framework.pending->stream);
  framework.pending.reset();
}

std::vector<std::string> FrameworkTable::AddCompletedId(const std::string& id, size_t max) {
  std::vector<std::string> forgotten;
  if (completed_ids_.insert(id).second) completed_order_.push_back(id);
  while (completed_order_.size() > max) {
    completed_ids_.erase(completed_order_.front());
    forgotten.push_back(std::move(completed_order_.front()));
    completed_order_.pop_front();
  }
  return forgotten;
}

std::vector<std::string> FrameworkTable::AddToCompletedRing(feed::FrameworkPtr row, size_t max) {
  std::vector<std::string> fallen;
  ring_.push_back(std::move(row));
  while (ring_.size() > max) {
    fallen.push_back(ring_.front()->id);
    ring_.pop_front();
  }
  return fallen;
}

feed::FrameworkPtr FrameworkTable::CompletedRow(const std::string& id) const {
  for (const feed::FrameworkPtr& row : ring_) {
    if (row->id == id) return row;
  }
  return nullptr;
}

}  // namespace tessera::master
