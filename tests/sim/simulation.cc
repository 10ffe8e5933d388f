#include "tests/sim/simulation.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/feed/core/recompute.h"
#include "tests/sim/agent_process.h"
#include "tests/sim/allocator_process.h"
#include "tests/sim/books_view.h"
#include "tests/sim/cluster_plan.h"
#include "tests/sim/framework_process.h"
#include "tests/sim/master_process.h"
#include "tests/sim/operator_process.h"
#include "tests/sim/registry_process.h"
#include "tests/sim/state_process.h"
#include "tests/sim/watcher_process.h"
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
// Beyond half of a fail-over time the clocks of two leaders may end it between them.
constexpr absl::Duration kClockErrorMax = absl::Minutes(25);
constexpr char kPartition[] = "the network";

class Simulation {
 public:
  Simulation(uint64_t seed, RunKind kind, bool verbose)
      : seed_(seed),
        draws_(seed ^ 0x7465737365726121u),
        world_(seed, DrawNetwork(&draws_)),
        plan_(DrawPlan(kind, &draws_)) {
    world_.verbose = verbose;
    if (verbose) world_.feed_truth.KeepRows();
    Build();
  }

  RunResult Run() {
    for (Process* process : all_) {
      if (process != twin_) Begin(process);
    }
    ScheduleFaults();
    const absl::Time start = world_.loop.now();
    const absl::Time healing = start + plan_.fault_phase;
    const auto broken = [this] {
      return world_.verdict.failed() || world_.loop.events() > kEventsMax;
    };
    world_.loop.RunUntil(healing, broken);
    if (!broken()) Heal();
    const auto rest = [&](auto at_rest) {
      const auto done = [&] { return broken() || at_rest(); };
      if (!world_.loop.RunUntil(world_.loop.now() + kRestBound, done) && !broken()) Stuck();
    };
    // First all but those tasks end that are there to be seen; then those, too.
    rest([this] { return Quiet(); });
    if (!broken()) world_.loop.RunUntil(world_.loop.now() + kSettling, broken);
    if (!broken()) JudgeAgreement();
    for (FrameworkProcess* framework : frameworks_) framework->Release();
    rest([this] { return AtRest(); });
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
      if (!broken()) JudgeViews();
    }
    RunResult result;
    result.seed = seed_;
    result.failure = world_.verdict.failure();
    result.digest = world_.loop.digest();
    result.events = world_.loop.events();
    result.tasks = world_.tasks.ended();
    result.faults = world_.faults;
    result.faults.Add(Bite::kCommitWithoutAnswerSurvived, world_.durability.survived());
    result.faults.Add(Bite::kCommitWithoutAnswerLost, world_.durability.lost());
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
    registry_ = Add(std::make_unique<RegistryProcess>(&world_, registry::RegistryConfig(),
                                                      plan_.registry_disk));
    allocator_ = Add(std::make_unique<AllocatorProcess>(&world_, plan_.allocator));
    for (const MasterPlan& plan : plan_.masters) {
      masters_.push_back(Add(
          std::make_unique<MasterProcess>(&world_, plan.config.address, plan.config, plan.feed)));
    }
    for (const ReaderPlan& plan : plan_.readers) {
      readers_.push_back(
          Add(std::make_unique<StateProcess>(&world_, plan.address, plan.feeds, plan.feed)));
    }
    for (StateProcess* reader : readers_) {
      watchers_.push_back(Add(std::make_unique<WatcherProcess>(&world_, reader)));
    }
    for (const AgentShape& shape : plan_.agents) {
      const std::string name = absl::StrCat("agent-", agents_.size() + 1);
      world_.offers.SetTotal(name, shape.cpus_milli, shape.mem_milli);
      agents_.push_back(Add(std::make_unique<AgentProcess>(&world_, name, masters, shape)));
    }
    // A machine that is a copy of the first one, and thinks that it has its address.
    AgentShape copy = plan_.agents.front();
    copy.address = agents_.front()->address();
    world_.offers.SetTotal("twin", copy.cpus_milli, copy.mem_milli);
    twin_ = Add(std::make_unique<AgentProcess>(&world_, "twin", masters, copy));
    world_.strikes.hit = [this](Process* process, const Strike& strike) { Hit(process, strike); };
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
    world_.Say([&] { return what; });
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

  // Each life has its own idea of the time.
  void Begin(Process* process) {
    if (plan_.rates.clock_error > absl::ZeroDuration() && !healed_) {
      const double error =
          std::min(draws_.Exponential(absl::ToDoubleSeconds(plan_.rates.clock_error)),
                   absl::ToDoubleSeconds(kClockErrorMax));
      process->SetClockError(absl::Seconds(draws_.Chance(0.5) ? error : -error));
      if (process->life() > 0) world_.faults.Add(Bite::kClockJumped);
    }
    process->Start();
  }

  void EndAndRestart(Process* process) {
    if (!process->up()) return;
    world_.wishes.Broke(process->name());
    if (!process->stopping() && draws_.Chance(plan_.rates.orderly)) {
      Say("stop of " + process->name());
      world_.faults.Add(Bite::kOrderlyStop);
      process->Stop([this, process] { RestartLater(process); });
      return;
    }
    CrashAndRestart(process);
  }

  void CrashAndRestart(Process* process) {
    if (!process->up()) return;
    world_.wishes.Broke(process->name());
    Say("crash of " + process->name());
    world_.faults.Add(Bite::kCrash);
    process->Crash();
    HurtMachineOf(process);
    RestartLater(process);
  }

  // With its agent, a machine may have gone down, or have been set up anew.
  void HurtMachineOf(Process* process) {
    const auto agent = std::find(agents_.begin(), agents_.end(), process);
    if (agent == agents_.end() || healed_) return;
    if (draws_.Chance(plan_.rates.reinstalls)) {
      Say("new installation of " + process->name());
      (*agent)->Reinstall();
    } else if (draws_.Chance(plan_.rates.reboots)) {
      Say("boot of " + process->name());
      (*agent)->Reboot();
    }
  }

  void Hit(Process* process, const Strike& strike) {
    Say(absl::StrCat(process->name(), ": ", NameOf(strike.moment)));
    if (strike.what == Strike::What::kBreakWires) {
      world_.wishes.Broke(process->name());
      world_.network.BreakAllOf(process);
      Mended(process->name());
    } else if (process == twin_) {
      process->Crash();
    } else {
      CrashAndRestart(process);
    }
  }

  void ArmStrike() {
    constexpr size_t kMoments = static_cast<size_t>(Bite::kFrameworkAcknowledges) + 1;
    Strike strike;
    strike.moment = static_cast<Bite>(draws_.Below(kMoments));
    strike.skip = draws_.Below(4);
    strike.when = static_cast<Strike::When>(draws_.Below(3));
    strike.delay = absl::Milliseconds(draws_.Exponential(draws_.Chance(0.5) ? 5 : 300));
    // Whoever lives on goes on with what it was about to do.
    if (strike.when == Strike::When::kSoonAfter && draws_.Chance(0.4)) {
      strike.what = Strike::What::kBreakWires;
    }
    world_.strikes.Arm(strike);
  }

  void StartTwin() {
    if (twin_->up()) return;
    Say("start of a second agent with the address of " + agents_.front()->name());
    if (agents_.front()->up()) world_.faults.Add(Bite::kTwoAgentsOneAddress);
    Begin(twin_);
    const absl::Duration stays = absl::Seconds(draws_.Exponential(90));
    twin_->Later(stays, [this] {
      Say("end of the second agent");
      twin_->Crash();
      twin_->Reboot();
    });
  }

  void FillLogDisk(AgentProcess* agent) {
    Say("no space for the log of " + agent->name());
    agent->SetLogSpace(true);
    world_.loop.After(absl::Seconds(draws_.Exponential(40)),
                      [agent] { agent->SetLogSpace(false); });
  }

  void Mended(const std::string& what) { world_.wishes.Mended(what, world_.loop.now() + kCalm); }

  void RestartLater(Process* process) {
    const absl::Duration wait =
        healed_ ? absl::Seconds(1)
                : absl::Seconds(draws_.Exponential(draws_.Chance(0.2) ? 120 : 3));
    world_.loop.After(wait, [this, process] {
      if (process->up()) return;
      Say("start of " + process->name());
      Begin(process);
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
    Repeat(plan_.rates.state_crash * 3, [this] { EndAndRestart(Any(watchers_)); });
    Repeat(plan_.rates.strike, [this] { ArmStrike(); });
    Repeat(plan_.rates.twin, [this] { StartTwin(); });
    Repeat(plan_.rates.log_space, [this] { FillLogDisk(Any(agents_)); });
    Repeat(plan_.rates.wire_break, [this] {
      world_.network.BreakOne(draws_.Chance(plan_.rates.silent));
      Mended("a wire");
    });
    Repeat(plan_.rates.partition, [this] {
      const bool readers = draws_.Chance(plan_.rates.readers_apart);
      Process* a = readers ? Any(readers_) : Any(all_);
      Process* b = readers ? Any(masters_) : Any(all_);
      if (a == b) return;
      Network::Parting parting = Network::Parting::kRefusing;
      if (draws_.Chance(plan_.rates.silent)) {
        parting = draws_.Chance(plan_.rates.one_way) ? Network::Parting::kOneWay
                                                     : Network::Parting::kSilent;
      }
      Say(absl::StrCat(parting == Network::Parting::kRefusing ? ""
                       : parting == Network::Parting::kSilent ? "silent "
                                                              : "one-way ",
                       "partition of ", a->name(), " and ", b->name()));
      world_.network.Partition(a, b, parting);
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
    world_.healed = true;
    world_.strikes.Disarm();
    world_.network.Heal();
    Mended(kPartition);
    twin_->Crash();
    twin_->Reboot();
    for (AgentProcess* agent : agents_) agent->SetLogSpace(false);
    for (Process* process : all_) {
      if (process == twin_) continue;
      Begin(process);
      Mended(process->name());
    }
    operators_->Settle();
    for (FrameworkProcess* framework : frameworks_) {
      framework->SetWishesLeft(plan_.wishes_after_healing);
    }
  }

  // All has ended but the tasks that are there to be seen, and those run.
  bool Quiet() const {
    size_t running = 0;
    for (const FrameworkProcess* framework : frameworks_) {
      if (!framework->quiet()) return false;
      running += framework->keepers_running();
    }
    return operators_->settled() && world_.machines.running() == running &&
           world_.tasks.open() == running;
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
      if (!framework->quiet()) absl::StrAppend(&left, " ", framework->name());
      Say(framework->Describe());
    }
    if (!operators_->settled()) absl::StrAppend(&left, " operators");
    world_.verdict.Fail(
        "the cluster comes to rest",
        absl::StrCat("after ", absl::FormatDuration(kRestBound), " without faults, not done:", left,
                     "; ", world_.machines.running(), " containers run, ", world_.tasks.open(),
                     " launches have no end"));
    world_.tasks.CheckAllEnded();
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
    if (leader == nullptr) return false;
    const Rows& published = leader->published();
    const auto same = [&published](uint64_t epoch, uint64_t version) {
      return epoch == published.epoch() && version == published.version();
    };
    for (const StateProcess* reader : readers_) {
      if (!reader->core()->following(reader->now())) return false;
      if (!same(reader->state().epoch, reader->state().version)) return false;
    }
    return std::all_of(watchers_.begin(), watchers_.end(), [&](const WatcherProcess* watcher) {
      return watcher->has_state() && same(watcher->rows().epoch(), watcher->rows().version());
    });
  }

  // What watchers see is what the leader has in its books, and agrees with what happened: every
  // agent is there, and no task is active.
  void JudgeViews() {
    const MasterProcess* leader = Leader();
    if (!ReadersAreUpToDate()) {
      std::string who;
      for (const StateProcess* reader : readers_) absl::StrAppend(&who, reader->Describe(), "; ");
      for (const WatcherProcess* watcher : watchers_) {
        absl::StrAppend(&who, watcher->name(), " has version ", watcher->rows().version(), "; ");
      }
      const uint64_t version = leader == nullptr ? 0 : leader->published().version();
      world_.verdict.Fail("readers catch up",
                          absl::StrCat(who, "the leader is at version ", version));
      return;
    }
    for (const WatcherProcess* watcher : watchers_) JudgeView(*leader, *watcher);
    for (const StateProcess* reader : readers_) {
      const std::string wrong = feed::FindDisagreement(reader->state());
      if (wrong.empty()) continue;
      world_.verdict.Fail("what readers add up is right", reader->name() + ": " + wrong);
    }
  }

  void JudgeView(const MasterProcess& leader, const WatcherProcess& watcher) {
    const Rows& rows = watcher.rows();
    std::string wrong = FirstDifference(leader.published(), rows);
    const master::Books* books = leader.core()->books();
    if (wrong.empty() && books != nullptr) wrong = DifferenceFromBooks(*books, rows);
    if (wrong.empty() && rows.epoch() != world_.leaders.epoch()) {
      wrong = "the view is of an older epoch";
    }
    if (!wrong.empty()) {
      world_.verdict.Fail("readers see the leader's state", watcher.name() + ": " + wrong);
    }
    size_t connected = 0;
    for (const auto& [id, agent] : rows.agents()) {
      connected += agent.state == model::v1::AGENT_STATE_CONNECTED;
    }
    if (connected != agents_.size()) {
      world_.verdict.Fail("readers see every agent",
                          absl::StrCat(connected, " of ", agents_.size(), " are connected"));
    }
    for (const auto& [key, task] : rows.tasks()) {
      if (!task.holds()) continue;
      world_.verdict.Fail("readers see tasks as they are",
                          absl::StrCat(task.task_id, " of ", key.first, " is shown as ",
                                       model::v1::TaskState_Name(task.state)));
    }
    for (const auto& [key, executor] : rows.executors()) {
      world_.verdict.Fail("executors end with their last task",
                          absl::StrCat(executor.executor_id, " of ", key.first, " is shown on ",
                                       executor.agent_id));
    }
  }

  // While nothing but the keepers runs: what the machine runs, its agent, the leader and readers
  // speak of the same amounts, to the milli-cpu. Thus nothing that has ended, groups and executors
  // among it, has left anything booked.
  void JudgeAgreement() {
    const MasterProcess* leader = Leader();
    const master::Books* books = leader == nullptr ? nullptr : leader->core()->books();
    if (books == nullptr) {
      world_.verdict.Fail("somebody leads", "nobody does at rest");
      return;
    }
    for (const AgentProcess* agent : agents_) {
      const auto view = agent->View();
      const Amounts runs = {world_.machines.cpus_used(agent->name()),
                            world_.machines.mem_used(agent->name()) * 1000 / (1 << 20)};
      const auto row = std::find_if(leader->published().agents().begin(),
                                    leader->published().agents().end(), [&](const auto& entry) {
                                      return entry.second.hostname == agent->name() &&
                                             entry.second.state == model::v1::AGENT_STATE_CONNECTED;
                                    });
      if (view == nullptr || row == leader->published().agents().end()) {
        world_.verdict.Fail("all agents are there at rest", agent->name() + " is not");
        return;
      }
      const master::Agent* booked = books->agents.FindById(row->first);
      const std::pair<const char*, Amounts> opinions[] = {
          {"its agent", AmountsOf(view->used)},
          {"the leader", UsedOn(*booked)},
          {"the feed", leader->published().UsedOn(row->first)},
      };
      for (const auto& [who, amounts] : opinions) {
        if (amounts == runs) continue;
        world_.verdict.Fail("all agree on what is in use",
                            absl::StrCat(agent->name(), " runs ", ToString(runs), ", ", who,
                                         " says ", ToString(amounts)));
      }
    }
  }

  const uint64_t seed_;
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
  std::vector<WatcherProcess*> watchers_;
  OperatorProcess* operators_ = nullptr;
  AgentProcess* twin_ = nullptr;
  bool healed_ = false;
};

}  // namespace

std::string ReplayCommand(uint64_t seed, RunKind kind) {
  return absl::StrCat("make sim SEEDS=1 FIRST=", seed, kind == KindOf(seed) ? "" : " CROWD=1");
}

RunResult RunSeed(uint64_t seed, RunKind kind, bool verbose) {
  return Simulation(seed, kind, verbose).Run();
}

}  // namespace tessera::sim
