// The simulated machine is held to what every container runtime promises.
#include "tests/sim/machine.h"

#include <gtest/gtest.h>

#include "services/agent/runtime/testing/runtime_conformance.h"

namespace tessera {

class SimulatedHarness final : public agent::RuntimeHarness {
 public:
  SimulatedHarness() { Attach(); }
  agent::ContainerRuntime* runtime() override { return runtime_.get(); }
  bool WaitUntil(const std::function<bool()>& done) override {
    return done() || loop_.RunUntil(loop_.now() + absl::Minutes(1), done);
  }
  void Restart() override {
    runtime_.reset();
    // The conformance suite sleeps in real time elsewhere.
    loop_.RunUntil(loop_.now() + absl::Milliseconds(1), [] { return false; });
    Attach();
  }
  bool WaitForOutput(const std::string&) override { return true; }
  std::string SandboxOf(const std::string& id) override { return "/sandboxes/" + id; }

 private:
  void Attach() {
    runtime_ = std::make_unique<sim::MachineRuntime>(
        &machine_, [this](const agent::ContainerTermination& end) { Terminated(end); });
  }

  sim::EventLoop loop_;
  sim::Machine machine_{&loop_, base::Rng(1), {}, nullptr};
  std::unique_ptr<sim::MachineRuntime> runtime_;
};

namespace agent {
INSTANTIATE_TEST_SUITE_P(Simulated, RuntimeConformanceTest, testing::Values([] {
                           return std::unique_ptr<RuntimeHarness>(new SimulatedHarness());
                         }));
}  // namespace agent

namespace sim {
namespace {

TEST(ScriptTest, SaysWhichLaunchItIs) {
  const Script script = ReadScript({.value = "launch f-1#7; trap '' TERM; sleep 2.5; exit 3"});
  EXPECT_EQ(script.mark, "f-1#7");
  EXPECT_EQ(script.runs_for, absl::Milliseconds(2500));
  EXPECT_EQ(script.wait_status, 3 << 8);
  EXPECT_TRUE(script.ignores_term);
  EXPECT_EQ(ReadScript({.value = "sleep inf"}).runs_for, absl::InfiniteDuration());
}

class Witness final : public MachineWitness {
 public:
  void Started(const agent::ContainerSpec&, const std::string& mark) override {
    heard.push_back("start " + mark);
  }
  void Ended(const std::string&, const std::string& mark,
             const agent::ContainerTermination&) override {
    heard.push_back("end " + mark);
  }
  std::vector<std::string> heard;
};

TEST(MachineTest, ItsWitnessHearsOfEverythingAlsoWithoutAnAgent) {
  EventLoop loop;
  Witness witness;
  Machine machine(&loop, base::Rng(1), {}, &witness);
  const auto run = [&](absl::Duration duration) {
    loop.RunUntil(loop.now() + duration, [] { return false; });
  };
  auto runtime = std::make_unique<MachineRuntime>(&machine, [](const auto&) {});
  runtime->Recover({}, [](const auto&) {});
  run(absl::Seconds(1));
  for (const char* mark : {"a", "b"}) {
    agent::ContainerSpec spec;
    spec.container_id = mark;
    spec.sandbox = "/s";
    spec.command.value = std::string("launch ") + mark + "; sleep " + (*mark == 'a' ? "5" : "inf");
    runtime->Launch(spec, [](const auto&) {});
    run(absl::Seconds(1));
  }
  runtime.reset();
  run(absl::Seconds(10));
  EXPECT_EQ(machine.running(), 1u);
  machine.Reboot();
  EXPECT_EQ(machine.running(), 0u);
  EXPECT_EQ(witness.heard, (std::vector<std::string>{"start a", "start b", "end a", "end b"}));
}

TEST(MachineTest, ALaunchThatItsAgentDidNotLiveToSeeRunsOrLeavesNothing) {
  EventLoop loop;
  Witness witness;
  Machine machine(&loop, base::Rng(1), {}, &witness);
  const auto run = [&] { loop.RunUntil(loop.now() + absl::Seconds(1), [] { return false; }); };
  size_t found = 0;
  for (int i = 0; i < 40; ++i) {
    auto runtime = std::make_unique<MachineRuntime>(&machine, [](const auto&) {});
    runtime->Recover({}, [](const auto&) {});
    run();
    agent::ContainerSpec spec;
    spec.container_id = "a";
    spec.sandbox = "/s";
    spec.command.value = "launch a; sleep inf";
    runtime->Launch(spec, [](const auto&) {});
    runtime.reset();
    run();
    const size_t runs = machine.running();
    runtime = std::make_unique<MachineRuntime>(&machine, [](const auto&) {});
    runtime->Recover({.pods = {}, .containers = {"a"}}, [&](const auto& result) {
      const auto& state = result->containers.front().state;
      EXPECT_EQ(std::holds_alternative<agent::RecoveredContainer::Running>(state), runs == 1);
      EXPECT_EQ(std::holds_alternative<agent::RecoveredContainer::Lost>(state), runs == 0);
    });
    run();
    found += runs;
    machine.Reboot();
  }
  EXPECT_GT(found, 0u);
  EXPECT_LT(found, 40u);
  EXPECT_EQ(witness.heard.size(), 2 * found);
}

}  // namespace
}  // namespace sim
}  // namespace tessera
