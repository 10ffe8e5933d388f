#include "tests/sim/simulation.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/state/core/recompute.h"
#include "tests/sim/agent_process.h"
#include "tests/sim/allocator_process.h"
#include "tests/sim/books_view.h"
#include "tests/sim/framework_process.h"
#include "tests/sim/master_process.h"
#include "tests/sim/registry_process.h"
#include "tests/sim/state_process.h"
#include "tests/sim/world.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kFaultPhase = absl::Minutes(10);
// From the healing on; the slowest thing is an agent that is believed dead for its whole time-out.
constexpr absl::Duration kRestBound = absl::Hours(6);
// What is on its way at rest still arrives.
constexpr absl::Duration kSettling = absl::Minutes(2);
// Readers have what the leader has, from then on, at some moment within this time.
constexpr absl::Duration kReadersBound = absl::Minutes(1);
// A run that needs more is stuck in a loop.
constexpr uint64_t kEventsMax = 20'000'000;

// Mean times between faults of each kind; infinite: never in this run.
struct FaultRates {
  absl::Duration registry_crash = absl::InfiniteDuration();
  absl::Duration allocator_crash = absl::InfiniteDuration();
  absl::Duration master_crash = absl::InfiniteDuration();
  absl::Duration agent_crash = absl::InfiniteDuration();
  absl::Duration framework_crash = absl::InfiniteDuration();
  absl::Duration state_crash = absl::InfiniteDuration();
  absl::Duration wire_break = absl::InfiniteDuration();
  absl::Duration partition = absl::InfiniteDuration();
  // Of the processes that are ended, this part stops in an orderly way in place of crashing.
  double orderly = 0;
  // Of the partitions, this part cuts a state-svc off from a master: it lags while others go on.
  double readers_apart = 0;
  // Of the broken wires and the partitions, this part is silent: nobody is told.
  double silent = 0;
};

FaultRates DrawRates(base::Rng* rng) {
  FaultRates rates;
  for (absl::Duration* rate :
       {&rates.registry_crash, &rates.allocator_crash, &rates.master_crash, &rates.agent_crash,
        &rates.framework_crash, &rates.state_crash, &rates.wire_break, &rates.partition}) {
    if (rng->Chance(0.5)) *rate = absl::Seconds(20 + rng->Exponential(100));
  }
  if (rng->Chance(0.5)) rates.orderly = rng->Unit();
  if (rng->Chance(0.5)) rates.readers_apart = rng->Unit();
  if (rng->Chance(0.5)) rates.silent = rng->Unit();
  return rates;
}

NetworkOptions DrawNetwork(base::Rng* rng) {
  NetworkOptions options;
  options.delay_mean = absl::Microseconds(200 + rng->Exponential(5000));
  return options;
}

FeedOutletOptions DrawFeed(base::Rng* rng) {
  FeedOutletOptions options;
  options.history_changes_max = 1 + rng->Below(1000);
  options.chunk_changes = 1 + rng->Below(64);
  if (rng->Chance(0.5)) options.stall_chance = 0.02;
  return options;
}

class Simulation {
 public:
  Simulation(uint64_t seed, bool verbose)
      : seed_(seed),
        verbose_(verbose),
        draws_(seed ^ 0x7465737365726121u),
        world_(seed, DrawNetwork(&draws_)) {
    Build();
  }

  RunResult Run() {
    for (Process* process : all_) process->Start();
    ScheduleFaults();
    const absl::Time start = world_.loop.now();
    const absl::Time healing = start + kFaultPhase;
    const auto broken = [this] {
      return world_.verdict.failed() || world_.loop.events() > kEventsMax;
    };
    world_.loop.RunUntil(healing, broken);
    if (!broken()) Heal();
    const auto at_rest = [&] { return broken() || AtRest(); };
    if (!world_.loop.RunUntil(healing + kRestBound, at_rest) && !broken()) Stuck();
    if (world_.loop.events() > kEventsMax) {
      world_.verdict.Fail("runs end", "too many events: something goes round in circles");
    }
    if (!world_.verdict.failed()) {
      world_.loop.RunUntil(world_.loop.now() + kSettling, broken);
      JudgeRest();
    }
    if (!world_.verdict.failed()) {
      world_.loop.RunUntil(world_.loop.now() + kReadersBound,
                           [&] { return broken() || ReadersAreUpToDate(); });
      for (const StateProcess* reader : readers_) JudgeView(*reader);
    }
    RunResult result;
    result.seed = seed_;
    result.failure = world_.verdict.failure();
    result.digest = world_.loop.digest();
    result.events = world_.loop.events();
    result.tasks = world_.tasks.ended();
    result.crashes = crashes_;
    result.stops = stops_;
    result.leaders = world_.leaders.epoch();
    result.views = world_.feed_truth.compared();
    result.virtual_seconds = absl::ToDoubleSeconds(world_.loop.now() - start);
    result.shape = shape_;
    return result;
  }

 private:
  void Build() {
    registry::RegistryConfig registry_config;
    registry_ = Add(std::make_unique<RegistryProcess>(&world_, registry_config));
    allocator::StreamCoreConfig allocator_config;
    if (draws_.Chance(0.5)) {
      allocator_config.allocator.role_sorter = allocator::SorterKind::kRandom;
      allocator_config.allocator.framework_sorter = allocator::SorterKind::kRandom;
    }
    allocator_ = Add(std::make_unique<AllocatorProcess>(&world_, allocator_config));

    std::vector<std::string> addresses = {"master-1:5050"};
    if (draws_.Chance(0.7)) addresses.push_back("master-2:5050");
    for (const std::string& address : addresses) {
      master::MasterConfig config;
      config.candidate_id = address;
      config.address = address;
      config.http_address = address;
      config.hostname = address;
      config.cluster_name = "simulated";
      config.version = "0.1.0";
      if (draws_.Chance(0.3)) config.offer_timeout = absl::Seconds(5 + draws_.Below(60));
      masters_.push_back(
          Add(std::make_unique<MasterProcess>(&world_, address, config, DrawFeed(&draws_))));
    }
    BuildReaders(addresses);
    const int agents = static_cast<int>(1 + draws_.Below(6));
    for (int i = 1; i <= agents; ++i) {
      AgentShape shape;
      shape.cpus_milli = static_cast<int64_t>(1 + draws_.Below(8)) * 1000;
      shape.mem_milli = static_cast<int64_t>(1 + draws_.Below(8)) * 1'024'000;
      const std::string name = absl::StrCat("agent-", i);
      world_.offers.SetTotal(name, shape.cpus_milli, shape.mem_milli);
      agents_.push_back(Add(std::make_unique<AgentProcess>(&world_, name, addresses, shape)));
    }
    const int frameworks = static_cast<int>(1 + draws_.Below(6));
    std::vector<std::string> kinds;
    for (int i = 1; i <= frameworks; ++i) {
      FrameworkShape shape;
      const uint64_t kind = draws_.Below(10);
      shape.behaviour = i == 1 || kind < 5 ? Behaviour::kBatch
                        : kind < 7         ? Behaviour::kKiller
                        : kind < 9         ? Behaviour::kDecliner
                                           : Behaviour::kHoarder;
      shape.role = std::vector<std::string>{"*", "a", "a/b", "c"}[draws_.Below(4)];
      shape.tasks = static_cast<int>(1 + draws_.Below(30));
      shape.cpus_milli = static_cast<int64_t>(1 + draws_.Below(10)) * 100;
      shape.mem_milli = static_cast<int64_t>(1 + draws_.Below(8)) * 64'000;
      shape.task_time = absl::Seconds(draws_.Exponential(20));
      kinds.push_back(NameOf(shape.behaviour));
      frameworks_.push_back(Add(std::make_unique<FrameworkProcess>(
          &world_, absl::StrCat("framework-", i), addresses, shape)));
    }
    rates_ = DrawRates(&draws_);
    shape_ = absl::StrCat(addresses.size(), " masters, ", readers_.size(), " state-svcs, ", agents,
                          " agents, frameworks ", absl::StrJoin(kinds, "+"));
  }

  // One state-svc follows the masters; a second one follows the first, some also the masters. In
  // some runs the first lists the second, too.
  void BuildReaders(const std::vector<std::string>& masters) {
    const bool two = draws_.Chance(0.7);
    std::vector<std::string> feeds = masters;
    if (two && draws_.Chance(0.4)) {
      feeds.push_back("state-2:5060");
      draws_.Shuffle(feeds);
    }
    readers_.push_back(
        Add(std::make_unique<StateProcess>(&world_, "state-1:5060", feeds, DrawFeed(&draws_))));
    if (!two) return;
    feeds = {"state-1:5060"};
    if (draws_.Chance(0.6)) {
      feeds.insert(feeds.end(), masters.begin(), masters.end());
      draws_.Shuffle(feeds);
    }
    readers_.push_back(
        Add(std::make_unique<StateProcess>(&world_, "state-2:5060", feeds, DrawFeed(&draws_))));
  }

  template <typename P>
  P* Add(std::unique_ptr<P> process) {
    P* raw = process.get();
    all_.push_back(raw);
    owned_.push_back(std::move(process));
    return raw;
  }

  void Say(const std::string& what) {
    if (!verbose_) return;
    std::cerr << absl::FormatTime("%H:%M:%E3S ", world_.loop.now(), absl::UTCTimeZone()) << what
              << "\n";
  }

  // Draws the next fault of a kind, again and again while the fault phase lasts.
  void Repeat(absl::Duration mean, std::function<void()> fault) {
    if (mean == absl::InfiniteDuration()) return;
    const absl::Duration wait = absl::Seconds(draws_.Exponential(absl::ToDoubleSeconds(mean)));
    world_.loop.After(wait, [this, mean, fault = std::move(fault)] {
      if (healed_) return;
      fault();
      Repeat(mean, fault);
    });
  }

  void EndAndRestart(Process* process) {
    if (!process->up()) return;
    if (!process->stopping() && draws_.Chance(rates_.orderly)) {
      Say("stop of " + process->name());
      ++stops_;
      process->Stop([this, process] { RestartLater(process); });
      return;
    }
    Say("crash of " + process->name());
    ++crashes_;
    process->Crash();
    RestartLater(process);
  }

  void RestartLater(Process* process) {
    const absl::Duration wait =
        healed_ ? absl::Seconds(1)
                : absl::Seconds(draws_.Exponential(draws_.Chance(0.2) ? 120 : 3));
    world_.loop.After(wait, [this, process] {
      if (process->up()) return;
      Say("start of " + process->name());
      process->Start();
    });
  }

  template <typename P>
  P* Any(const std::vector<P*>& processes) {
    return processes[draws_.Below(processes.size())];
  }

  void ScheduleFaults() {
    Repeat(rates_.registry_crash, [this] { EndAndRestart(registry_); });
    Repeat(rates_.allocator_crash, [this] { EndAndRestart(allocator_); });
    Repeat(rates_.master_crash, [this] { EndAndRestart(Any(masters_)); });
    Repeat(rates_.agent_crash, [this] { EndAndRestart(Any(agents_)); });
    Repeat(rates_.framework_crash, [this] { EndAndRestart(Any(frameworks_)); });
    Repeat(rates_.state_crash, [this] { EndAndRestart(Any(readers_)); });
    Repeat(rates_.wire_break, [this] { world_.network.BreakOne(draws_.Chance(rates_.silent)); });
    Repeat(rates_.partition, [this] {
      const bool readers = draws_.Chance(rates_.readers_apart);
      Process* a = readers ? Any(readers_) : Any(all_);
      Process* b = readers ? Any(masters_) : Any(all_);
      if (a == b) return;
      const bool silently = draws_.Chance(rates_.silent);
      Say(absl::StrCat(silently ? "silent " : "", "partition of ", a->name(), " and ", b->name()));
      world_.network.Partition(a, b, silently);
      world_.loop.After(absl::Seconds(draws_.Exponential(60)), [this] { world_.network.Heal(); });
    });
  }

  void Heal() {
    Say("healed");
    healed_ = true;
    world_.network.Heal();
    for (Process* process : all_) process->Start();
  }

  bool AtRest() const {
    for (const FrameworkProcess* framework : frameworks_) {
      if (!framework->done()) return false;
    }
    return world_.machines.running() == 0 && world_.tasks.open() == 0;
  }

  void Stuck() {
    std::string left;
    for (const FrameworkProcess* framework : frameworks_) {
      if (!framework->done()) absl::StrAppend(&left, " ", framework->name());
      Say(framework->Describe());
    }
    world_.tasks.CheckAllEnded();
    world_.verdict.Fail(
        "the cluster comes to rest",
        absl::StrCat("after ", absl::FormatDuration(kRestBound), " without faults, not done:", left,
                     "; ", world_.machines.running(), " containers run"));
  }

  void JudgeRest() {
    world_.tasks.CheckAllEnded();
    for (const MasterProcess* master : masters_) {
      const absl::Status status = master->core()->CheckInvariants();
      if (!status.ok()) {
        world_.verdict.Fail("the master's books add up", std::string(status.message()));
      }
    }
    if (const auto* allocator = allocator_->core()->allocator()) {
      const absl::Status status = allocator->CheckInvariants();
      if (!status.ok()) {
        world_.verdict.Fail("the allocator's books add up", std::string(status.message()));
      }
    }
    if (world_.leaders.leader().empty()) {
      world_.verdict.Fail("somebody leads", "nobody does at rest");
    }
  }

  const MasterProcess* Leader() const {
    const auto it = world_.masters.find(world_.leaders.leader());
    return it == world_.masters.end() ? nullptr : it->second;
  }

  bool ReadersAreUpToDate() const {
    const MasterProcess* leader = Leader();
    return leader != nullptr && std::all_of(readers_.begin(), readers_.end(), [&](const auto* r) {
             return r->core()->following(world_.loop.now()) &&
                    r->state().epoch == leader->published().epoch &&
                    r->state().version == leader->published().version;
           });
  }

  // What readers see is what the leader has, and agrees with what happened: every agent is there,
  // no task is active.
  void JudgeView(const StateProcess& reader) {
    if (!ReadersAreUpToDate()) {
      Say(reader.Describe());
      world_.verdict.Fail("readers catch up", reader.Describe());
      return;
    }
    const state::Snapshot& view = reader.state();
    if (const master::Books* books = Leader()->core()->books()) {
      const std::string wrong = DifferenceFromBooks(*books, view);
      if (!wrong.empty()) {
        world_.verdict.Fail("readers see the leader's state", reader.name() + ": " + wrong);
      }
    }
    std::string wrong = FirstDifference(Leader()->published(), view);
    if (wrong.empty()) wrong = state::FindDisagreement(view);
    if (!wrong.empty()) {
      world_.verdict.Fail("readers see the leader's state", reader.name() + ": " + wrong);
    }
    if (view.epoch != world_.leaders.epoch()) {
      world_.verdict.Fail("readers see the leader's state", "the view is of an older epoch");
    }
    const uint32_t connected = view.agent_counts[model::v1::AGENT_STATE_CONNECTED];
    if (connected != agents_.size()) {
      world_.verdict.Fail("readers see every agent",
                          absl::StrCat(connected, " of ", agents_.size(), " are connected"));
    }
    for (const auto state : {model::v1::TASK_STAGING, model::v1::TASK_STARTING,
                             model::v1::TASK_RUNNING, model::v1::TASK_KILLING}) {
      if (view.task_counts[state] > 0) {
        world_.verdict.Fail("readers see tasks as they are",
                            absl::StrCat(view.task_counts[state], " tasks are shown as ",
                                         model::v1::TaskState_Name(state)));
      }
    }
  }

  const uint64_t seed_;
  const bool verbose_;
  // What the run consists of and which faults it has; apart from the draws of the processes.
  base::Rng draws_;
  World world_;
  std::vector<std::unique_ptr<Process>> owned_;
  std::vector<Process*> all_;
  RegistryProcess* registry_ = nullptr;
  AllocatorProcess* allocator_ = nullptr;
  std::vector<MasterProcess*> masters_;
  std::vector<AgentProcess*> agents_;
  std::vector<FrameworkProcess*> frameworks_;
  std::vector<StateProcess*> readers_;
  FaultRates rates_;
  bool healed_ = false;
  uint64_t crashes_ = 0;
  uint64_t stops_ = 0;
  std::string shape_;
};

}  // namespace

RunResult RunSeed(uint64_t seed, bool verbose) { return Simulation(seed, verbose).Run(); }

}  // namespace tessera::sim
