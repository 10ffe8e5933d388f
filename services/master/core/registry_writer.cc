#include "services/master/core/registry_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/bug.h"
#include "services/base/status_macros.h"
#include "services/model/wire/description.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

size_t BytesOf(const reg::Write& write) { return write.key().size() + write.value().size(); }

absl::Status TooLarge(const std::string& what, size_t max) {
  return rpc::Error(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
                    absl::StrCat(what, ": at most ", max, " bytes can be kept"));
}

}  // namespace

RegistryWriter::RegistryWriter(const MasterConfig* config, uint64_t epoch, RequestIds* ids,
                               base::Rng rng, Outbox* outbox, Timers* timers,
                               MasterCounters* counters)
    : config_(config),
      epoch_(epoch),
      ids_(ids),
      outbox_(outbox),
      timers_(timers),
      counters_(counters),
      rng_(rng),
      retry_({config->retry_initial, config->retry_max}) {}

absl::Status RegistryWriter::Check(const std::vector<reg::Write>& writes) const {
  size_t bytes = 0;
  for (const reg::Write& write : writes) {
    const std::string& key = write.key();
    const bool controls = std::any_of(key.begin(), key.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (key.empty() || key.size() > config_->record_key_bytes_max || controls) {
      return rpc::InvalidField(
          "id", absl::StrCat("a name that is kept has at most ", config_->record_key_bytes_max,
                             " bytes and no control characters"));
    }
    if (write.value().size() > config_->record_bytes_max) {
      return TooLarge("the record of one thing", config_->record_bytes_max);
    }
    bytes += BytesOf(write);
  }
  if (writes.size() > config_->commit_writes_max) {
    return rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("one call may change at most ", config_->commit_writes_max, " records"));
  }
  if (bytes > config_->commit_bytes_max) {
    return TooLarge("the records that one call changes", config_->commit_bytes_max);
  }
  return absl::OkStatus();
}

absl::Status RegistryWriter::Queue(Entry entry) {
  RETURN_IF_ERROR(Check(entry.writes));
  for (const reg::Write& write : entry.writes) entry.bytes += BytesOf(write);
  queued_bytes_ += entry.bytes;
  queue_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status RegistryWriter::Write(std::vector<reg::Write> writes, Durable durable) {
  return Queue({std::move(writes), {}, std::move(durable)});
}

void RegistryWriter::WriteOwn(std::vector<reg::Write> writes, Durable durable,
                              std::vector<reg::Condition> conditions) {
  const absl::Status queued = Queue({std::move(writes), std::move(conditions), std::move(durable)});
  if (!queued.ok()) TESSERA_BUG(absl::StrCat("a write of the master's own: ", queued.ToString()));
}

void RegistryWriter::Flush() {
  if (in_flight_ != 0 || waiting_for_retry_ || queue_.empty()) return;
  Commit commit{ids_->Next(), {}};
  commit.request.set_epoch(epoch_);
  size_t writes = 0;
  size_t bytes = 0;
  for (const Entry& entry : queue_) {
    const bool alone = !entry.conditions.empty() || singly_ > 0;
    if (in_flight_ > 0 && (alone || writes + entry.writes.size() > config_->commit_writes_max ||
                           bytes + entry.bytes > config_->commit_bytes_max)) {
      break;
    }
    for (const reg::Write& write : entry.writes) *commit.request.add_writes() = write;
    for (const reg::Condition& condition : entry.conditions) {
      *commit.request.add_conditions() = condition;
    }
    writes += entry.writes.size();
    bytes += entry.bytes;
    ++in_flight_;
    if (alone) break;
  }
  request_ = commit.id;
  ++counters_->registry_commits;
  outbox_->Push(std::move(commit));
}

RegistryWriter::Outcome RegistryWriter::OnCommitted(absl::Time now, const Committed& event) {
  Outcome outcome;
  if (in_flight_ == 0 || event.id != request_) return outcome;
  const size_t sent = std::exchange(in_flight_, 0);
  if (event.answer.ok()) {
    retry_.Reset();
    for (size_t i = 0; i < sent; ++i) {
      outcome.durable.push_back(std::move(queue_.front().durable));
      queued_bytes_ -= queue_.front().bytes;
      queue_.pop_front();
    }
    singly_ -= std::min(singly_, sent);
    return outcome;
  }
  ++counters_->registry_failures;
  const absl::Status& status = event.answer.status();
  outbox_->Note(base::Severity::kWarning, "the registry did not take a write: ", status.ToString());
  if (rpc::ReasonOf(status) == pb::ErrorDetail::STALE_EPOCH) {
    outcome.fatal = status;
    return outcome;
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kPermissionDenied:
      if (sent == 1) {
        outcome.fatal = status;
        return outcome;
      }
      singly_ = sent;
      break;
    default:
      break;
  }
  waiting_for_retry_ = true;
  timers_->Arm(now + retry_.Next(rng_), TimerKind::kRegistryRetry);
  return outcome;
}

std::vector<Durable> RegistryWriter::Abandon() {
  std::vector<Durable> abandoned;
  for (Entry& entry : queue_) abandoned.push_back(std::move(entry.durable));
  queue_.clear();
  queued_bytes_ = 0;
  in_flight_ = 0;
  return abandoned;
}

reg::Write Put(const std::string& key, const google::protobuf::MessageLite& record) {
  reg::Write write;
  write.set_key(key);
  // Maps in one order: what is written is a function of what was decided.
  write.set_value(model::wire::Describe(record).bytes());
  return write;
}

reg::Write Delete(const std::string& key) {
  reg::Write write;
  write.set_key(key);
  return write;
}

}  // namespace tessera::master
