#include "services/registry/core/commit_queue.h"

#include <utility>

namespace tessera::registry {

CommitQueue::CommitQueue(const KeyTable* table, GroupLimits limits)
    : table_(*table), limits_(limits) {
  Resync();
}

void CommitQueue::Resync() {
  accepted_.clear();
  version_ = table_.version();
  keys_ = table_.size();
  bytes_ = table_.bytes();
}

Version CommitQueue::VersionOf(const std::string& key) const {
  if (const auto it = accepted_.find(key); it != accepted_.end()) {
    return it->second.exists ? it->second.version : 0;
  }
  return table_.VersionOf(key);
}

CommitQueue::Group& CommitQueue::Last() {
  if (waiting_.empty()) waiting_.emplace_back();
  return waiting_.back();
}

void CommitQueue::Accept(const CommitRequested& request) {
  const Version version = ++version_;
  size_t size = 0;
  for (const Write& write : request.writes) {
    const auto before = accepted_.find(write.key);
    const size_t bytes_before =
        before != accepted_.end() ? before->second.bytes : table_.BytesOf(write.key);
    const size_t bytes = write.value == nullptr ? 0 : SizeOf(write);
    bytes_ = bytes_ - bytes_before + bytes;
    keys_ = keys_ - (bytes_before > 0 ? 1 : 0) + (bytes > 0 ? 1 : 0);
    accepted_[write.key] = {.version = version, .exists = bytes > 0, .bytes = bytes};
    size += SizeOf(write);
  }
  if (const Group& last = Last();
      last.writes > 0 && (last.writes + request.writes.size() > limits_.writes_max ||
                          last.bytes + size > limits_.bytes_max)) {
    waiting_.emplace_back();
  }
  Group& group = waiting_.back();
  group.writes += request.writes.size();
  group.bytes += size;
  group.batch.commits.push_back(
      std::make_shared<const Commit>(Commit{.version = version, .writes = request.writes}));
  group.callers.push_back({.call = request.call, .version = version});
  ++pending_commits_;
  pending_bytes_ += size;
}

void CommitQueue::AddLease(std::shared_ptr<const LeaseRecord> record, bool grants) {
  Group& group = Last();
  group.batch.lease = std::move(record);
  group.grants = grants;
}

void CommitQueue::AddResignation(CallId call, std::shared_ptr<const LeaseRecord> record) {
  AddLease(std::move(record), /*grants=*/false);
  waiting_.back().resignations.push_back(call);
}

bool CommitQueue::JoinResignation(CallId call) {
  for (auto group = waiting_.rbegin(); group != waiting_.rend(); ++group) {
    if (group->resignations.empty()) continue;
    group->resignations.push_back(call);
    return true;
  }
  if (!in_flight_.has_value() || in_flight_->resignations.empty()) return false;
  in_flight_->resignations.push_back(call);
  return true;
}

const CommitQueue::Group& CommitQueue::Begin() {
  in_flight_.emplace();
  if (!waiting_.empty()) {
    *in_flight_ = std::move(waiting_.front());
    waiting_.pop_front();
  }
  return *in_flight_;
}

CommitQueue::Group CommitQueue::Finish() {
  Group group = std::move(*in_flight_);
  in_flight_.reset();
  pending_commits_ -= group.callers.size();
  pending_bytes_ -= group.bytes;
  for (const auto& commit : group.batch.commits) {
    for (const Write& write : commit->writes) {
      const auto it = accepted_.find(write.key);
      if (it != accepted_.end() && it->second.version == commit->version) accepted_.erase(it);
    }
  }
  return group;
}

std::vector<CommitQueue::Group> CommitQueue::Abandon() {
  std::vector<Group> groups;
  if (in_flight_.has_value()) groups.push_back(std::move(*in_flight_));
  for (Group& group : waiting_) groups.push_back(std::move(group));
  in_flight_.reset();
  waiting_.clear();
  pending_commits_ = 0;
  pending_bytes_ = 0;
  Resync();
  return groups;
}

}  // namespace tessera::registry
