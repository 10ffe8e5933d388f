#include "services/master/core/recovery.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/master/core/times.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

constexpr char kCellKey[] = "settings/cell";

// The part of a key after `table`, or nothing when the key is of another table.
bool InTable(const std::string& key, std::string_view table, std::string* id) {
  if (key.size() <= table.size() || key.compare(0, table.size(), table) != 0) return false;
  *id = key.substr(table.size());
  return true;
}

template <typename Message>
absl::Status Parse(const reg::Record& record, Message* message) {
  if (message->ParseFromString(record.value())) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("the registry's record '", record.key(),
                                          "' cannot be read: it is damaged, or ",
                                          "of a newer version; restore the registry's data"));
}

}  // namespace

Recovery::Recovery(const MasterConfig* config, RequestIds* ids, base::Rng rng, Outbox* outbox)
    : config_(config),
      ids_(ids),
      outbox_(outbox),
      rng_(rng.Fork()),
      retry_rng_(rng.Fork()),
      retry_({config->retry_initial, config->retry_max}) {}

void Recovery::Read() {
  retry_at_ = absl::InfiniteFuture();
  request_ = ids_->Next();
  master::Read effect{request_, {}};
  for (const char* prefix :
       {"agents/", "frameworks/", "machines/", "quotas/", "weights/", kCellKey}) {
    effect.request.add_prefixes(prefix);
  }
  effect.request.set_page_size(config_->read_page_size);
  effect.request.set_page_token(page_token_);
  outbox_->Push(std::move(effect));
}

bool Recovery::OnReadDone(absl::Time now, const ReadDone& event) {
  if (event.id != request_) return false;
  request_ = RequestId();
  if (!event.answer.ok()) {
    outbox_->Note(base::Severity::kWarning,
                  "the registry could not be read: ", event.answer.status().ToString());
    if (event.answer.status().code() == absl::StatusCode::kOutOfRange) {
      records_.clear();
      page_token_.clear();
    }
    retry_at_ = now + retry_.Next(retry_rng_);
    return false;
  }
  retry_.Reset();
  records_.insert(records_.end(), event.answer->records().begin(), event.answer->records().end());
  page_token_ = event.answer->next_page_token();
  if (!page_token_.empty()) {
    Read();
    return false;
  }
  for (const reg::Record& record : records_) {
    if (record.key() != kCellKey) continue;
    cell_.ParseFromString(record.value());
    cell_version_ = record.version();
  }
  if (cell_.id().empty()) {
    const uint64_t high = rng_.Next();
    const uint64_t low = rng_.Next();
    cell_.set_id(absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, (high >> 16) & 0xffff,
                                 (high & 0x0fff) | 0x4000, ((low >> 48) & 0x3fff) | 0x8000,
                                 low & 0xffffffffffff));
  }
  cell_.set_leader_count(cell_.leader_count() + 1);
  return true;
}

reg::Condition Recovery::cell_condition() const {
  reg::Condition condition;
  condition.set_key(kCellKey);
  condition.set_version(cell_version_);
  return condition;
}

// Before the agents, which are on them.
absl::Status Recovery::FillMachines(Books& books) {
  MachineRows machines;
  for (const reg::Record& record : records_) {
    std::string id;
    if (!InTable(record.key(), "machines/", &id)) continue;
    reg::Machine read;
    if (absl::Status status = Parse(record, &read); !status.ok()) return status;
    Machine& machine = machines[{read.hostname(), read.ip()}];
    machine.down = read.mode() == reg::Machine::DOWN;
    machine.unavailability = read.unavailability();
  }
  books.machines.Replace(std::move(machines));
  return absl::OkStatus();
}

absl::Status Recovery::Fill(Books* books, SessionFlow* sessions, OperatorFlow* operators) {
  // Completed frameworks and lost agents are kept in the order of their ends.
  std::vector<std::pair<absl::Time, std::string>> completed;
  std::vector<std::pair<absl::Time, std::string>> gone;
  std::vector<std::pair<absl::Time, const reg::Record*>> unreachable;
  if (absl::Status status = FillMachines(*books); !status.ok()) return status;
  for (const reg::Record& record : records_) {
    std::string id;
    absl::Status status;
    if (InTable(record.key(), "frameworks/", &id)) {
      reg::FrameworkEntry entry;
      status = Parse(record, &entry);
      if (status.ok() && entry.has_completed_time()) {
        completed.emplace_back(TimeOf(entry.completed_time()), id);
      } else if (status.ok()) {
        FillFramework(*books, *sessions, id, entry);
      }
    } else if (InTable(record.key(), "agents/admitted/", &id)) {
      reg::AdmittedAgent admitted;
      status = Parse(record, &admitted);
      if (status.ok()) FillAgent(*books, *operators, id, admitted);
    } else if (InTable(record.key(), "agents/unreachable/", &id)) {
      reg::UnreachableAgent agent;
      status = Parse(record, &agent);
      unreachable.emplace_back(TimeOf(agent.time()), &record);
    } else if (InTable(record.key(), "agents/gone/", &id)) {
      reg::GoneAgent agent;
      status = Parse(record, &agent);
      gone.emplace_back(TimeOf(agent.time()), id);
    } else if (InTable(record.key(), "weights/", &id)) {
      reg::Weight weight;
      status = Parse(record, &weight);
      books->roles.Get(id).weight_milli = weight.weight_milli();
      books->changed.RoleChanged(id);
    } else if (InTable(record.key(), "quotas/", &id)) {
      reg::Quota quota;
      status = Parse(record, &quota);
      books->roles.Get(id).quota = quota;
      books->changed.RoleChanged(id);
    }
    if (!status.ok()) return status;
  }
  std::sort(completed.begin(), completed.end());
  for (const auto& [time, id] : completed) {
    books->frameworks.AddCompletedId(id, config_->completed_ids_max);
  }
  std::sort(gone.begin(), gone.end());
  for (const auto& [time, id] : gone) books->agents.AddGone(id, config_->gone_agents_max);
  std::stable_sort(unreachable.begin(), unreachable.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [time, record] : unreachable) {
    const std::string id = record->key().substr(sizeof("agents/unreachable/") - 1);
    reg::UnreachableAgent agent;
    agent.ParseFromString(record->value());
    books->agents.AddUnreachable(id, agent.info(), time, config_->unreachable_agents_max);
    books->changed.AgentChanged(id);
  }
  records_.clear();
  return absl::OkStatus();
}

void Recovery::FillFramework(Books& books, SessionFlow& sessions, const std::string& id,
                             const reg::FrameworkEntry& entry) {
  Framework& framework = books.frameworks.Add(id, entry.info());
  framework.phase = FrameworkPhase::kRecovered;
  framework.suppressed_roles = {entry.suppressed_roles().begin(), entry.suppressed_roles().end()};
  framework.registered_time =
      entry.has_registered_time() ? TimeOf(entry.registered_time()) : books.now();
  for (const std::string& role : framework.roles) books.JoinRole(role);
  const absl::Duration grace = config_->framework_recovery_grace;
  const absl::Time latest = books.now() + std::max(framework.failover_timeout(), grace);
  absl::Time until = latest;
  if (entry.has_disconnected_time()) {
    // It was away already when the old leader ended: its own time goes on. But there was nobody to
    // come back to meanwhile, and the clock that wrote this may be wrong.
    framework.disconnected_time = TimeOf(entry.disconnected_time());
    until = std::clamp(framework.disconnected_time + framework.failover_timeout(),
                       books.now() + grace, latest);
  }
  sessions.ArmFailover(framework, until);
  books.changed.FrameworkChanged(framework.id);
}

void Recovery::FillAgent(Books& books, OperatorFlow& operators, const std::string& id,
                         const reg::AdmittedAgent& record) {
  ++agents_admitted_;
  Agent& agent = books.agents.Add(id, record.info());
  agent.phase = AgentPhase::kRecovered;
  books.agents.AddRecovered();
  books.offer_book.UpdateUnavailability(agent);
  agent.registered_time = record.has_admitted_time() ? TimeOf(record.admitted_time()) : books.now();
  agent.deactivated = record.deactivated();
  if (record.has_drain()) {
    agent.drain = record.drain();
    if (record.drain().state() == pb::DRAIN_STATE_DRAINING) operators.ResumeDrain(agent);
  }
  // Shown until it comes back and says what it has now.
  if (auto total = model::wire::FromProto(record.info().resources()); total.ok()) {
    agent.total = *std::move(total);
  }
  books.changed.AgentChanged(agent.id);
}

}  // namespace tessera::master
