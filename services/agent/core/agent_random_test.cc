// Random lives of one agent: launches, groups, kills, losses of links, crashes that lose what is
// not synced, reboots, compaction. A small master that is sure of everything checks what the agent
// promises:
//
//   - resources in use never exceed the total;
//   - each task attempt has exactly one terminal state, statuses come in a legal order, and nothing
//     new comes after a terminal one;
//   - once all is healed, every task that the agent was given has ended for the framework, no
//     container runs, and the agent knows nothing any more;
//   - no container is launched twice.
#include <gtest/gtest.h>

#include <map>
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

  void GiveTask() {
    if (!registered()) return;
    const std::string id = absl::StrCat("t", ++last_task_);
    const std::string framework = absl::StrCat("fw-", rng_.Below(3));
    MasterMessage run = agent_.RunTask(id, 1 + static_cast<int64_t>(rng_.Below(3)), framework);
    if (rng_.Chance(0.3)) {
      run.mutable_run_task()->mutable_framework()->add_capabilities(
          model::v1::FrameworkInfo::TASK_KILLING_STATE);
    }
    if (rng_.Chance(0.1)) {
      run.mutable_run_task()->mutable_task()->mutable_max_completion_time()->set_seconds(15);
    }
    given_[id] = framework;
    agent_.FromMaster(run);
  }

  void GiveGroup() {
    if (!registered()) return;
    MasterMessage message;
    auto* group = message.mutable_run_task_group();
    const std::string framework = absl::StrCat("fw-", rng_.Below(3));
    group->mutable_framework()->set_id(framework);
    group->mutable_executor()->set_type(model::v1::ExecutorInfo::DEFAULT);
    group->mutable_executor()->set_id(absl::StrCat("e", rng_.Below(2)));
    *group->mutable_executor()->add_resources() = testing::ScalarResource("mem", 32);
    for (uint64_t i = 0; i <= rng_.Below(3); ++i) {
      const std::string id = absl::StrCat("t", ++last_task_);
      given_[id] = framework;
      *group->mutable_group()->add_tasks() = AgentHarness::Info(id);
    }
    agent_.FromMaster(message);
  }

  void KillSomething() {
    if (!registered() || given_.empty()) return;
    auto it = given_.begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(given_.size())));
    if (ended_.count(it->first) > 0) return;
    agent_.FromMaster(
        AgentHarness::Kill(it->first, static_cast<int64_t>(rng_.Below(10)), it->second));
  }

  void ShutDownSomething() {
    if (!registered() || !rng_.Chance(0.15)) return;
    const std::string framework = absl::StrCat("fw-", rng_.Below(3));
    MasterMessage message;
    message.mutable_shutdown_framework()->set_framework_id(framework);
    agent_.FromMaster(message);
    // Nobody waits for its tasks any more; their ids are not used again.
    for (const auto& [task, owner] : given_) {
      if (owner == framework) forgotten_.insert(task);
    }
  }

  // Containers of which the runtime was asked and which have not started.
  void SettleLaunch() {
    for (const std::string& id : agent_.launched) {
      if (settled_.count(id) > 0) continue;
      settled_.insert(id);
      const std::string task = agent_.TaskOf(id);
      if (rng_.Chance(0.15)) {
        agent_.LaunchFails(task, LaunchStep::kExec, "no such program");
      } else {
        live_.insert(task);
        agent_.Launched(task);
      }
      return;
    }
  }

  void EndSomething(bool down) {
    if (live_.empty()) return;
    auto it = live_.begin();
    std::advance(it, static_cast<ptrdiff_t>(rng_.Below(live_.size())));
    const std::string task = *it;
    live_.erase(it);
    agent_.Ends(task, rng_.Chance(0.5) ? 0 : 1 << 8, rng_.Chance(0.1), down);
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
      live_.insert(agent_.TaskOf(id));
      agent_.LaunchedUnseen(agent_.TaskOf(id));
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
        known_id_ = message.register_().info().id();
        if (known_id_.empty()) Admit();
      } else if (message.has_inventory()) {
        for (const auto& task : message.inventory().tasks()) listed_.insert(task.info().id());
        if (!message.inventory().last()) continue;
        Admit();
        MasterMessage ask;
        for (const auto& [task, framework] : given_) {
          if (listed_.count(task) > 0 || ended_.count(task) > 0 || forgotten_.count(task) > 0) {
            continue;
          }
          auto* missing = ask.mutable_reconcile_tasks()->add_tasks();
          missing->set_framework_id(framework);
          missing->set_task_id(task);
        }
        if (ask.reconcile_tasks().tasks_size() > 0) agent_.FromMaster(ask);
      } else if (message.has_status_update()) {
        HearStatus(message.status_update());
      }
    }
  }

  void Admit() {
    MasterMessage message;
    message.mutable_registered()->set_agent_id(known_id_.empty() ? "agent-1" : known_id_);
    agent_.FromMaster(message);
  }

  void HearStatus(const AgentMessage::StatusUpdate& update) {
    const model::v1::TaskStatus& status = update.status();
    const std::string& task = status.task_id();
    if (forgotten_.count(task) == 0) {
      auto [seen, is_new] = last_.try_emplace(task, status);
      if (!is_new && seen->second.uuid() != status.uuid()) {
        EXPECT_LT(Rank(seen->second.state()), Rank(status.state()))
            << task << ": " << model::v1::TaskState_Name(status.state()) << " after "
            << model::v1::TaskState_Name(seen->second.state());
        seen->second = status;
      }
      EXPECT_FALSE(status.uuid().empty()) << task;
    }
    if (status.uuid().empty() || rng_.Chance(0.1)) return;
    // The master lets go of the task before it hands the acknowledgement on.
    if (IsTerminal(status.state())) ended_.insert(task);
    agent_.Acknowledge(update);
  }

  void CheckResources() {
    int64_t cpus = 0;
    for (const std::string& task : live_) {
      cpus += agent_.SpecOf(task).resources.cpus_milli;
    }
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
    for (const auto& [task, framework] : given_) {
      if (forgotten_.count(task) > 0) continue;
      EXPECT_EQ(ended_.count(task), 1) << task << " of " << framework << " has no end";
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
  uint64_t last_task_ = 0;
  std::map<std::string, std::string> given_;  // task to framework
  std::set<std::string> forgotten_;
  std::set<std::string> ended_;
  std::set<std::string> live_;  // tasks with a running container
  std::set<std::string> settled_;
  std::set<std::string> listed_;
  std::string known_id_;
  std::map<std::string, model::v1::TaskStatus> last_;
};

TEST(AgentRandomTest, PromisesHoldInRandomLives) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    RandomLife(seed).Run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::agent
