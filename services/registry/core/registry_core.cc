#include "services/registry/core/registry_core.h"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tessera::registry {
namespace {

// Commits of one message to a watcher.
constexpr size_t kCommitsPerSendMax = 1024;
constexpr char kSuspended[] = "the registry's store failed; try again when its disk works";

size_t SizeOf(const Write& write) {
  return write.key.size() + (write.value == nullptr ? 0 : write.value->size());
}

bool IsKey(const std::string& key, size_t bytes_max) {
  if (key.empty() || key.size() > bytes_max) return false;
  const bool table = key.front() >= 'a' && key.front() <= 'z';
  return table && std::none_of(key.begin(), key.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f;
         });
}

std::string PageToken(Version version, const std::string& last_key) {
  return absl::StrCat(version, ":", last_key);
}

bool ParsePageToken(const std::string& token, Version* version, std::string* last_key) {
  const size_t colon = token.find(':');
  if (colon == std::string::npos) return false;
  *last_key = token.substr(colon + 1);
  return absl::SimpleAtoi(token.substr(0, colon), version);
}

}  // namespace

RegistryCore::RegistryCore(RegistryConfig config, const StoreContents& contents, absl::Time now)
    : config_(config),
      table_(config.history, contents),
      lease_(config.lease_ttl, config.candidates_max, contents.lease, now),
      accepted_version_(contents.version),
      accepted_keys_(table_.size()),
      accepted_bytes_(table_.bytes()) {}

void RegistryCore::Step(absl::Time now, const Event& event, Effects* effects) {
  if (lease_.Expire(now, effects)) ++counters_.lease_expirations;
  std::visit([&](const auto& e) { On(now, e, effects); }, event);
  Proceed(effects);
}

absl::Time RegistryCore::NextDeadline() const { return lease_.expiry(); }

// ---- transactions ----

void RegistryCore::On(absl::Time, const CommitRequested& request, Effects* effects) {
  CommitAnswer answer{.call = request.call};
  answer.refusal = Check(request, &answer.message);
  if (answer.refusal != Refusal::kNone) {
    ++counters_.commits_refused;
    effects->push_back(std::move(answer));
    return;
  }
  Accept(request);
}

Refusal RegistryCore::CheckShape(const CommitRequested& request, std::string* message) const {
  if (request.writes.empty()) {
    *message = "a commit needs at least one write";
    return Refusal::kMalformed;
  }
  if (request.writes.size() > config_.writes_per_commit_max ||
      request.conditions.size() > config_.writes_per_commit_max) {
    *message = absl::StrCat("a commit has at most ", config_.writes_per_commit_max,
                            " writes and as many conditions");
    return Refusal::kMalformed;
  }
  size_t bytes = 0;
  std::vector<const std::string*> keys;
  for (const Write& write : request.writes) {
    if (!IsKey(write.key, config_.key_bytes_max)) {
      *message = absl::StrCat("a key has 1 to ", config_.key_bytes_max,
                              " bytes, begins with a to z, and has no control characters");
      return Refusal::kMalformed;
    }
    if (write.value != nullptr && write.value->size() > config_.value_bytes_max) {
      *message = absl::StrCat("the value of ", write.key, " has ", write.value->size(),
                              " bytes; at most ", config_.value_bytes_max, " are taken");
      return Refusal::kMalformed;
    }
    bytes += SizeOf(write);
    keys.push_back(&write.key);
  }
  if (bytes > config_.commit_bytes_max) {
    *message = absl::StrCat("the commit has ", bytes, " bytes; at most ", config_.commit_bytes_max,
                            " are taken");
    return Refusal::kMalformed;
  }
  std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
  const auto twice =
      std::adjacent_find(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a == *b; });
  if (twice != keys.end()) {
    *message = absl::StrCat("the commit writes ", **twice, " twice");
    return Refusal::kMalformed;
  }
  return Refusal::kNone;
}

Refusal RegistryCore::Check(const CommitRequested& request, std::string* message) const {
  if (const Refusal refusal = CheckShape(request, message); refusal != Refusal::kNone) {
    return refusal;
  }
  if (suspended()) {
    *message = kSuspended;
    return Refusal::kStorageFailed;
  }
  if (request.epoch != 0 && !lease_.Holds(request.epoch)) {
    *message = absl::StrCat("epoch ", request.epoch, " does not lead; the highest epoch is ",
                            lease_.highest_epoch());
    return Refusal::kStaleEpoch;
  }
  size_t bytes = 0, added = 0;
  for (const Write& write : request.writes) {
    bytes += SizeOf(write);
    if (write.value != nullptr) ++added;
  }
  if (pending_commits() >= config_.pending_commits_max ||
      next_.bytes + in_flight_.bytes + bytes > config_.pending_bytes_max) {
    *message = "too many commits wait for the disk";
    return Refusal::kOverloaded;
  }
  if (added > 0 && (accepted_keys_ + added > config_.keys_max ||
                    accepted_bytes_ + bytes > config_.table_bytes_max)) {
    *message = absl::StrCat("the registry is full: ", accepted_keys_, " keys, ", accepted_bytes_,
                            " bytes");
    return Refusal::kOverloaded;
  }
  for (const Condition& condition : request.conditions) {
    const Version version = AcceptedVersionOf(condition.key);
    if (version != condition.version) {
      *message = absl::StrCat(condition.key, " has version ", version, ", not ", condition.version);
      return Refusal::kVersionConflict;
    }
  }
  return Refusal::kNone;
}

Version RegistryCore::AcceptedVersionOf(const std::string& key) const {
  if (const auto it = accepted_.find(key); it != accepted_.end()) {
    return it->second.exists ? it->second.version : 0;
  }
  return table_.VersionOf(key);
}

void RegistryCore::Accept(const CommitRequested& request) {
  const Version version = ++accepted_version_;
  ++counters_.commits;
  counters_.writes += request.writes.size();
  for (const Write& write : request.writes) {
    const auto before = accepted_.find(write.key);
    const size_t bytes_before =
        before != accepted_.end() ? before->second.bytes : table_.BytesOf(write.key);
    const size_t bytes = write.value == nullptr ? 0 : SizeOf(write);
    accepted_bytes_ = accepted_bytes_ - bytes_before + bytes;
    accepted_keys_ = accepted_keys_ - (bytes_before > 0 ? 1 : 0) + (bytes > 0 ? 1 : 0);
    accepted_[write.key] = {.version = version, .exists = bytes > 0, .bytes = bytes};
    next_.bytes += SizeOf(write);
  }
  next_.batch.commits.push_back(
      std::make_shared<const Commit>(Commit{.version = version, .writes = request.writes}));
  next_.calls.push_back({.call = request.call, .version = version});
}

void RegistryCore::Proceed(Effects* effects) {
  if (suspended()) return;
  if (auto grant = lease_.BeginGrant()) {
    next_.batch.lease = std::move(grant);
    next_.grants = true;
  }
  if (persist_id_ != 0 || next_.empty()) return;
  in_flight_ = std::exchange(next_, Group{});
  persist_id_ = ++last_persist_id_;
  ++counters_.persists;
  effects->push_back(Persist{.id = persist_id_, .batch = in_flight_.batch});
}

void RegistryCore::Apply(const std::vector<std::shared_ptr<const Commit>>& commits,
                         Effects* effects) {
  for (const auto& commit : commits) {
    table_.Apply(commit);
    ++counters_.persisted_commits;
    for (const Write& write : commit->writes) {
      const auto it = accepted_.find(write.key);
      if (it != accepted_.end() && it->second.version == commit->version) accepted_.erase(it);
    }
  }
  if (commits.empty()) return;
  for (const auto& [stream, watcher] : watchers_) Send(stream, watcher, commits, effects);
}

void RegistryCore::On(absl::Time now, const Persisted& persisted, Effects* effects) {
  CHECK_EQ(persisted.id, persist_id_);
  persist_id_ = 0;
  Group group = std::exchange(in_flight_, Group{});
  for (CommitAnswer& answer : group.calls) effects->push_back(std::move(answer));
  for (const CallId call : group.resignations) effects->push_back(ResignAnswer{.call = call});
  Apply(group.batch.commits, effects);
  if (group.grants && lease_.Granted(now, effects)) ++counters_.lease_grants;
}

void RegistryCore::On(absl::Time, const PersistFailed& failed, Effects* effects) {
  CHECK_EQ(failed.id, persist_id_);
  LOG(ERROR) << "the store failed, it is opened anew: " << failed.reason;
  persist_id_ = 0;
  state_ = State::kReopening;
  in_doubt_ = in_flight_.batch.commits;
  lease_.AbandonGrant();
  RefuseAllWaiting(&in_flight_, effects);
  RefuseAllWaiting(&next_, effects);
  effects->push_back(ReopenStore{});
}

void RegistryCore::On(absl::Time, const StoreReopened& reopened, Effects* effects) {
  if (state_ != State::kReopening) return;
  // A batch is on disk whole or not at all.
  if (reopened.version != table_.version()) {
    if (in_doubt_.empty() || reopened.version != in_doubt_.back()->version) {
      state_ = State::kHalted;
      effects->push_back(Halt{absl::StrCat("the store holds version ", reopened.version, " after ",
                                           table_.version(), " was acknowledged")});
      return;
    }
    Apply(in_doubt_, effects);
  }
  in_doubt_.clear();
  accepted_.clear();
  accepted_version_ = table_.version();
  accepted_keys_ = table_.size();
  accepted_bytes_ = table_.bytes();
  state_ = State::kServing;
}

void RegistryCore::On(absl::Time, const StoreLost& lost, Effects* effects) {
  state_ = State::kHalted;
  effects->push_back(Halt{absl::StrCat("the store is lost: ", lost.reason)});
}

void RegistryCore::RefuseAllWaiting(Group* group, Effects* effects) {
  const std::string message = "the store failed; it is not known what was written";
  for (CommitAnswer& answer : group->calls) {
    effects->push_back(
        CommitAnswer{.call = answer.call, .refusal = Refusal::kStorageFailed, .message = message});
  }
  for (const CallId call : group->resignations) {
    effects->push_back(
        ResignAnswer{.call = call, .refusal = Refusal::kStorageFailed, .message = message});
  }
  *group = Group{};
}

// ---- reads and watches ----

void RegistryCore::On(absl::Time, const ReadRequested& request, Effects* effects) {
  ReadAnswer answer{.call = request.call, .version = table_.version()};
  std::string after;
  if (!request.page_token.empty() && !ParsePageToken(request.page_token, &answer.version, &after)) {
    answer.refusal = Refusal::kMalformed;
    answer.message = "the page token is not one that a read gave";
  } else if (!table_.Knows(answer.version)) {
    answer.refusal = Refusal::kSnapshotRequired;
    answer.message =
        absl::StrCat("version ", answer.version, " is not known any more; start the read over");
  } else {
    const uint32_t wanted = request.page_size == 0 ? config_.page_size_default : request.page_size;
    KeyTable::Page page =
        table_.Read(answer.version, request.prefixes, after,
                    std::min(wanted, config_.page_size_max), config_.page_bytes_max);
    if (page.more) answer.next_page_token = PageToken(answer.version, page.records.back().key);
    answer.records = std::move(page.records);
    ++counters_.reads;
    counters_.records_read += answer.records.size();
  }
  effects->push_back(std::move(answer));
}

void RegistryCore::On(absl::Time, const WatchRequested& request, Effects* effects) {
  if (!table_.Knows(request.after_version)) {
    effects->push_back(
        EndStream{request.stream, Refusal::kSnapshotRequired,
                  absl::StrCat("commits after version ", request.after_version,
                               " are not known; read, then watch from the version read")});
    return;
  }
  if (watchers_.size() >= config_.watchers_max) {
    effects->push_back(EndStream{request.stream, Refusal::kOverloaded, "too many watches"});
    return;
  }
  const Watcher& watcher = watchers_[request.stream] = Watcher{request.prefixes};
  Send(request.stream, watcher, table_.CommitsAfter(request.after_version), effects);
}

void RegistryCore::Send(StreamId stream, const Watcher& watcher,
                        const std::vector<std::shared_ptr<const Commit>>& commits,
                        Effects* effects) {
  WatchSend send{.stream = stream};
  size_t bytes = 0;
  const auto flush = [&] {
    if (send.commits.empty()) return;
    counters_.watch_commits_sent += send.commits.size();
    effects->push_back(std::exchange(send, WatchSend{.stream = stream}));
    bytes = 0;
  };
  for (const auto& commit : commits) {
    std::shared_ptr<const Commit> seen = commit;
    if (!watcher.prefixes.empty()) {
      auto part = std::make_shared<Commit>(Commit{.version = commit->version});
      std::copy_if(commit->writes.begin(), commit->writes.end(), std::back_inserter(part->writes),
                   [&](const Write& write) { return Matches(write.key, watcher.prefixes); });
      seen = std::move(part);
    }
    if (seen->writes.empty()) continue;
    size_t size = 0;
    for (const Write& write : seen->writes) size += SizeOf(write);
    if (bytes + size > config_.page_bytes_max || send.commits.size() >= kCommitsPerSendMax) {
      flush();
    }
    bytes += size;
    send.commits.push_back(std::move(seen));
  }
  flush();
}

void RegistryCore::On(absl::Time, const StreamEnded& ended, Effects*) {
  if (watchers_.erase(ended.stream) == 0) lease_.Leave(ended.stream);
}

// ---- leadership ----

void RegistryCore::On(absl::Time, const CampaignRequested& request, Effects* effects) {
  lease_.Campaign(request, effects);
}

void RegistryCore::On(absl::Time now, const RenewRequested& request, Effects* effects) {
  RenewAnswer answer = lease_.Renew(request, now);
  ++(answer.refusal == Refusal::kNone ? counters_.lease_renewals
                                      : counters_.lease_renewals_refused);
  effects->push_back(std::move(answer));
}

void RegistryCore::On(absl::Time, const ResignRequested& request, Effects* effects) {
  if (suspended()) {
    effects->push_back(ResignAnswer{
        .call = request.call, .refusal = Refusal::kStorageFailed, .message = kSuspended});
  } else if (lease_.Resign(request, effects)) {
    next_.batch.lease = lease_.record();
    next_.resignations.push_back(request.call);
  } else if (!next_.resignations.empty()) {
    next_.resignations.push_back(request.call);
  } else if (!in_flight_.resignations.empty()) {
    in_flight_.resignations.push_back(request.call);
  } else {
    // Not the holder (any more): what it asks for is so already, and on disk.
    effects->push_back(ResignAnswer{.call = request.call});
  }
}

void RegistryCore::On(absl::Time, const Wake&, Effects*) {}

}  // namespace tessera::registry
