// Random lives of one agent: launches, groups, kills, losses of links, crashes that lose what is
// not synced, reboots, compaction; with few names, which are used again at once. A small master
// that is sure of everything checks what the agent promises:
//
//   - resources in use never exceed the total;
//   - each launch has exactly one terminal state, statuses come in a legal order, and nothing new
//     comes after a terminal one;
//   - what is said of one launch is never taken for another one of the same name;
//   - every launch that the agent keeps is in its inventory, and one that is in none never runs;
//   - executors end once, by incarnation, and those that were refused are told as such;
//   - once all is healed, every task that the agent was given has ended for the framework, no
//     container runs, and the agent knows nothing any more;
//   - no container is launched twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/agent/core/task_outcome.h"
#include "services/agent/core/testing/agent_harness.h"
#include "services/base/bug.h"

namespace tessera::agent {
namespace {

using testing::AgentHarness;
using testing::AgentMessage;
using testing::MasterMessage;

int Rank(model::v1::TaskState state) {
  if (IsTerminal(state)) return 4;
  switch (state) {
    case model::v1::TASK_STARTING:
      return 1;
    case model::v1::TASK_RUNNING:
      return 2;
    case model::v1::TASK_KILLING:
      return 3;
    default:
      return 0;
  }
}

AgentConfig Config(base::Rng& rng) {
  AgentConfig config = testing::TestConfig();
  config.info.mutable_resources(0)->mutable_scalar()->set_milli(8'000);
  config.compact_records_min = rng.Chance(0.5) ? 20 : 8'192;
  config.inventory_entries_max = 1 + rng.Below(5);
  return config;
}

class RandomLife {
 public:
  explicit RandomLife(uint64_t seed) : rng_(seed), agent_(Config(rng_)) {}

  void Run() {
    agent_.auto_sync = false;
    for (int step = 0; step < 300 && !failed(); ++step) {
      Act();
      Hear();
      CheckResources();
    }
    Heal();
  }

 private:
  struct Given {
    std::string framework;
    std::string task;
    model::Incarnation executor;
    bool ended = false;      // its terminal status was acknowledged
    bool forgotten = false;  // nobody waits for it any more
    // No inventory listed it, so that the master counts it as never started.
    bool written_off = false;
    std::optional<model::v1::TaskStatus> last;
  };
  struct GivenExecutor {
    bool ended = false;
    bool told = false;
  };

  static bool failed() { return ::testing::Test::HasFailure(); }

  void Act() {
    switch (rng_.Below(16)) {
      case 0:
      case 1:
      case 2:
        return GiveTask();
      case 3:
        return GiveGroup();
      case 4:
        return KillSomething();
      case 5:
      case 6:
        return SettleLaunch();
      case 7:
      case 8:
        return EndSomething(false);
      case 9:
      case 10:
        return agent_.Sync();
      case 11:
        return agent_.Advance(absl::Seconds(static_cast<int64_t>(rng_.Below(20))));
      case 12:
        return Ping();
      case 13:
        if (rng_.Chance(0.5)) return BreakLink();
        return;
      case 14:
        if (rng_.Chance(0.3)) return Crash();
        return;
      case 15:
        return ShutDownSomething();
    }
  }

  bool registered() { return agent_.core().View()->registered; }

  void Ping() {
    MasterMessage ping;
    ping.mutable_ping()->set_sequence(1);
    if (agent_.link != 0) agent_.FromMaster(ping);
  }

  // A name that no launch bears which the master counts as alive; few, so that they come again.
  std::string FreeName(const std::string& framework) {
    for (int i = 0;; ++i) {
      const std::string name = absl::StrCat("t", i);
      const bool taken = std::any_of(given_.begin(), given_.end(), [&](const auto& entry) {
        const Given& other = entry.second;
        return other.framework == framework && other.task == name && !other.ended &&
               !other.forgotten && !other.written_off;
      });
      if (!taken) return name;
    }
  }

  void GiveTask() {
    if (!registered()) return;
    const std::string framework = absl::StrCat("fw-", rng_.Below(3));
    model::v1::TaskInfo info =
        AgentHarness::Info(FreeName(framework), 1 + static_cast<int64_t>(rng_.Below(3)));
    if (rng_.Chance(0.3)) {
      agent_.Framework(framework).clear_capabilities();
      agent_.Framework(framework).add_capabilities(model::v1::FrameworkInfo::TASK_KILLING_STATE);
    }
    if (rng_.Chance(0.1)) info.mutable_max_completion_time()->set_seconds(15);
    const MasterMessage run = agent_.RunTask(info, framework);
    Note(framework, run.run_task().task(), {});
    agent_.FromMaster(run);
  }

  void GiveGroup() {
    if (!registered()) return;
    AgentHarness::GroupShape shape;
    shape.framework = absl::StrCat("fw-", rng_.Below(3));
    shape.executor = absl::StrCat("e", rng_.Below(2));
    shape.executor_cpus = static_cast<int64_t>(rng_.Below(2));
    // As a master that has heard of its end, or has not.
    const model::Incarnation lives = agent_.ExecutorIncarnation(shape.executor, shape.framework);
    auto known = executors_.find(lives);
    shape.begins = known == executors_.end() || known->second.ended || forgotten_.count(lives) > 0;
    std::vector<model::v1::TaskInfo> infos;
    std::set<std::string> names;
    for (uint64_t i = 0; i <= rng_.Below(3); ++i) {
      const std::string name = FreeName(shape.framework);
      if (!names.insert(name).second) break;
      infos.push_back(AgentHarness::Info(name));
    }
    const MasterMessage run = agent_.RunGroupOf(infos, shape);
    const auto& group = run.run_task_group();
    const model::Incarnation executor = model::wire::FromProto(group.executor().incarnation());
    if (shape.begins) executors_[executor] = {};
    for (const auto& task : group.tasks()) Note(shape.framework, task, executor);
    agent_.FromMaster(run);
  }

  void Note(const std::string& framework, const agentlink::v1::TaskLaunch& task,
            model::Incarnation executor) {
    Given given;
    given.framework = framework;
    given.task = task.task_id();
    given.executor = executor;
    given_[model::wire::FromProto(task.incarnation())] = given;
  }

  // Any launch, also one that has long ended and whose name another one bears now.
  void KillSomething() {
    if (!registered() || given_.empty()) return;
    auto it = given_.begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(given_.size())));
    if (it->second.ended || it->second.written_off) return;
    agent_.FromMaster(AgentHarness::Kill(
        it->first, it->second.task, static_cast<int64_t>(rng_.Below(10)), it->second.framework));
  }

  void ShutDownSomething() {
    if (!registered() || !rng_.Chance(0.15)) return;
    const std::string framework = absl::StrCat("fw-", rng_.Below(3));
    MasterMessage message;
    message.mutable_shutdown_framework()->set_framework_id(framework);
    agent_.FromMaster(message);
    // Nobody waits for its tasks any more.
    for (auto& [incarnation, given] : given_) {
      if (given.framework != framework) continue;
      given.forgotten = true;
      forgotten_.insert(given.executor);
    }
  }

  // Containers of which the runtime was asked and which have not started.
  void SettleLaunch() {
    for (const std::string& id : agent_.launched) {
      if (settled_.count(id) > 0) continue;
      settled_.insert(id);
      if (rng_.Chance(0.15)) {
        agent_.ContainerFails(id, LaunchStep::kExec, "no such program");
      } else {
        live_.insert(id);
        agent_.ContainerStarts(id);
      }
      return;
    }
  }

  void EndSomething(bool down) {
    if (live_.empty()) return;
    auto it = live_.begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(live_.size())));
    const std::string id = *it;
    live_.erase(it);
    agent_.ContainerEnds(id, rng_.Chance(0.5) ? 0 : 1 << 8, rng_.Chance(0.1), down);
  }

  void BreakLink() {
    if (agent_.link == 0) return;
    agent_.Step(LinkClosed{agent_.link, absl::UnavailableError("broken")});
  }

  // Some of what was written reached the disk; containers live on, and some end meanwhile.
  void Crash() {
    agent_.SyncSome(rng_.Below(agent_.unsynced() + 1));
    for (uint64_t i = 0; i < rng_.Below(3); ++i) EndSomething(true);
    // What the runtime was doing when the agent died, it did or did not.
    for (const std::string& id : agent_.launched) {
      if (!settled_.insert(id).second || rng_.Chance(0.5)) continue;
      live_.insert(id);
      agent_.ContainerStartsUnseen(id);
    }
    const bool reboot = rng_.Chance(0.2);
    if (reboot) live_.clear();
    agent_.Restart(reboot);
  }

  // The master: admits, acknowledges most, asks for what the inventory lacks.
  void Hear() {
    while (!agent_.sent.empty()) {
      const AgentMessage message = std::move(agent_.sent.front());
      agent_.sent.pop_front();
      if (message.has_register_()) {
        listed_.clear();
        listed_executors_.clear();
        known_id_ = message.register_().info().id();
        if (known_id_.empty()) Admit();
      } else if (message.has_inventory()) {
        HearInventory(message.inventory());
      } else if (message.has_status_update()) {
        HearStatus(message.status_update());
      } else if (message.has_executor_exited()) {
        HearExit(message.executor_exited());
      }
    }
  }

  void HearInventory(const AgentMessage::Inventory& inventory) {
    for (const auto& task : inventory.tasks()) {
      const model::Incarnation incarnation = model::wire::FromProto(task.incarnation());
      listed_.insert(incarnation);
      // A shut down that was not durable may be forgotten.
      EXPECT_FALSE(given_[incarnation].written_off && !given_[incarnation].forgotten)
          << incarnation << " comes back although no earlier inventory had it";
    }
    for (const auto& executor : inventory.executors()) {
      listed_executors_.insert(model::wire::FromProto(executor.incarnation()));
    }
    if (!inventory.last()) return;
    Admit();
    // What it does not list, it will never start: its name is free.
    for (auto& [incarnation, given] : given_) {
      if (listed_.count(incarnation) == 0 && !given.ended) given.written_off = true;
    }
    for (auto& [incarnation, executor] : executors_) {
      if (listed_executors_.count(incarnation) == 0) executor.ended = true;
    }
  }

  void Admit() {
    MasterMessage message;
    message.mutable_registered()->set_agent_id(known_id_.empty() ? "agent-1" : known_id_);
    agent_.FromMaster(message);
  }

  void HearStatus(const AgentMessage::StatusUpdate& update) {
    const model::v1::TaskStatus& status = update.status();
    const model::Incarnation incarnation = model::wire::FromProto(update.incarnation());
    ASSERT_TRUE(given_.count(incarnation) > 0) << incarnation;
    Given& given = given_[incarnation];
    EXPECT_EQ(status.task_id(), given.task);
    if (!given.forgotten) {
      EXPECT_FALSE(given.written_off) << incarnation << " lives although no inventory had it";
      if (given.last.has_value() && given.last->uuid() != status.uuid()) {
        EXPECT_LT(Rank(given.last->state()), Rank(status.state()))
            << incarnation << ": " << model::v1::TaskState_Name(status.state()) << " after "
            << model::v1::TaskState_Name(given.last->state());
      }
      given.last = status;
      EXPECT_FALSE(status.uuid().empty()) << incarnation;
    }
    if (status.uuid().empty() || rng_.Chance(0.1)) return;
    // The master lets go of the task before it hands the acknowledgement on.
    if (IsTerminal(status.state())) given.ended = true;
    agent_.Acknowledge(update);
  }

  void HearExit(const AgentMessage::ExecutorExited& exited) {
    const model::Incarnation incarnation = model::wire::FromProto(exited.incarnation());
    ASSERT_TRUE(executors_.count(incarnation) > 0) << incarnation;
    // An inventory may have said so before.
    EXPECT_FALSE(executors_[incarnation].told) << incarnation << " ended twice";
    executors_[incarnation].told = executors_[incarnation].ended = true;
  }

  void CheckResources() {
    int64_t cpus = 0;
    for (const std::string& id : live_) cpus += agent_.SpecOfContainer(id).resources.cpus_milli;
    EXPECT_LE(cpus, 8'000) << "containers use more than there is";
    EXPECT_EQ(base::BugCount(), 0);
  }

  void Heal() {
    for (int round = 0; round < 400 && !failed(); ++round) {
      agent_.Sync();
      SettleLaunch();
      EndSomething(false);
      Ping();
      agent_.Advance(absl::Seconds(5));
      agent_.Sync();
      Hear();
    }
    for (const auto& [incarnation, given] : given_) {
      if (given.forgotten || given.written_off) continue;
      EXPECT_TRUE(given.ended) << given.task << " of " << given.framework << ", " << incarnation
                               << " has no end";
    }
    EXPECT_TRUE(live_.empty());
    const auto view = agent_.core().View();
    EXPECT_EQ(view->frameworks, 0);
    EXPECT_TRUE(view->used.empty());
    EXPECT_EQ(view->unacknowledged_statuses, 0);
    EXPECT_EQ(view->counters.recovery_errors, 0);
    std::set<std::string> once(agent_.launched.begin(), agent_.launched.end());
    EXPECT_EQ(once.size(), agent_.launched.size()) << "a container was launched twice";
    // The log means the same as the memory.
    agent_.Restart();
    EXPECT_EQ(agent_.core().View()->frameworks, 0);
    EXPECT_EQ(agent_.core().View()->counters.recovery_errors, 0);
  }

  base::Rng rng_;
  AgentHarness agent_;
  std::map<model::Incarnation, Given> given_;
  std::map<model::Incarnation, GivenExecutor> executors_;
  std::set<model::Incarnation> forgotten_;  // executors
  std::set<std::string> live_;              // containers that run
  std::set<std::string> settled_;
  std::set<model::Incarnation> listed_;
  std::set<model::Incarnation> listed_executors_;
  std::string known_id_;
};

TEST(AgentRandomTest, PromisesHoldInRandomLives) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    RandomLife(seed).Run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::agent
