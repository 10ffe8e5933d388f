#include "services/agent/runtime/fake_container_runtime.h"

#include "services/agent/runtime/testing/runtime_conformance.h"

namespace tessera::agent {
namespace {

class FakeHarness : public RuntimeHarness {
 public:
  explicit FakeHarness(FakeMachine::Behavior behavior = InterpretCommand)
      : machine_(std::move(behavior)) {
    Restart();
  }

  ContainerRuntime* runtime() override { return runtime_.get(); }
  bool WaitUntil(const std::function<bool()>& done) override {
    for (int step = 0; step < 1'000'000; ++step) {
      if (done()) return true;
      now_ += absl::Milliseconds(1);
      runtime_->AdvanceTo(now_);
    }
    return false;
  }
  void Restart() override {
    runtime_ = std::make_unique<FakeContainerRuntime>(
        &machine_, now_, [this](const ContainerTermination& end) { Terminated(end); });
  }
  bool WaitForOutput(const std::string&) override { return true; }
  std::string SandboxOf(const std::string& id) override { return "/sandboxes/" + id; }

  FakeMachine* machine() { return &machine_; }

 private:
  FakeMachine machine_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::unique_ptr<FakeContainerRuntime> runtime_;
};

INSTANTIATE_TEST_SUITE_P(Fake, RuntimeConformanceTest, testing::Values(HarnessFactory([] {
                           return std::make_unique<FakeHarness>();
                         })));

ContainerSpec Spec(const std::string& id) {
  ContainerSpec spec;
  spec.container_id = id;
  spec.sandbox = "/sandboxes/" + id;
  spec.command.value = "whatever";
  return spec;
}

TEST(FakeContainerRuntimeTest, RunsOutOfMemoryWhenToldTo) {
  FakeHarness harness([](const ContainerSpec&) {
    return FakeBehavior{.runs_for = absl::Seconds(1), .runs_out_of_memory = true};
  });
  ASSERT_TRUE(harness.Recover({}).ok());
  ContainerSpec spec = Spec("hungry");
  spec.resources.memory_limit_bytes = int64_t{64} << 20;
  harness.Launch(spec);
  ASSERT_TRUE(harness.WaitUntil([&] { return !harness.TerminationsOf("hungry").empty(); }));
  const ContainerTermination end = harness.TerminationsOf("hungry")[0];
  ASSERT_TRUE(end.limitation.has_value());
  EXPECT_EQ(end.message, "memory limit exceeded: requested 64 MB, used maximum 64 MB");
}

TEST(FakeContainerRuntimeTest, ARebootLosesAll) {
  FakeHarness harness(
      [](const ContainerSpec&) { return FakeBehavior{.runs_for = absl::InfiniteDuration()}; });
  ASSERT_TRUE(harness.Recover({}).ok());
  harness.Launch(Spec("gone"));
  EXPECT_EQ(harness.machine()->running(), 1u);
  harness.machine()->Reboot();
  harness.Restart();
  const auto recovery = harness.Recover({"gone"});
  ASSERT_TRUE(recovery.ok());
  EXPECT_TRUE(std::holds_alternative<RecoveredContainer::Lost>(recovery->containers[0].state));
}

// The simulator relies on it: the same calls at the same times give the same answers in the same
// order.
TEST(FakeContainerRuntimeTest, NothingHappensBeforeTimePasses) {
  FakeMachine machine;
  const absl::Time start = absl::FromUnixSeconds(1);
  int answers = 0;
  FakeContainerRuntime runtime(&machine, start, [&](const ContainerTermination&) { ++answers; });
  runtime.Recover({}, [&](absl::StatusOr<RecoveryResult>) { ++answers; });
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(runtime.NextDeadline(), start + absl::Microseconds(100));
  runtime.AdvanceTo(start + absl::Microseconds(99));
  EXPECT_EQ(answers, 0);
  runtime.AdvanceTo(start + absl::Microseconds(100));
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(runtime.NextDeadline(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace tessera::agent
