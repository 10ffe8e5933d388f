// Steps, their undo and their adoption on the real kernel, with an isolator of the test's own.
// Needs root; skips, saying so, without.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <iostream>

#include "services/agent/runtime/file_undo_journal.h"
#include "services/agent/runtime/testing/linux_runtime_harness.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

// Makes a directory in each phase on the host, of which the first survives a reboot.
class Marks : public Isolator {
 public:
  explicit Marks(std::string directory) : directory_(std::move(directory)) {}
  std::string_view Name() const override { return "test/marks"; }
  SpecFields Covers() const override { return {}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    Add("host", Phase::kHost, UndoHome::kDisk, spec.container_id, plan);
    Add("cloned", Phase::kCloned, UndoHome::kKernel, spec.container_id, plan);
    // That of `broken` cannot be made.
    const char* last = spec.container_id == "broken" ? "no/started" : "started";
    Add(last, Phase::kStarted, UndoHome::kKernel, spec.container_id, plan);
    return absl::OkStatus();
  }
  void Adopt(const std::vector<SavedUndo>& saved, const HostFacts&,
             IsolationPlan* plan) const override {
    for (const SavedUndo& undo : saved) {
      if (undo.isolator != Name() || undo.step != "cloned") continue;
      plan->host.push_back({.isolator = std::string(Name()),
                            .name = "adopted",
                            .phase = Phase::kStarted,
                            .operation = MakeHostDirectory{directory_ + "/adopted"}});
    }
  }

 private:
  void Add(const std::string& name, Phase phase, UndoHome home, const ContainerId& id,
           IsolationPlan* plan) const {
    const std::string path = directory_ + "/" + id.text() + "-" + name;
    plan->host.push_back({.isolator = std::string(Name()),
                          .name = name,
                          .phase = phase,
                          .operation = MakeHostDirectory{path},
                          .undo = Undo{home, RemoveHostDirectory{path}}});
  }

  const std::string directory_;
};

class LinuxStepsTest : public LinuxContainerRuntimeTest {
 protected:
  LinuxStepsTest() : LinuxContainerRuntimeTest(AddMarks) {}
  static void AddMarks(LinuxRuntimeOptions* options) {
    const std::string marks =
        options->runtime_dir.substr(0, options->runtime_dir.rfind('/')) + "/marks";
    mkdir(marks.c_str(), 0755);
    options->more_isolators = [marks] {
      std::vector<std::unique_ptr<Isolator>> more;
      more.push_back(std::make_unique<Marks>(marks));
      return more;
    };
  }
  bool Marked(const std::string& name) { return access((marks_ + "/" + name).c_str(), F_OK) == 0; }
  size_t JournalOwners() {
    harness_.Drop();
    const size_t owners =
        (*FileUndoJournal::Open(harness_.options().runtime_dir + "/undo"))->Owners().size();
    harness_.Restart();
    return owners;
  }

  const std::string marks_ = harness_.directory() + "/marks";
};

TEST_F(LinuxStepsTest, EveryPhaseActsAndTheEndTakesAllBack) {
  Started(Shell("all", "sleep 100"));
  for (const char* name : {"all-host", "all-cloned", "all-started"}) EXPECT_TRUE(Marked(name));
  EXPECT_TRUE(harness_.Destroy("all").ok());
  AwaitEnd("all");
  EXPECT_TRUE(harness_.Release("all").ok()) << "waits for what is taken back";
  for (const char* name : {"all-host", "all-cloned", "all-started"}) EXPECT_FALSE(Marked(name));
  EXPECT_EQ(JournalOwners(), 0u);
  ASSERT_TRUE(harness_.Recover({}).ok());
}

TEST_F(LinuxStepsTest, AFailedLaunchTakesAllBack) {
  ContainerSpec spec = Shell("fails", "");
  spec.command = {.value = "no-such-program", .shell = false};
  EXPECT_EQ(FailureOf(spec).step, LaunchStep::kExec);
  EXPECT_FALSE(Marked("fails-host"));
  EXPECT_FALSE(Marked("fails-cloned"));
  EXPECT_EQ(JournalOwners(), 0u);
  ASSERT_TRUE(harness_.Recover({}).ok());
}

// The step after the start fails: the command does not run on, and what came before is undone.
TEST_F(LinuxStepsTest, AFailureAfterTheStartEndsTheCommand) {
  const LaunchFailure failure = FailureOf(Shell("broken", "exec sleep 6543"));
  EXPECT_THAT(failure.message, HasSubstr("test/marks: no/started"));
  EXPECT_TRUE(harness_.WaitUntil([] { return ProcessesWith("sleep 6543 ") == 0; }));
  EXPECT_FALSE(Marked("broken-host"));
  EXPECT_FALSE(Marked("broken-cloned"));
  EXPECT_TRUE(harness_.TerminationsOf("broken").empty());
}

TEST_F(LinuxStepsTest, WhatAnAgentLeftInTheMiddleIsTakenBackByTheNext) {
  // As a crash leaves it between the records and the start: written down, some of it made.
  harness_.Drop();
  mkdir((marks_ + "/gone-host").c_str(), 0755);
  {
    auto journal = *FileUndoJournal::Open(harness_.options().runtime_dir + "/undo");
    ASSERT_TRUE(journal
                    ->Append({{"gone", FormatUndo({"test/marks", "host",
                                                   RemoveHostDirectory{marks_ + "/gone-host"}})},
                              {"gone", FormatUndo({"test/marks", "never",
                                                   RemoveHostDirectory{marks_ + "/never"}})}})
                    .ok());
  }
  harness_.Restart();
  ASSERT_TRUE(harness_.Recover({"gone"}).ok());
  EXPECT_FALSE(Marked("gone-host"));
  EXPECT_EQ(JournalOwners(), 0u);
  ASSERT_TRUE(harness_.Recover({}).ok());
}

TEST_F(LinuxStepsTest, ARunningContainerIsAdoptedAndItsUndoKept) {
  Started(Shell("stays", "sleep 100"));
  harness_.Restart();
  ASSERT_TRUE(harness_.Recover({"stays"}).ok());
  EXPECT_TRUE(Marked("adopted"));
  EXPECT_TRUE(Marked("stays-host"));
  EXPECT_TRUE(Marked("stays-cloned"));
  EXPECT_TRUE(harness_.Destroy("stays").ok());
  AwaitEnd("stays");
  EXPECT_TRUE(harness_.Release("stays").ok());
  EXPECT_FALSE(Marked("stays-host"));
  EXPECT_FALSE(Marked("stays-cloned"));
}

// After a reboot the kernel's part is gone with the runtime directory; the journal's is not.
TEST_F(LinuxStepsTest, AfterARebootTheJournalIsTakenBack) {
  Started(Shell("rebooted", "sleep 100"));
  harness_.Drop();
  const std::string path = harness_.options().runtime_dir + "/containers/rebooted";
  std::string state = ReadAll(path);
  const size_t at = state.find("\nboot ") + 6;
  state.replace(at, state.find('\n', at) - at, "another-boot");
  std::ofstream(path) << state;
  harness_.Restart();
  const auto recovery = harness_.Recover({"rebooted"});
  ASSERT_TRUE(recovery.ok());
  const auto* lost = std::get_if<RecoveredContainer::Lost>(&recovery->containers[0].state);
  ASSERT_NE(lost, nullptr);
  EXPECT_THAT(lost->reason, HasSubstr("rebooted"));
  EXPECT_FALSE(Marked("rebooted-host"));
  // Whatever has that name since the boot is not ours.
  EXPECT_TRUE(Marked("rebooted-cloned"));
}

TEST_F(LinuxStepsTest, ANewerAgentsStateStopsTheRecovery) {
  Started(Shell("newer", "exec sleep 5432"));
  harness_.Drop();
  const std::string path = harness_.options().runtime_dir + "/containers/newer";
  const std::string mine = ReadAll(path);
  std::string theirs = mine;
  theirs.replace(theirs.find(" 1\n"), 3, " 9\n");
  std::ofstream(path) << theirs;
  harness_.Restart();
  const auto refused = harness_.Recover({});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("container newer"));
  EXPECT_EQ(ReadAll(path), theirs);
  EXPECT_EQ(ProcessesWith("sleep 5432 "), 1u);
  std::ofstream(path) << mine;
  harness_.Restart();
  EXPECT_TRUE(harness_.Recover({}).ok());
  EXPECT_EQ(ProcessesWith("sleep 5432 "), 0u);
}

TEST_F(LinuxStepsTest, AFieldWithoutAnIsolatorIsRefused) {
  harness_.Drop();
  LinuxRuntimeOptions options = harness_.options();
  options.isolation = "namespaces/pid,cgroups/cpu";
  auto runtime = LinuxContainerRuntime::Create(options, [](const auto&) {});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  harness_.Use(*std::move(runtime));
  ASSERT_TRUE(harness_.Recover({}).ok());
  ContainerSpec spec = Shell("asks", "true");
  spec.resources.pids_limit = 5;
  LaunchFailure failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kSpec);
  EXPECT_THAT(failure.message, HasSubstr("resources.pids_limit"));
  spec = Shell("asks", "true");
  spec.namespaces.net = NamespaceChoice::Own();
  EXPECT_THAT(FailureOf(spec).message, HasSubstr("namespaces.net"));
  Started(Shell("plain", "sleep 100"));
  ContainerResources resources;
  resources.pids_limit = 7;
  EXPECT_EQ(harness_.Update("plain", resources).code(), absl::StatusCode::kInvalidArgument);
  resources = {};
  resources.cpus_milli = 0;
  EXPECT_EQ(harness_.Update("plain", resources).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0) {
    std::cout << "SKIPPED: containers on the real kernel need root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
