#include "services/feed/core/feed_state.h"

#include <utility>

namespace tessera::feed {
namespace {

// Of a delta in the log, beside its bytes: what the allocator takes for it and its parts, as
// measured (bench/state_snapshots, history).
constexpr size_t kDeltaBytes = 224;

const Snapshot& Nothing() {
  static const auto* const nothing = new Snapshot();
  return *nothing;
}

}  // namespace

size_t LoggedDelta::size() const {
  size_t size = kDeltaBytes + bytes->size();
  if (scopes == nullptr) return size;
  for (const auto& [index, scope] : *scopes) {
    size += sizeof(index) + sizeof(scope) + scope.framework_id.size() + scope.agent_id.size();
  }
  return size;
}

void FeedState::Publish(uint64_t epoch, bool reset, Delta delta, FeedEffects* effects) {
  if (epoch < table_.epoch()) return Refuse("an epoch that is over", effects);
  if (reset) {
    Flush(effects);
    ignored_before_ += table_.ignored();
    table_ = StateTable();
    table_.Reset(epoch);
    table_.set_version(delta.version - 1);
    effects->push_back(RunBegan{epoch, delta.version - 1});
    has_state_ = true;
  } else if (epoch != table_.epoch() || !has_state_) {
    return Refuse("a delta of an epoch that has not begun", effects);
  } else if (delta.version <= table_.version()) {
    return;
  } else if (delta.version != table_.version() + 1) {
    return Refuse("a delta that leaves versions out", effects);
  }
  Apply(std::move(delta));
}

void FeedState::Apply(Delta delta) {
  LoggedDelta logged;
  logged.epoch = table_.epoch();
  logged.version = delta.version;
  logged.bytes = std::make_shared<const std::string>(Encode(table_.epoch(), delta));
  std::vector<std::pair<uint32_t, ChangeScope>> scopes;
  for (size_t i = 0; i < delta.changes.size(); ++i) {
    if (keep_scopes_) {
      ChangeScope scope = ScopeOf(table_.state(), delta.changes[i]);
      if (scope != ScopeOf(Nothing(), delta.changes[i])) {
        scopes.emplace_back(static_cast<uint32_t>(i), std::move(scope));
      }
    }
    table_.Apply(std::move(delta.changes[i]));
  }
  table_.set_version(delta.version);
  if (!scopes.empty()) {
    scopes.shrink_to_fit();
    logged.scopes = std::make_shared<const decltype(scopes)>(std::move(scopes));
  }
  ++counters_.deltas;
  counters_.changes += delta.changes.size();
  counters_.bytes_serialised += logged.bytes->size();
  unpublished_.push_back(std::move(logged));
  dirty_ = true;
}

void FeedState::PublishPart(uint64_t epoch, SnapshotPart part, FeedEffects* effects) {
  if (epoch < table_.epoch()) return Refuse("an epoch that is over", effects);
  if (part.first) {
    incoming_ = StateTable();
    incoming_.Reset(epoch);
    incoming_.set_version(part.version);
    receiving_ = true;
  } else if (!receiving_ || incoming_.epoch() != epoch || incoming_.version() != part.version) {
    return Refuse("a part of a snapshot without its beginning", effects);
  }
  for (Change& change : part.changes) incoming_.Apply(std::move(change));
  counters_.changes += part.changes.size();
  if (!part.last) return;
  receiving_ = false;
  Flush(effects);
  ignored_before_ += table_.ignored();
  table_ = std::exchange(incoming_, StateTable());
  has_state_ = true;
  effects->push_back(RunBegan{table_.epoch(), table_.version()});
  dirty_ = true;
}

void FeedState::Heartbeat(LeaderHeartbeat heartbeat, FeedEffects* effects) {
  if (!has_state_ || heartbeat.epoch != table_.epoch()) return;
  Flush(effects);
  if (heartbeat.sequence == 0) heartbeat.sequence = ++heartbeats_made_;
  effects->push_back(HeartbeatHeard{heartbeat});
}

void FeedState::Retire(absl::Status why, FeedEffects* effects) {
  Flush(effects);
  effects->push_back(FeedRetired{std::move(why)});
  has_state_ = false;
}

void FeedState::Flush(FeedEffects* effects) {
  if (!std::exchange(dirty_, false)) return;
  effects->push_back(StatePublished{std::exchange(unpublished_, {}), table_.Publish()});
}

void FeedState::Refuse(std::string_view what, FeedEffects* effects) {
  ++counters_.updates_refused;
  effects->push_back(UpdateRefused{what});
}

FeedState::Counters FeedState::counters() const {
  Counters counters = counters_;
  counters.changes_ignored = ignored_before_ + table_.ignored();
  return counters;
}

}  // namespace tessera::feed
