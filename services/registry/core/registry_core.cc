#include "services/registry/core/registry_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/base/bug.h"
#include "services/registry/core/commit_check.h"

namespace tessera::registry {
namespace {

using base::Severity;

constexpr char kSuspended[] = "the registry's store failed; try again when its disk works";
constexpr char kUnknown[] = "the store failed; it is not known what was written";

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

const char* NameOf(Phase phase) {
  switch (phase) {
    case Phase::kStandby:
      return "standby";
    case Phase::kTakingOver:
      return "taking over";
    case Phase::kActing:
      return "acting";
    case Phase::kFenced:
      return "fenced";
    case Phase::kHalted:
      return "halted";
  }
  return "unknown";
}

RegistryCore::Tables::Tables(const RegistryConfig& config, const StoreContents& contents,
                             const LeaseRecord& record, GroupLimits limits, absl::Time now)
    : table(config.history, contents),
      lease(config.lease_ttl, config.candidates_max, record, now),
      queue(&table, limits),
      watchers(config.page_bytes_max) {}

RegistryCore::RegistryCore(RegistryConfig config)
    : config_(config),
      tables_(std::make_unique<Tables>(config_, StoreContents{}, LeaseRecord{}, GroupLimits{},
                                       absl::InfinitePast())),
      store_backoff_({config.store_retry_initial, config.store_retry_max}) {}

void RegistryCore::Step(absl::Time now, const Event& event, Effects* effects) {
  if (now >= acts_until_) {
    StepDown(now, "no write has proven in time that the store is still its own",
             absl::ZeroDuration(), effects);
  }
  if (phase_ == Phase::kActing && tables_->lease.Expire(now, effects)) {
    ++counters_.lease_expirations;
  }
  std::visit([&](const auto& e) { On(now, e, effects); }, event);
  Proceed(now, effects);
}

absl::Time RegistryCore::NextDeadline() const {
  absl::Time deadline = acts_until_;
  const bool strives = phase_ == Phase::kStandby && store_ == StoreState::kIdle;
  if (strives || store_ == StoreState::kInDoubt) deadline = std::min(deadline, retry_at_);
  if (phase_ != Phase::kActing) return deadline;
  deadline = std::min(deadline, tables_->lease.expiry());
  if (store_ == StoreState::kIdle) deadline = std::min(deadline, prove_at_);
  return deadline;
}

// ---- the store

void RegistryCore::On(absl::Time now, const Started&, Effects*) { StandBy(now); }

void RegistryCore::StandBy(absl::Time until) {
  phase_ = Phase::kStandby;
  store_ = StoreState::kIdle;
  retry_at_ = until;
}

void RegistryCore::Proceed(absl::Time now, Effects* effects) {
  const bool due = now >= retry_at_;
  switch (phase_) {
    case Phase::kStandby:
      if (store_ != StoreState::kIdle || !due) return;
      store_ = StoreState::kAcquiring;
      asked_at_ = now;
      retry_at_ = absl::InfiniteFuture();
      effects->push_back(AcquireStore{});
      return;
    case Phase::kTakingOver:
      if (store_ == StoreState::kIdle) Write(now, effects);
      return;
    case Phase::kActing:
      if (store_ == StoreState::kInDoubt && due) {
        AskToSettle(now, StoreState::kSettlingDoubt, effects);
      }
      if (suspended()) return;
      if (auto grant = tables_->lease.BeginGrant()) {
        tables_->queue.AddLease(std::move(grant), /*grants=*/true);
      }
      if (store_ == StoreState::kIdle &&
          (tables_->queue.InFlight() || tables_->queue.HasNext() || now >= prove_at_)) {
        Write(now, effects);
      }
      return;
    case Phase::kFenced:
    case Phase::kHalted:
      return;
  }
}

void RegistryCore::Write(absl::Time now, Effects* effects) {
  CommitQueue& queue = tables_->queue;
  const CommitQueue::Group& group = queue.InFlight() ? queue.in_flight() : queue.Begin();
  store_ = StoreState::kWriting;
  asked_at_ = now;
  batch_ = ownership_.last_batch + 1;
  ++attempts_;
  ++counters_.persists;
  effects->push_back(Persist{.guard = {ownership_.term, batch_}, .batch = group.batch});
}

void RegistryCore::AskToSettle(absl::Time now, StoreState state, Effects* effects) {
  store_ = state;
  asked_at_ = now;
  retry_at_ = absl::InfiniteFuture();
  effects->push_back(Settle{{ownership_.term, batch_}});
}

bool RegistryCore::Awaited(BatchNumber number, StoreState first, StoreState second) {
  return !TESSERA_BUG_IF(number != batch_ || (store_ != first && store_ != second),
                         "the store answers what it was not asked");
}

void RegistryCore::On(absl::Time now, const StoreAcquired& acquired, Effects* effects) {
  if (TESSERA_BUG_IF(store_ != StoreState::kAcquiring, "a store that was not asked for")) return;
  const StoreContents& contents = *acquired.contents;
  if (contents.version < acknowledged_) {
    return On(now,
              StoreLost{absl::StrCat("it holds version ", contents.version, " after version ",
                                     acknowledged_, " was acknowledged")},
              effects);
  }
  ownership_ = acquired.ownership;
  phase_ = Phase::kTakingOver;
  store_ = StoreState::kIdle;
  attempts_ = 0;
  store_backoff_.Reset();
  noted_.clear();
  owner_address_.clear();
  // A lease that was granted and is not on disk any more (its data was restored from a backup) is
  // waited for as long as one that is, and no epoch is given twice.
  LeaseRecord record = contents.lease;
  const Epoch floor = std::max(config_.epoch_at_least, highest_epoch_);
  const bool raised = record.leader.epoch < floor;
  if (raised) {
    effects->push_back(Note{Severity::kWarning,
                            absl::StrCat("the highest epoch is raised from ", record.leader.epoch,
                                         " to ", floor, "; the next leader's is above")});
    record = LeaseRecord{.ttl = std::max(config_.lease_ttl, record.ttl)};
    record.leader.epoch = floor;
  }
  tables_ = std::make_unique<Tables>(config_, contents, record, ownership_.limits, now);
  if (raised) tables_->queue.AddLease(tables_->lease.record(), /*grants=*/false);
  acknowledged_ = contents.version;
  effects->push_back(Note{
      Severity::kInfo, absl::StrCat("takes the store over with term ", ownership_.term, ": ",
                                    contents.records.size(), " keys at version ", contents.version,
                                    ", highest epoch ", record.leader.epoch)});
  Prove();
}

void RegistryCore::On(absl::Time now, const StoreOwnedByOther& other, Effects* effects) {
  if (TESSERA_BUG_IF(store_ != StoreState::kAcquiring, "a store that was not asked for")) return;
  const std::string text =
      absl::StrCat("stands by; the store is another registry's, at ",
                   other.address.empty() ? "an unknown address" : other.address);
  if (noted_ != text) effects->push_back(Note{Severity::kInfo, text});
  noted_ = text;
  owner_address_ = other.address;
  store_backoff_.Reset();
  StandBy(now + config_.standby_interval);
}

void RegistryCore::On(absl::Time now, const StoreUnavailable& unavailable, Effects* effects) {
  if (TESSERA_BUG_IF(store_ != StoreState::kAcquiring, "a store that was not asked for")) return;
  const std::string text = absl::StrCat("the store cannot be had yet: ", unavailable.reason);
  if (noted_ != text) effects->push_back(Note{Severity::kError, text});
  noted_ = text;
  owner_address_.clear();
  StandBy(now + store_backoff_.Next());
}

void RegistryCore::On(absl::Time now, const Persisted& persisted, Effects* effects) {
  if (!Awaited(persisted.number, StoreState::kWriting, StoreState::kWriting)) return;
  if (phase_ == Phase::kFenced) return StandBy(retry_at_);
  Finish(now, effects);
}

void RegistryCore::On(absl::Time now, const PersistUnknown& unknown, Effects* effects) {
  if (!Awaited(unknown.number, StoreState::kWriting, StoreState::kWriting)) return;
  if (phase_ == Phase::kFenced) return StandBy(retry_at_);
  effects->push_back(
      Note{Severity::kWarning,
           absl::StrCat("a write has an unknown outcome, the store is asked: ", unknown.reason)});
  AskToSettle(now, StoreState::kSettling, effects);
}

void RegistryCore::On(absl::Time now, const Settled& settled, Effects* effects) {
  if (!Awaited(settled.number, StoreState::kSettling, StoreState::kSettlingDoubt)) return;
  if (phase_ == Phase::kFenced) return StandBy(retry_at_);
  ++(settled.done ? counters_.settled_done : counters_.settled_never);
  noted_.clear();
  if (store_ == StoreState::kSettlingDoubt) {
    // Its callers were answered that nobody knows.
    if (settled.done) Apply(in_doubt_, effects);
    in_doubt_.clear();
    tables_->queue.Resync();
    ownership_.last_batch = settled.number;
    store_ = StoreState::kIdle;
    attempts_ = 0;
    store_backoff_.Reset();
    effects->push_back(Note{Severity::kWarning, absl::StrCat("the store works again, at version ",
                                                             tables_->table.version())});
    return Prove();
  }
  if (settled.done) return Finish(now, effects);
  ownership_.last_batch = settled.number;
  store_ = StoreState::kIdle;
  Prove();
  if (attempts_ < config_.persist_attempts_max) return;  // the same again, with the next number
  if (phase_ == Phase::kTakingOver) {
    return StepDown(now, "the store takes no write", store_backoff_.Next(), effects);
  }
  RefuseWaiting("the store failed; nothing was written", effects);
  // It is asked again before the next write, so that one that takes none is not tried all the time.
  store_ = StoreState::kInDoubt;
  retry_at_ = now + store_backoff_.Next();
}

void RegistryCore::On(absl::Time now, const SettleFailed& failed, Effects* effects) {
  if (!Awaited(failed.number, StoreState::kSettling, StoreState::kSettlingDoubt)) return;
  if (phase_ == Phase::kFenced) return StandBy(retry_at_);
  ++counters_.settle_failures;
  if (phase_ == Phase::kTakingOver) {
    store_ = StoreState::kIdle;
    return StepDown(now, absl::StrCat("the store fails: ", failed.reason), store_backoff_.Next(),
                    effects);
  }
  const std::string text =
      absl::StrCat("the store failed, commits are refused until it works: ", failed.reason);
  if (noted_ != text) effects->push_back(Note{Severity::kError, text});
  noted_ = text;
  if (store_ == StoreState::kSettling) {
    in_doubt_ = tables_->queue.in_flight().batch.commits;
    RefuseWaiting(kUnknown, effects);
  }
  store_ = StoreState::kInDoubt;
  retry_at_ = now + store_backoff_.Next();
}

void RegistryCore::On(absl::Time now, const StoreFenced& fenced, Effects* effects) {
  if (fenced.answers != 0) {
    if (TESSERA_BUG_IF(fenced.answers != batch_ || store_ == StoreState::kIdle,
                       "the store answers what it was not asked")) {
      return;
    }
    if (phase_ == Phase::kFenced) return StandBy(retry_at_);
    store_ = StoreState::kIdle;
  }
  // Old news of a term that has ended already.
  if (fenced.term != ownership_.term || phase_ == Phase::kHalted) return;
  StepDown(now, fenced.reason, absl::ZeroDuration(), effects);
}

void RegistryCore::On(absl::Time, const StoreLost& lost, Effects* effects) {
  phase_ = Phase::kHalted;
  store_ = StoreState::kIdle;
  retry_at_ = acts_until_ = absl::InfiniteFuture();
  RefuseWaiting(kUnknown, effects);
  effects->push_back(Halt{absl::StrCat("the store is lost: ", lost.reason)});
}

void RegistryCore::Prove() {
  acts_until_ = asked_at_ + ownership_.lasts;
  prove_at_ = asked_at_ + ownership_.lasts / 3;
}

void RegistryCore::StepDown(absl::Time now, const std::string& why, absl::Duration after,
                            Effects* effects) {
  ++counters_.fencings;
  effects->push_back(
      Note{Severity::kWarning, absl::StrCat("term ", ownership_.term, " ends: ", why)});
  const Refusal refusal = Refusal::kNotActing;
  const std::string message = "this registry acts no more; another one is about to";
  // What was never sent to the store was never done.
  CommitQueue& queue = tables_->queue;
  std::vector<CommitQueue::Group> groups;
  const bool sent = queue.InFlight();
  groups = queue.Abandon();
  for (size_t i = 0; i < groups.size(); ++i) {
    const bool unknown = i == 0 && sent;
    for (const CommitQueue::Caller& caller : groups[i].callers) {
      effects->push_back(CommitAnswer{.call = caller.call,
                                      .refusal = unknown ? Refusal::kStorageFailed : refusal,
                                      .message = unknown ? kUnknown : message});
    }
    for (const CallId call : groups[i].resignations) {
      effects->push_back(ResignAnswer{.call = call,
                                      .refusal = unknown ? Refusal::kStorageFailed : refusal,
                                      .message = unknown ? kUnknown : message});
    }
  }
  for (const StreamId stream : tables_->watchers.streams()) {
    effects->push_back(EndStream{.stream = stream, .refusal = refusal, .message = message});
  }
  for (const StreamId stream : tables_->lease.streams()) {
    effects->push_back(EndStream{.stream = stream, .refusal = refusal, .message = message});
  }
  highest_epoch_ = std::max(highest_epoch_, tables_->lease.highest_epoch());
  tables_ = std::make_unique<Tables>(config_, StoreContents{}, LeaseRecord{}, GroupLimits{}, now);
  ownership_ = Ownership{};
  in_doubt_.clear();
  acts_until_ = prove_at_ = absl::InfiniteFuture();
  owner_address_.clear();
  noted_.clear();
  const bool answered = store_ == StoreState::kIdle || store_ == StoreState::kInDoubt;
  if (answered) return StandBy(now + after);
  // The store does one thing at a time: its answer comes first.
  phase_ = Phase::kFenced;
  retry_at_ = now + after;
}

void RegistryCore::RefuseWaiting(const std::string& why, Effects* effects) {
  tables_->lease.AbandonGrant();
  for (const CommitQueue::Group& group : tables_->queue.Abandon()) {
    for (const CommitQueue::Caller& caller : group.callers) {
      effects->push_back(
          CommitAnswer{.call = caller.call, .refusal = Refusal::kStorageFailed, .message = why});
    }
    for (const CallId call : group.resignations) {
      effects->push_back(
          ResignAnswer{.call = call, .refusal = Refusal::kStorageFailed, .message = why});
    }
  }
}

void RegistryCore::Finish(absl::Time now, Effects* effects) {
  Prove();
  ownership_.last_batch = batch_;
  store_ = StoreState::kIdle;
  attempts_ = 0;
  const CommitQueue::Group group = tables_->queue.Finish();
  for (const CommitQueue::Caller& caller : group.callers) {
    effects->push_back(CommitAnswer{.call = caller.call, .version = caller.version});
  }
  for (const CallId call : group.resignations) effects->push_back(ResignAnswer{.call = call});
  Apply(group.batch.commits, effects);
  if (phase_ == Phase::kTakingOver) {
    phase_ = Phase::kActing;
    ++counters_.takeovers;
    effects->push_back(Note{Severity::kInfo, absl::StrCat("acts, with term ", ownership_.term)});
  }
  if (group.grants && tables_->lease.Granted(now, effects)) ++counters_.lease_grants;
}

void RegistryCore::Apply(const std::vector<std::shared_ptr<const Commit>>& commits,
                         Effects* effects) {
  if (commits.empty()) return;
  for (const auto& commit : commits) tables_->table.Apply(commit);
  counters_.persisted_commits += commits.size();
  acknowledged_ = tables_->table.version();
  counters_.watch_commits_sent += tables_->watchers.Send(commits, effects);
}

// ---- transactions

template <typename Answer>
Answer RegistryCore::NotActing(Answer answer) {
  ++counters_.refused_not_acting;
  switch (phase_) {
    case Phase::kStandby:
    case Phase::kFenced:
      answer.refusal = Refusal::kNotActing;
      answer.acting = owner_address_;
      answer.message = owner_address_.empty()
                           ? "this registry stands by, and none is known to act yet; try again"
                           : absl::StrCat("this registry stands by; ", owner_address_, " acts");
      break;
    case Phase::kTakingOver:
      answer.refusal = Refusal::kTakingOver;
      answer.message = "this registry is about to act; try again";
      break;
    case Phase::kHalted:
    case Phase::kActing:  // not refused by this
      answer.refusal = Refusal::kStorageFailed;
      answer.message = kSuspended;
      break;
  }
  return answer;
}

void RegistryCore::On(absl::Time, const CommitRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(CommitAnswer{.call = request.call}));
    return;
  }
  CommitAnswer answer{.call = request.call};
  if (suspended()) {
    answer.refusal = Refusal::kStorageFailed;
    answer.message = kSuspended;
  } else {
    answer.refusal = CheckCommit(request, config_, ownership_.limits, tables_->lease,
                                 tables_->queue, &answer.message);
  }
  if (answer.refusal != Refusal::kNone) {
    ++counters_.commits_refused;
    effects->push_back(std::move(answer));
    return;
  }
  ++counters_.commits;
  counters_.writes += request.writes.size();
  tables_->queue.Accept(request);
}

// ---- reads and watches

void RegistryCore::On(absl::Time, const ReadRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(ReadAnswer{.call = request.call}));
    return;
  }
  const KeyTable& table = tables_->table;
  ReadAnswer answer{.call = request.call, .version = table.version()};
  std::string after;
  if (!request.page_token.empty() && !ParsePageToken(request.page_token, &answer.version, &after)) {
    answer.refusal = Refusal::kMalformed;
    answer.message = "the page token is not one that a read gave";
  } else if (!table.Knows(answer.version)) {
    answer.refusal = Refusal::kSnapshotRequired;
    answer.message =
        absl::StrCat("version ", answer.version, " is not known any more; start the read over");
  } else {
    const uint32_t wanted = request.page_size == 0 ? config_.page_size_default : request.page_size;
    KeyTable::Page page =
        table.Read(answer.version, request.prefixes, after, std::min(wanted, config_.page_size_max),
                   config_.page_bytes_max);
    if (page.more) answer.next_page_token = PageToken(answer.version, page.records.back().key);
    answer.records = std::move(page.records);
    ++counters_.reads;
    counters_.records_read += answer.records.size();
  }
  effects->push_back(std::move(answer));
}

void RegistryCore::On(absl::Time, const WatchRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(EndStream{.stream = request.stream}));
    return;
  }
  if (!tables_->table.Knows(request.after_version)) {
    effects->push_back(
        EndStream{.stream = request.stream,
                  .refusal = Refusal::kSnapshotRequired,
                  .message = absl::StrCat("commits after version ", request.after_version,
                                          " are not known; read, then watch from the version "
                                          "read")});
    return;
  }
  if (tables_->watchers.size() >= config_.watchers_max) {
    effects->push_back(EndStream{
        .stream = request.stream, .refusal = Refusal::kOverloaded, .message = "too many watches"});
    return;
  }
  counters_.watch_commits_sent +=
      tables_->watchers.Add(request.stream, request.prefixes,
                            tables_->table.CommitsAfter(request.after_version), effects);
}

void RegistryCore::On(absl::Time, const StreamEnded& ended, Effects*) {
  if (!tables_->watchers.Remove(ended.stream)) tables_->lease.Leave(ended.stream);
}

// ---- leadership

void RegistryCore::On(absl::Time, const CampaignRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(EndStream{.stream = request.stream}));
    return;
  }
  tables_->lease.Campaign(request, effects);
}

void RegistryCore::On(absl::Time now, const RenewRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(RenewAnswer{.call = request.call}));
    return;
  }
  RenewAnswer answer = tables_->lease.Renew(request, now);
  ++(answer.refusal == Refusal::kNone ? counters_.lease_renewals
                                      : counters_.lease_renewals_refused);
  effects->push_back(std::move(answer));
}

void RegistryCore::On(absl::Time, const ResignRequested& request, Effects* effects) {
  if (phase_ != Phase::kActing) {
    effects->push_back(NotActing(ResignAnswer{.call = request.call}));
    return;
  }
  if (suspended()) {
    effects->push_back(ResignAnswer{
        .call = request.call, .refusal = Refusal::kStorageFailed, .message = kSuspended});
  } else if (tables_->lease.Resign(request, effects)) {
    tables_->queue.AddResignation(request.call, tables_->lease.record());
  } else if (!tables_->queue.JoinResignation(request.call)) {
    // Not the holder (any more): what it asks for is so already, and on disk.
    effects->push_back(ResignAnswer{.call = request.call});
  }
}

void RegistryCore::On(absl::Time, const Wake&, Effects*) {}

}  // namespace tessera::registry
