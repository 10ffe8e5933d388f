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

// States by which the cluster says that the attempt has never run and never will.
bool NeverRan(TaskState state) { return state == model::v1::TASK_DROPPED; }

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
                             int64_t cpus_milli, int64_t mem_bytes) {
  Machine& m = machines_[machine];
  m.cpus_used += cpus_milli;
  m.mem_used += mem_bytes;
  if (m.cpus_used > m.cpus_total || m.mem_used > m.mem_total) {
    verdict_->Fail(
        "resources are conserved",
        absl::StrCat(machine, " runs more than it has: ", m.cpus_used, " of ", m.cpus_total,
                     " millicpus, ", m.mem_used, " of ", m.mem_total, " bytes"));
  }
  containers_[{machine, container}] = {cpus_milli, mem_bytes};
}

void MachineChecker::Ended(const std::string& machine, const std::string& container) {
  const auto it = containers_.find({machine, container});
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

void DurabilityChecker::Requested(uint64_t call, std::vector<Change> changes) {
  asked_[call] = std::move(changes);
}

void DurabilityChecker::Acknowledged(uint64_t call, uint64_t version) {
  auto node = asked_.extract(call);
  if (node.empty()) return Fail("a commit was acknowledged that nobody waits for");
  const bool first = acknowledged_.emplace(version, std::move(node.mapped())).second;
  if (!first || version <= version_) {
    verdict_->Fail("versions are unique", absl::StrCat("version ", version, " was given twice"));
  }
}

void DurabilityChecker::Recovered(uint64_t version,
                                  const std::map<std::string, std::string>& content) {
  const uint64_t last = acknowledged_.empty() ? version_ : acknowledged_.rbegin()->first;
  if (version < last) {
    return Fail(absl::StrCat("version ", last, " was there, the store came back at ", version));
  }
  const uint64_t unknown = version - version_ - acknowledged_.size();
  if (unknown > asked_.size()) {
    return Fail(absl::StrCat("the store came back with ", unknown,
                             " commits more than it had, and ", asked_.size(), " were asked for"));
  }
  survived_ += unknown;
  lost_ += asked_.size() - unknown;
  // What each key may be. The last acknowledged change of a key holds, unless a commit without an
  // answer wrote the key.
  std::map<std::string, std::optional<std::string>> known(content_.begin(), content_.end());
  for (const auto& [v, changes] : acknowledged_) {
    for (const Change& change : changes) known[change.key] = change.value;
  }
  std::map<std::string, std::vector<std::optional<std::string>>> maybe;
  for (const auto& [call, changes] : asked_) {
    if (unknown == 0) break;
    for (const Change& change : changes) maybe[change.key].push_back(change.value);
  }
  const auto judge = [&](const std::string& key) {
    const auto there = content.find(key);
    const std::optional<std::string> value =
        there == content.end() ? std::nullopt : std::optional(there->second);
    const auto it = known.find(key);
    if (value == (it == known.end() ? std::nullopt : it->second)) return;
    const auto others = maybe.find(key);
    if (others != maybe.end() &&
        std::find(others->second.begin(), others->second.end(), value) != others->second.end()) {
      return;
    }
    Fail(absl::StrCat("key ", key,
                      value.has_value() ? " has a value that it was not given" : " was lost"));
  };
  for (const auto& [key, value] : known) judge(key);
  for (const auto& [key, value] : content) {
    if (!known.contains(key)) judge(key);
  }
  version_ = version;
  content_ = content;
  acknowledged_.clear();
  asked_.clear();
}

std::string TaskChecker::Describe(const Launch& launch) {
  return absl::StrCat(launch.framework, "/", launch.task);
}

void TaskChecker::Launched(const std::string& framework, const std::string& task,
                           const std::string& mark) {
  Launch launch;
  launch.framework = framework;
  launch.task = task;
  if (!launches_.emplace(mark, std::move(launch)).second) {
    verdict_->Fail("the simulation's marks are unique", mark);
    return;
  }
  newest_[{framework, task}] = mark;
  ++open_;
}

void TaskChecker::Started(const std::string& machine, const std::string& mark) {
  const auto it = launches_.find(mark);
  if (it == launches_.end()) {
    verdict_->Fail("only what was asked for runs", absl::StrCat(mark, " runs on ", machine));
    return;
  }
  Launch& launch = it->second;
  if (launch.started) {
    verdict_->Fail("a launch runs at most once",
                   absl::StrCat(Describe(launch), " (", mark, ") starts on ", machine,
                                " and has run on ", launch.machine));
  }
  // Whoever was told that it is lost with its agent may be wrong; that it never ran, or has ended,
  // is not to be taken back.
  if (launch.terminal.has_value() &&
      (EndsByItself(*launch.terminal) || NeverRan(*launch.terminal))) {
    verdict_->Fail("no task runs after its end",
                   absl::StrCat(Describe(launch), " (", mark, ") starts on ", machine,
                                " after its framework was told ", NameOf(*launch.terminal)));
  }
  launch.started = true;
  launch.running = true;
  launch.machine = machine;
  ++running_;
}

void TaskChecker::Ended(const std::string& mark, bool success, bool killed) {
  const auto it = launches_.find(mark);
  if (it == launches_.end() || !it->second.running) return;
  it->second.running = false;
  it->second.success = success;
  it->second.killed = killed;
  --running_;
}

void TaskChecker::Heard(const std::string& framework, const model::v1::TaskStatus& status) {
  const auto named = newest_.find({framework, status.task_id()});
  if (named == newest_.end()) {
    verdict_->Fail("frameworks hear of their own tasks",
                   absl::StrCat(framework, " hears of ", status.task_id()));
    return;
  }
  Launch& launch = launches_.at(named->second);
  const TaskState state = status.state();
  const std::string what = absl::StrCat(Describe(launch), " (", named->second, ")");
  const bool lost = EndsAsLost(state), own = EndsByItself(state);
  if (launch.terminal && own && EndsByItself(*launch.terminal) && *launch.terminal != state) {
    verdict_->Fail("one terminal state", absl::StrCat(what, " ended as ", NameOf(*launch.terminal),
                                                      " and as ", NameOf(state)));
  }
  if (launch.running && (own || NeverRan(state))) {
    verdict_->Fail("no task runs after its end",
                   absl::StrCat(what, " runs on ", launch.machine, ", and its framework is told ",
                                NameOf(state), ": ", status.message()));
  }
  // A status from the agent (it has a uuid) is in order. Others are the master's word in between.
  if (!status.uuid().empty()) {
    const int rank = RankOf(state);
    if (rank < launch.rank) {
      verdict_->Fail("statuses come in order",
                     absl::StrCat(what, " hears ", NameOf(state), " late"));
    }
    launch.rank = std::max(launch.rank, rank);
    if (state == model::v1::TASK_FINISHED && !(launch.started && launch.success)) {
      verdict_->Fail("statuses are true", absl::StrCat(what, " did not finish"));
    }
    if (state == model::v1::TASK_RUNNING && !launch.started) {
      verdict_->Fail("statuses are true", absl::StrCat(what, " never ran"));
    }
    if (state == model::v1::TASK_FAILED && launch.started && launch.success && !launch.killed) {
      verdict_->Fail("statuses are true", absl::StrCat(what, " did not fail"));
    }
  }
  if ((own || lost) && !launch.terminal) {
    launch.terminal = state;
    if (!launch.abandoned) --open_;
    ++ended_;
  } else if (own && launch.terminal && !EndsByItself(*launch.terminal)) {
    launch.terminal = state;  // it was believed lost, and came back
  }
}

void TaskChecker::Abandoned(const std::string& framework) {
  for (auto& [mark, launch] : launches_) {
    if (launch.framework != framework || launch.abandoned) continue;
    launch.abandoned = true;
    if (!launch.terminal) --open_;
  }
}

void TaskChecker::CheckAllEnded() {
  if (open_ == 0) return;
  std::string some;
  int named = 0;
  for (const auto& [mark, launch] : launches_) {
    if (launch.terminal || launch.abandoned || named++ > 5) continue;
    absl::StrAppend(&some, " ", Describe(launch), " (", mark, ")");
  }
  verdict_->Fail("every launch ends and is heard of",
                 absl::StrCat(open_, " launches have no end:", some));
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
