#include "services/feed/core/change_cursor.h"

namespace tessera::feed {
namespace {

using Changes = google::protobuf::RepeatedPtrField<v1::Change>;

// A piece is a message; one change is at most a few MiB, a message at most 64.
constexpr size_t kPieceBytesMax = 4 << 20;

void TellTask(const Task& task, Changes* changes) {
  auto* set = changes->Add()->mutable_task_set();
  *set->mutable_task() = task.rest;
  *set->mutable_task()->mutable_info() = *task.info;
  set->set_place(task.place);
}

}  // namespace

template <typename Map, typename Tell>
bool ChangeCursor::GoOn(const Map& map, size_t max, const Changes& told, Tell tell) {
  const bool ended = map.ForEachAfter(has_key_ ? &key_ : nullptr, [&](const auto& entry) {
    if (IsFull(max, told)) return false;
    const int before = told.size();
    tell(entry);
    if (told.size() > before) bytes_ += told.rbegin()->ByteSizeLong();
    key_ = entry.key;
    has_key_ = true;
    return true;
  });
  if (ended) has_key_ = false;
  return ended;
}

bool ChangeCursor::TellFramework(const Framework& framework, size_t max, Changes* changes) {
  const auto tell_task = [&](const auto& entry) { TellTask(entry.value, changes); };
  if (part_ == Part::kRecord) {
    if (IsFull(max, *changes)) return false;
    *changes->Add()->mutable_framework_set()->mutable_framework() = *framework.record;
    bytes_ += changes->rbegin()->ByteSizeLong();
    part_ = Part::kTasks;
  }
  if (part_ == Part::kTasks) {
    if (!GoOn(framework.tasks, max, *changes, tell_task)) return false;
    part_ = Part::kUnreachable;
  }
  if (part_ == Part::kUnreachable) {
    if (!GoOn(framework.unreachable_tasks, max, *changes, tell_task)) return false;
    part_ = Part::kCompleted;
  }
  if (part_ == Part::kCompleted) {
    if (!GoOn(framework.completed_tasks, max, *changes, tell_task)) return false;
    part_ = Part::kExecutors;
  }
  if (!GoOn(framework.executors, max, *changes, [&](const auto& entry) {
        auto* set = changes->Add()->mutable_executor_set();
        set->set_agent_id(entry.value.agent_id);
        *set->mutable_executor() = *entry.value.info;
      })) {
    return false;
  }
  part_ = Part::kRecord;
  return true;
}

bool ChangeCursor::TellFrameworks(size_t max, Changes* changes) {
  // The framework that the last piece ended in goes on where it was.
  if (part_ != Part::kRecord) {
    if (!TellFramework(*snapshot_->frameworks.Find(framework_id_), max, changes)) return false;
  }
  const auto tell = [&](const auto& entry) {
    if (IsFull(max, *changes)) return false;
    framework_id_ = entry.key;
    has_framework_ = true;
    return TellFramework(entry.value, max, changes);
  };
  return snapshot_->frameworks.ForEachAfter(has_framework_ ? &framework_id_ : nullptr, tell);
}

bool ChangeCursor::IsFull(size_t max, const Changes& told) const {
  return static_cast<size_t>(told.size()) >= max || bytes_ >= kPieceBytesMax;
}

bool ChangeCursor::Next(size_t max, Changes* changes) {
  bytes_ = 0;
  const Snapshot& state = *snapshot_;
  if (stage_ == Stage::kCluster) {
    if (state.cluster != nullptr) {
      *changes->Add()->mutable_cluster_set()->mutable_cluster() = *state.cluster;
    }
    stage_ = Stage::kRoles;
  }
  if (stage_ == Stage::kRoles) {
    if (!GoOn(state.roles, max, *changes, [&](const auto& entry) {
          if (entry.value.record == nullptr) return;
          *changes->Add()->mutable_role_set()->mutable_role() = *entry.value.record;
        })) {
      return true;
    }
    stage_ = Stage::kAgents;
  }
  if (stage_ == Stage::kAgents) {
    if (!GoOn(state.agents, max, *changes, [&](const auto& entry) {
          if (entry.value.record == nullptr) return;
          *changes->Add()->mutable_agent_set()->mutable_agent() = *entry.value.record;
        })) {
      return true;
    }
    stage_ = Stage::kFrameworks;
  }
  if (stage_ == Stage::kFrameworks) {
    if (!TellFrameworks(max, changes)) return true;
    stage_ = Stage::kOffers;
  }
  if (stage_ == Stage::kOffers) {
    if (!GoOn(state.offers, max, *changes, [&](const auto& entry) {
          const Framework* framework = state.frameworks.Find(entry.value);
          *changes->Add()->mutable_offer_set()->mutable_offer() =
              *framework->offers.Find(entry.key)->record;
        })) {
      return true;
    }
    stage_ = Stage::kDone;
  }
  return false;
}

}  // namespace tessera::feed
