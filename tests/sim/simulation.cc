#include "tests/sim/simulation.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/state/core/recompute.h"
#include "tests/sim/agent_process.h"
#include "tests/sim/allocator_process.h"
#include "tests/sim/books_view.h"
#include "tests/sim/cluster_plan.h"
#include "tests/sim/framework_process.h"
#include "tests/sim/master_process.h"
#include "tests/sim/operator_process.h"
#include "tests/sim/registry_process.h"
#include "tests/sim/state_process.h"
#include "tests/sim/world.h"

namespace tessera::sim {

namespace {

// From the moment on when everything is up again, all sessions are there again after this time: a
// keepalive may take 90 s to find out, and a framework 15 s to try again.
constexpr absl::Duration kCalm = absl::Minutes(2);
// From the healing on; the slowest thing is an agent that is believed dead for its whole time-out.
constexpr absl::Duration kRestBound = absl::Hours(6);
// What is on its way at rest still arrives.
constexpr absl::Duration kSettling = absl::Minutes(2);
// Readers have what the leader has, from then on, at some moment within this time.
constexpr absl::Duration kReadersBound = absl::Minutes(1);
// A run that needs more is stuck in a loop.
constexpr uint64_t kEventsMax = 20'000'000;
constexpr char kPartition[] = "the network";

class Simulation {
 public:
  Simulation(uint64_t seed, RunKind kind, bool verbose)
      : seed_(seed),
        verbose_(verbose),
        draws_(seed ^ 0x7465737365726121u),
        world_(seed, DrawNetwork(&draws_)),
        plan_(DrawPlan(kind, &draws_)) {
    Build();
  }

  RunResult Run() {
    for (Process* process : all_) process->Start();
    ScheduleFaults();
    const absl::Time start = world_.loop.now();
    const absl::Time healing = start + plan_.fault_phase;
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
      // In a crowd some refuse offers all the time: the feed comes to rest without them.
      if (plan_.kind == RunKind::kCrowd) {
        for (FrameworkProcess* framework : frameworks_) framework->Crash();
        world_.loop.RunUntil(world_.loop.now() + kSettling, broken);
      }
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
    result.quota_changes = operators_->changes();
    result.quota_judgements = world_.quotas.judged() + world_.limits.judged();
    result.wishes = world_.wishes.fulfilled();
    result.worst_wish_runs_max = world_.wishes.worst().runs_max;
    result.worst_wish_runs = world_.wishes.worst().runs;
    result.worst_wish_seconds = absl::ToDoubleSeconds(world_.wishes.worst().time);
    result.shape = plan_.summary;
    return result;
  }

 private:
  void Build() {
    const std::vector<std::string> masters = plan_.MasterAddresses();
    registry_ = Add(std::make_unique<RegistryProcess>(&world_, registry::RegistryConfig()));
    allocator_ = Add(std::make_unique<AllocatorProcess>(&world_, plan_.allocator));
    for (const MasterPlan& plan : plan_.masters) {
      masters_.push_back(Add(
          std::make_unique<MasterProcess>(&world_, plan.config.address, plan.config, plan.feed)));
    }
    for (const ReaderPlan& plan : plan_.readers) {
      readers_.push_back(
          Add(std::make_unique<StateProcess>(&world_, plan.address, plan.feeds, plan.feed)));
    }
    for (const AgentShape& shape : plan_.agents) {
      const std::string name = absl::StrCat("agent-", agents_.size() + 1);
      world_.offers.SetTotal(name, shape.cpus_milli, shape.mem_milli);
      agents_.push_back(Add(std::make_unique<AgentProcess>(&world_, name, masters, shape)));
    }
    for (const FrameworkShape& shape : plan_.frameworks) {
      const std::string name = absl::StrCat("framework-", frameworks_.size() + 1);
      frameworks_.push_back(Add(std::make_unique<FrameworkProcess>(&world_, name, masters, shape)));
    }
    operators_ = Add(std::make_unique<OperatorProcess>(&world_, masters, plan_.operators));
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
    world_.wishes.Broke(process->name());
    if (!process->stopping() && draws_.Chance(plan_.rates.orderly)) {
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

  void Mended(const std::string& what) { world_.wishes.Mended(what, world_.loop.now() + kCalm); }

  void RestartLater(Process* process) {
    const absl::Duration wait =
        healed_ ? absl::Seconds(1)
                : absl::Seconds(draws_.Exponential(draws_.Chance(0.2) ? 120 : 3));
    world_.loop.After(wait, [this, process] {
      if (process->up()) return;
      Say("start of " + process->name());
      process->Start();
      Mended(process->name());
    });
  }

  template <typename P>
  P* Any(const std::vector<P*>& processes) {
    return processes[draws_.Below(processes.size())];
  }

  void ScheduleFaults() {
    Repeat(plan_.rates.registry_crash, [this] { EndAndRestart(registry_); });
    Repeat(plan_.rates.allocator_crash, [this] { EndAndRestart(allocator_); });
    Repeat(plan_.rates.master_crash, [this] { EndAndRestart(Any(masters_)); });
    Repeat(plan_.rates.agent_crash, [this] { EndAndRestart(Any(agents_)); });
    Repeat(plan_.rates.framework_crash, [this] { EndAndRestart(Any(frameworks_)); });
    Repeat(plan_.rates.state_crash, [this] { EndAndRestart(Any(readers_)); });
    Repeat(plan_.rates.wire_break, [this] {
      world_.network.BreakOne(draws_.Chance(plan_.rates.silent));
      Mended("a wire");
    });
    Repeat(plan_.rates.partition, [this] {
      const bool readers = draws_.Chance(plan_.rates.readers_apart);
      Process* a = readers ? Any(readers_) : Any(all_);
      Process* b = readers ? Any(masters_) : Any(all_);
      if (a == b) return;
      const bool silently = draws_.Chance(plan_.rates.silent);
      Say(absl::StrCat(silently ? "silent " : "", "partition of ", a->name(), " and ", b->name()));
      world_.network.Partition(a, b, silently);
      world_.wishes.Broke(kPartition);
      world_.loop.After(absl::Seconds(draws_.Exponential(60)), [this] {
        world_.network.Heal();
        Mended(kPartition);
      });
    });
  }

  void Heal() {
    Say("healed");
    healed_ = true;
    world_.network.Heal();
    Mended(kPartition);
    for (Process* process : all_) {
      process->Start();
      Mended(process->name());
    }
    operators_->Settle();
    for (FrameworkProcess* framework : frameworks_) {
      framework->SetWishesLeft(plan_.wishes_after_healing);
    }
  }

  bool AtRest() const {
    for (const FrameworkProcess* framework : frameworks_) {
      if (!framework->done()) return false;
    }
    return operators_->settled() && world_.machines.running() == 0 && world_.tasks.open() == 0;
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
      const MasterProcess* leader = Leader();
      world_.verdict.Fail(
          "readers catch up",
          absl::StrCat(reader.Describe(), "; the leader is at version ",
                       leader == nullptr ? 0 : leader->published().version, " of epoch ",
                       leader == nullptr ? 0 : leader->published().epoch));
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
  const ClusterPlan plan_;
  std::vector<std::unique_ptr<Process>> owned_;
  std::vector<Process*> all_;
  RegistryProcess* registry_ = nullptr;
  AllocatorProcess* allocator_ = nullptr;
  std::vector<MasterProcess*> masters_;
  std::vector<AgentProcess*> agents_;
  std::vector<FrameworkProcess*> frameworks_;
  std::vector<StateProcess*> readers_;
  OperatorProcess* operators_ = nullptr;
  bool healed_ = false;
  uint64_t crashes_ = 0;
  uint64_t stops_ = 0;
};

}  // namespace

RunKind KindOf(uint64_t seed) { return seed % 50 == 0 ? RunKind::kCrowd : RunKind::kOrdinary; }

std::string ReplayCommand(uint64_t seed, RunKind kind) {
  return absl::StrCat("make sim SEEDS=1 FIRST=", seed, kind == KindOf(seed) ? "" : " CROWD=1");
}

RunResult RunSeed(uint64_t seed, RunKind kind, bool verbose) {
  return Simulation(seed, kind, verbose).Run();
}

}  // namespace tessera::sim
