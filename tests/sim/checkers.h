// Judges that watch a run from outside and know only what anybody could see.
//
// They do not share code with the cores: each states one of the rules of the design (section 4) in
// its own words and throws the run away (Fail) when it is broken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::sim {

// Collects what went wrong. The first failure ends the run.
class Verdict {
 public:
  void Fail(const std::string& rule, const std::string& what) {
    if (failure_.empty()) failure_ = rule + ": " + what;
  }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }

 private:
  std::string failure_;
};

// Rule 1, on the machines: what runs on a machine never needs more than it has.
class MachineChecker {
 public:
  explicit MachineChecker(Verdict* verdict) : verdict_(verdict) {}

  void SetTotal(const std::string& machine, int64_t cpus_milli, int64_t mem_bytes) {
    machines_[machine] = {cpus_milli, mem_bytes, 0, 0};
  }
  void Started(const std::string& machine, const std::string& container, int64_t cpus_milli,
               int64_t mem_bytes);
  void Ended(const std::string& machine, const std::string& container);
  size_t running() const { return containers_.size(); }
  // What the containers that run on the machine were given.
  int64_t cpus_used(const std::string& machine) const { return machines_.at(machine).cpus_used; }
  int64_t mem_used(const std::string& machine) const { return machines_.at(machine).mem_used; }

 private:
  struct Machine {
    int64_t cpus_total = 0, mem_total = 0, cpus_used = 0, mem_used = 0;
  };
  struct Container {
    int64_t cpus = 0, mem = 0;
  };
  Verdict* verdict_;
  std::map<std::string, Machine> machines_;
  // By machine and id.
  std::map<std::pair<std::string, std::string>, Container> containers_;
};

// Rule 1, on offers: at no time do two outstanding offers of one leader overlap, and none exceeds
// its agent. Offers are outstanding from their event until they are used, declined, rescinded, or
// their session ends. Watches what leaves and reaches the leader.
class OfferChecker {
 public:
  explicit OfferChecker(Verdict* verdict) : verdict_(verdict) {}

  void NewEpoch(uint64_t epoch);
  void SetTotal(const std::string& machine, int64_t cpus_milli, int64_t mem_milli) {
    totals_[machine] = {cpus_milli, mem_milli};
  }
  // On the stream of a session of the leader.
  void Offered(uint64_t epoch, uint64_t session, const std::string& offer,
               const std::string& machine, const std::string& role, int64_t cpus_milli,
               int64_t mem_milli);
  void Gone(const std::string& offer);
  void SessionEnded(uint64_t session);
  size_t outstanding() const { return offers_.size(); }

  struct Amounts {
    int64_t cpus = 0, mem = 0;
  };
  // Of the outstanding offers, by the role that they are made to.
  std::map<std::string, Amounts> OfferedByRole() const;

 private:
  struct Held {
    uint64_t session = 0;
    std::string machine;
    std::string role;
    Amounts amounts;
  };
  Verdict* verdict_;
  uint64_t epoch_ = 0;
  std::map<std::string, Amounts> totals_;
  std::map<std::string, Held> offers_;
  std::map<std::string, Amounts> offered_;
  std::set<std::string> ever_;
};

// Rule 2: epochs only grow, and at most one master acts as leader at a time.
class LeaderChecker {
 public:
  explicit LeaderChecker(Verdict* verdict) : verdict_(verdict) {}

  void Began(const std::string& master, uint64_t epoch);
  void Ended(const std::string& master);
  const std::string& leader() const { return leader_; }
  uint64_t epoch() const { return epoch_; }

 private:
  Verdict* verdict_;
  std::string leader_;
  uint64_t epoch_ = 0;
};

// Rule 3: what the registry acknowledged is there after any crash, and nothing else is that nobody
// asked for.
//
// A crash leaves commits behind that nobody was answered: each of them may have survived. After a
// recovery the judge takes what is there for the truth about those, and judges every key that none
// of them may have written by what was acknowledged, and the others by that and what was asked.
class DurabilityChecker {
 public:
  explicit DurabilityChecker(Verdict* verdict) : verdict_(verdict) {}

  struct Change {
    std::string key;
    std::optional<std::string> value;
  };
  // Somebody asks for these changes, as one commit; `call` is its name until it is answered.
  void Requested(uint64_t call, std::vector<Change> changes);
  void Acknowledged(uint64_t call, uint64_t version);
  // It was not and will not be made.
  void Refused(uint64_t call) { asked_.erase(call); }
  // The registry has died and was started again on this content, of this version.
  void Recovered(uint64_t version, const std::map<std::string, std::string>& content);

  // Of the commits that a crash left without an answer: how many were there afterwards, or not.
  uint64_t survived() const { return survived_; }
  uint64_t lost() const { return lost_; }

 private:
  void Fail(const std::string& what) { verdict_->Fail("acknowledged commits survive", what); }

  Verdict* verdict_;
  // What the newest recovery found, and what was acknowledged since.
  uint64_t version_ = 0;
  std::map<std::string, std::string> content_;
  std::map<uint64_t, std::vector<Change>> acknowledged_;
  // Asked for in this life of the registry, and not answered.
  std::map<uint64_t, std::vector<Change>> asked_;
  uint64_t survived_ = 0;
  uint64_t lost_ = 0;
};

// Rule 4: each launch ends in exactly one terminal state, its framework hears it, in order, and
// what it hears is true.
//
// A launch has a name of the simulation's own (`mark`), which travels in its command: whatever the
// product calls it, the machine that runs the command knows which launch it is. Thus the ledger
// knows, too, what really runs: no launch runs twice, and none runs after its framework was told
// that it has ended.
class TaskChecker {
 public:
  explicit TaskChecker(Verdict* verdict) : verdict_(verdict) {}

  // The framework asked for the launch. Its task id may be that of a launch that has ended.
  void Launched(const std::string& framework, const std::string& task, const std::string& mark);
  // A container runs the launch.
  void Started(const std::string& machine, const std::string& mark);
  // The container came to its own end, or was killed by the machine.
  void Ended(const std::string& mark, bool success, bool killed);
  // The framework was delivered a status, which is about its newest launch of that id.
  void Heard(const std::string& framework, const model::v1::TaskStatus& status);
  // The framework ends its session for good, and gives its tasks up.
  void Abandoned(const std::string& framework);
  // At the end: every launch was heard of. Names some that were not.
  void CheckAllEnded();
  size_t open() const { return open_; }
  size_t ended() const { return ended_; }
  size_t running() const { return running_; }

 private:
  struct Launch {
    std::string framework;
    std::string task;
    std::optional<model::v1::TaskState> terminal;
    bool started = false;
    bool running = false;
    std::string machine;
    bool success = false;
    bool killed = false;
    bool abandoned = false;
    int rank = 0;
  };
  static std::string Describe(const Launch& launch);

  Verdict* verdict_;
  std::map<std::string, Launch> launches_;  // by mark
  // The newest of each id.
  std::map<std::pair<std::string, std::string>, std::string> newest_;
  size_t open_ = 0;
  size_t ended_ = 0;
  size_t running_ = 0;
};

// Nobody starves: an honest framework that states a wish has it fulfilled within a bounded number
// of the allocator's runs over all agents, whatever the others do.
//
// Runs are counted for each wish from its statement on, and anew whenever something breaks: while
// a process is away, and for a while after it is back, nobody can promise anything.
class WishChecker {
 public:
  explicit WishChecker(Verdict* verdict) : verdict_(verdict) {}

  // To be fulfilled within so many runs. Of no effect while a wish of the framework is open.
  void Stated(const std::string& framework, uint64_t runs_max, absl::Time now);
  // Everything that was wished for is there.
  void Fulfilled(const std::string& framework, absl::Time now);
  // The framework is away; it has to state its wish again.
  void Withdrawn(const std::string& framework) { open_.erase(framework); }
  // The allocator has looked at all agents.
  void RanOverAll(absl::Time now);

  // Something broke, or somebody is away; until it is mended nothing counts.
  void Broke(const std::string& what);
  // It is mended: runs count again from `calm` on, unless something else is still broken.
  void Mended(const std::string& what, absl::Time calm);

  // The wish that came nearest to its bound.
  struct Worst {
    uint64_t runs = 0;
    uint64_t runs_max = 0;
    absl::Duration time = absl::ZeroDuration();
  };
  // Over all wishes that were fulfilled.
  const Worst& worst() const { return worst_; }
  uint64_t fulfilled() const { return fulfilled_; }

 private:
  struct Wish {
    uint64_t runs_max = 0;
    absl::Time since;  // it was stated, or the last thing was mended
    uint64_t runs = 0;
  };
  Verdict* verdict_;
  std::map<std::string, Wish> open_;
  std::set<std::string> broken_;
  absl::Time calm_from_ = absl::InfinitePast();
  Worst worst_;
  uint64_t fulfilled_ = 0;
};

}  // namespace tessera::sim
