#include "tests/sim/checkers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace {

using model::v1::TaskState;

std::string NameOf(TaskState state) { return model::v1::TaskState_Name(state); }

// States that end an attempt by what happened to it.
bool EndsByItself(TaskState state) {
  return state == model::v1::TASK_FINISHED || state == model::v1::TASK_FAILED ||
         state == model::v1::TASK_KILLED || state == model::v1::TASK_ERROR;
}

// States by which the cluster says that the attempt does not run (any more).
bool EndsAsLost(TaskState state) {
  return state == model::v1::TASK_LOST || state == model::v1::TASK_DROPPED ||
         state == model::v1::TASK_GONE || state == model::v1::TASK_GONE_BY_OPERATOR ||
         state == model::v1::TASK_UNKNOWN;
}

int RankOf(TaskState state) {
  switch (state) {
    case model::v1::TASK_STAGING:
      return 1;
    case model::v1::TASK_STARTING:
      return 2;
    case model::v1::TASK_RUNNING:
      return 3;
    case model::v1::TASK_KILLING:
      return 4;
    default:
      return 5;
  }
}

}  // namespace

void MachineChecker::Started(const std::string& machine, const std::string& container,
                             const std::string& task, int64_t cpus_milli, int64_t mem_bytes) {
  Machine& m = machines_[machine];
  m.cpus_used += cpus_milli;
  m.mem_used += mem_bytes;
  if (m.cpus_used > m.cpus_total || m.mem_used > m.mem_total) {
    verdict_->Fail(
        "resources are conserved",
        absl::StrCat(machine, " runs more than it has: ", m.cpus_used, " of ", m.cpus_total,
                     " millicpus, ", m.mem_used, " of ", m.mem_total, " bytes"));
  }
  containers_[container] = {machine, cpus_milli, mem_bytes};
  const auto [known, first] = container_of_task_.emplace(task, container);
  if (!first) {
    verdict_->Fail("a task runs at most once",
                   absl::StrCat(task, " was started as ", container, " after ", known->second));
  }
}

void MachineChecker::Ended(const std::string& machine, const std::string& container) {
  const auto it = containers_.find(container);
  if (it == containers_.end()) return;
  machines_[machine].cpus_used -= it->second.cpus;
  machines_[machine].mem_used -= it->second.mem;
  containers_.erase(it);
}

void OfferChecker::NewEpoch(uint64_t epoch) {
  if (epoch <= epoch_) return;
  epoch_ = epoch;
  offers_.clear();
  offered_.clear();
}

void OfferChecker::Offered(uint64_t epoch, uint64_t session, const std::string& offer,
                           const std::string& machine, const std::string& role, int64_t cpus_milli,
                           int64_t mem_milli) {
  if (epoch < epoch_) return;
  if (!ever_.insert(offer).second) {
    verdict_->Fail("ids are unique", absl::StrCat("offer ", offer, " was made twice"));
  }
  offers_[offer] = {session, machine, role, {cpus_milli, mem_milli}};
  Amounts& sum = offered_[machine];
  const Amounts& total = totals_[machine];
  sum.cpus += cpus_milli;
  sum.mem += mem_milli;
  if (sum.cpus > total.cpus || sum.mem > total.mem) {
    verdict_->Fail("no resource is in two offers",
                   absl::StrCat(machine, " is offered ", sum.cpus, " of ", total.cpus,
                                " millicpus and ", sum.mem, " of ", total.mem, " milli-MiB"));
  }
}

void OfferChecker::Gone(const std::string& offer) {
  const auto it = offers_.find(offer);
  if (it == offers_.end()) return;
  Amounts& sum = offered_[it->second.machine];
  sum.cpus -= it->second.amounts.cpus;
  sum.mem -= it->second.amounts.mem;
  offers_.erase(it);
}

void OfferChecker::SessionEnded(uint64_t session) {
  std::vector<std::string> gone;
  for (const auto& [id, held] : offers_) {
    if (held.session == session) gone.push_back(id);
  }
  for (const std::string& id : gone) Gone(id);
}

std::map<std::string, OfferChecker::Amounts> OfferChecker::OfferedByRole() const {
  std::map<std::string, Amounts> sums;
  for (const auto& [id, held] : offers_) {
    sums[held.role].cpus += held.amounts.cpus;
    sums[held.role].mem += held.amounts.mem;
  }
  return sums;
}

void LeaderChecker::Began(const std::string& master, uint64_t epoch) {
  if (!leader_.empty()) {
    verdict_->Fail("one epoch leads",
                   absl::StrCat(master, " leads while ", leader_, " still does"));
  }
  if (epoch <= epoch_) {
    verdict_->Fail("epochs only grow",
                   absl::StrCat(master, " leads with epoch ", epoch, " after ", epoch_));
  }
  leader_ = master;
  epoch_ = epoch;
}

void LeaderChecker::Ended(const std::string& master) {
  if (leader_ == master) leader_.clear();
}

void DurabilityChecker::Acknowledged(uint64_t version, const std::vector<Change>& changes) {
  const auto [it, first] = acknowledged_.emplace(version, changes);
  if (!first) {
    verdict_->Fail("versions are unique", absl::StrCat("version ", version, " was given twice"));
  }
}

void DurabilityChecker::Recovered(uint64_t version,
                                  const std::map<std::string, std::string>& content) {
  if (acknowledged_.empty()) return;
  if (version < acknowledged_.rbegin()->first) {
    verdict_->Fail("acknowledged commits survive",
                   absl::StrCat("version ", acknowledged_.rbegin()->first,
                                " was acknowledged, the store came back at ", version));
    return;
  }
  // A key's last acknowledged change holds, unless a commit whose answer got lost changed it later:
  // those are not known here, so only keys of the newest acknowledged commits can be judged when
  // the store is ahead.
  if (version != acknowledged_.rbegin()->first) return;
  std::map<std::string, std::optional<std::string>> last;
  for (const auto& [v, changes] : acknowledged_) {
    for (const Change& change : changes) last[change.key] = change.value;
  }
  // Versions that were applied without an answer lie in between: only judge when there are none.
  if (acknowledged_.size() != version) return;
  for (const auto& [key, value] : last) {
    const auto it = content.find(key);
    const bool same = value ? it != content.end() && it->second == *value : it == content.end();
    if (!same) {
      verdict_->Fail("acknowledged commits survive", absl::StrCat("key ", key, " was lost"));
      return;
    }
  }
}

void TaskChecker::Launched(const std::string& framework, const std::string& task) {
  const auto [it, first] = attempts_.emplace(std::pair(framework, task), Attempt());
  if (first) ++open_;
}

void TaskChecker::Truth(const std::string& framework, const std::string& task, bool success,
                        bool killed) {
  Attempt& attempt = attempts_[{framework, task}];
  attempt.ran = true;
  attempt.success = success;
  attempt.killed = killed;
}

void TaskChecker::Heard(const std::string& framework, const model::v1::TaskStatus& status) {
  const auto it = attempts_.find({framework, status.task_id()});
  if (it == attempts_.end()) {
    verdict_->Fail("frameworks hear of their own tasks",
                   absl::StrCat(framework, " hears of ", status.task_id()));
    return;
  }
  Attempt& attempt = it->second;
  const TaskState state = status.state();
  const std::string what = absl::StrCat(framework, "/", status.task_id());
  const bool lost = EndsAsLost(state), own = EndsByItself(state);
  if (attempt.terminal && own && EndsByItself(*attempt.terminal) && *attempt.terminal != state) {
    verdict_->Fail("one terminal state", absl::StrCat(what, " ended as ", NameOf(*attempt.terminal),
                                                      " and as ", NameOf(state)));
  }
  // A status from the agent (it has a uuid) is in order. Others are the master's word in between.
  if (!status.uuid().empty()) {
    const int rank = RankOf(state);
    if (rank < attempt.rank) {
      verdict_->Fail("statuses come in order",
                     absl::StrCat(what, " hears ", NameOf(state), " late"));
    }
    attempt.rank = std::max(attempt.rank, rank);
    if (state == model::v1::TASK_FINISHED && !(attempt.ran && attempt.success)) {
      verdict_->Fail("statuses are true", absl::StrCat(what, " did not finish"));
    }
    if (state == model::v1::TASK_FAILED && attempt.ran && attempt.success && !attempt.killed) {
      verdict_->Fail("statuses are true", absl::StrCat(what, " did not fail"));
    }
  }
  if ((own || lost) && !attempt.terminal) {
    attempt.terminal = state;
    --open_;
    ++ended_;
  } else if (own && attempt.terminal && !EndsByItself(*attempt.terminal)) {
    attempt.terminal = state;  // it was believed lost, and came back
  }
}

void TaskChecker::Abandoned(const std::string& framework) {
  for (auto& [key, attempt] : attempts_) {
    if (key.first != framework || attempt.abandoned) continue;
    attempt.abandoned = true;
    if (!attempt.terminal) --open_;
  }
}

void TaskChecker::CheckAllEnded() {
  if (open_ == 0) return;
  std::string some;
  int named = 0;
  for (const auto& [key, attempt] : attempts_) {
    if (attempt.terminal || attempt.abandoned || named++ > 5) continue;
    absl::StrAppend(&some, " ", key.first, "/", key.second);
  }
  verdict_->Fail("every attempt ends and is heard of",
                 absl::StrCat(open_, " attempts have no end:", some));
}

void WishChecker::Stated(const std::string& framework, uint64_t runs_max, absl::Time now) {
  open_.try_emplace(framework, Wish{runs_max, std::max(now, calm_from_), 0});
}

void WishChecker::Fulfilled(const std::string& framework, absl::Time now) {
  const auto node = open_.extract(framework);
  if (node.empty()) return;
  const Wish& wish = node.mapped();
  ++fulfilled_;
  if (wish.runs * worst_.runs_max < worst_.runs * wish.runs_max) return;
  worst_ = {wish.runs, wish.runs_max, std::max(now - wish.since, absl::ZeroDuration())};
}

void WishChecker::RanOverAll(absl::Time now) {
  if (!broken_.empty() || now < calm_from_) return;
  for (auto& [framework, wish] : open_) {
    if (++wish.runs <= wish.runs_max) continue;
    verdict_->Fail("the honest are served",
                   absl::StrCat(framework, " has not got what it wants in ", wish.runs_max,
                                " runs over all agents, ", absl::FormatDuration(now - wish.since)));
  }
}

void WishChecker::Broke(const std::string& what) { broken_.insert(what); }

void WishChecker::Mended(const std::string& what, absl::Time calm) {
  broken_.erase(what);
  calm_from_ = std::max(calm_from_, calm);
  for (auto& [framework, wish] : open_) wish = {wish.runs_max, calm_from_, 0};
}

}  // namespace tessera::sim
