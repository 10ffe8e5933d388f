// Cgroups on the real kernel: discovery through libcgroup, v1 files, and v2's way of cloning and
// killing (on a hybrid machine v2 has few controllers, but its core is there). Needs root; skips,
// saying so, without.

#include "services/agent/runtime/cgroup_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "services/agent/launcher/launcher_client.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/cgroup_discovery.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

std::string Root() { return absl::StrCat("tessera-test-tree/", getpid()); }

std::string LauncherPath() {
  char resolved[PATH_MAX];
  const char* path = realpath("services/agent/launcher/agent-launcher", resolved);
  return path == nullptr ? "" : path;
}

absl::Status RemoveSoon(const CgroupTree& tree, const std::string& name) {
  absl::Status status;
  for (int attempt = 0; attempt < 500; ++attempt) {
    status = tree.Remove(name);
    if (status.ok()) break;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return status;
}

TEST(CgroupTreeTest, MakesWritesReadsAndRemoves) {
  const auto layout = DiscoverCgroupLayout(
      {CgroupController::kCpu, CgroupController::kMemory, CgroupController::kPids});
  ASSERT_TRUE(layout.ok()) << layout.status();
  for (const CgroupHierarchy& hierarchy : layout->hierarchies) {
    EXPECT_EQ(access(hierarchy.mount_point.c_str(), F_OK), 0) << hierarchy.mount_point;
  }
  ASSERT_TRUE(PrepareCgroupRoot(*layout, Root()).ok());
  ASSERT_TRUE(PrepareCgroupRoot(*layout, Root()).ok()) << "may be repeated";
  auto tree = CgroupTree::Open(*layout, Root());
  ASSERT_TRUE(tree.ok()) << tree.status();

  ASSERT_TRUE(tree->Make("c1").ok());
  EXPECT_THAT(tree->List(), testing::ElementsAre("c1"));
  EXPECT_FALSE(tree->Make("c1").ok());
  EXPECT_TRUE(tree->Write("c1", CgroupController::kPids, "pids.max", "17").ok());
  EXPECT_EQ(*tree->Read("c1", CgroupController::kPids, "pids.max"), "17\n");
  const absl::Status refused = tree->Write("c1", CgroupController::kPids, "pids.max", "many");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("pids.max"));
  EXPECT_EQ(tree->Read("c1", CgroupController::kPids, "no.such").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(tree->Read("c1", CgroupController::kCpuacct, "x").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(tree->Processes("c1").empty());
  EXPECT_TRUE(tree->KillAll("c1").ok());
  EXPECT_TRUE(tree->Remove("c1").ok());
  EXPECT_TRUE(tree->Remove("c1").ok()) << "may be repeated";
  EXPECT_TRUE(tree->List().empty());
  tree->RemoveRoot();
  EXPECT_FALSE(CgroupTree::Open(*layout, Root()).ok());
}

TEST(CgroupTreeTest, ContainersLieInTheirPods) {
  const auto layout = DiscoverCgroupLayout(
      {CgroupController::kCpu, CgroupController::kMemory, CgroupController::kPids});
  ASSERT_TRUE(layout.ok()) << layout.status();
  ASSERT_TRUE(PrepareCgroupRoot(*layout, Root()).ok());
  auto tree = CgroupTree::Open(*layout, Root());
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(tree->MakePod("p1").ok());
  EXPECT_FALSE(tree->MakePod("p1").ok());
  ASSERT_TRUE(tree->Make("p1/c2").ok());
  EXPECT_THAT(tree->List(), testing::ElementsAre("p1", "p1/c2"));
  // Each has limits of its own.
  EXPECT_TRUE(tree->Write("p1", CgroupController::kPids, "pids.max", "7").ok());
  EXPECT_TRUE(tree->Write("p1/c2", CgroupController::kPids, "pids.max", "5").ok());
  LauncherClient launcher(LauncherPath());
  auto init = launcher.Clone({.made = wire::kPid | wire::kMount,
                              .v2_directory = tree->V2Directory("p1/c2"),
                              .tasks = tree->TasksFiles("p1/c2")});
  ASSERT_TRUE(init.ok()) << init.status();
  for (int attempt = 0; attempt < 500 && tree->Processes("p1/c2").empty(); ++attempt) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  // The pod's end reaches what is inside it.
  EXPECT_THAT(tree->Processes("p1"), testing::ElementsAre(init->pid));
  EXPECT_TRUE(tree->KillAll("p1").ok());
  EXPECT_TRUE(WaitForEnd(init->pidfd.get(), 5000));
  EXPECT_TRUE(RemoveSoon(*tree, "p1").ok());
  EXPECT_TRUE(tree->List().empty());
  tree->RemoveRoot();
}

TEST(CgroupTreeTest, AFailedMakeLeavesNothing) {
  const auto layout = DiscoverCgroupLayout({CgroupController::kCpu, CgroupController::kMemory});
  ASSERT_TRUE(layout.ok());
  if (layout->hierarchies.size() < 2) GTEST_SKIP() << "SKIPPED: one hierarchy holds both";
  ASSERT_TRUE(PrepareCgroupRoot(*layout, Root()).ok());
  auto tree = CgroupTree::Open(*layout, Root());
  ASSERT_TRUE(tree.ok());
  const std::string taken = absl::StrCat(layout->hierarchies[1].mount_point, "/", Root(), "/c2");
  ASSERT_EQ(mkdir(taken.c_str(), 0755), 0);
  EXPECT_FALSE(tree->Make("c2").ok());
  EXPECT_NE(
      access(absl::StrCat(layout->hierarchies[0].mount_point, "/", Root(), "/c2").c_str(), F_OK),
      0);
  EXPECT_TRUE(tree->Remove("c2").ok());
  tree->RemoveRoot();
}

TEST(CgroupTreeTest, AnInitJoinsItsV1Cgroups) {
  const auto layout = DiscoverCgroupLayout({CgroupController::kPids});
  ASSERT_TRUE(layout.ok());
  ASSERT_TRUE(PrepareCgroupRoot(*layout, Root()).ok());
  auto tree = CgroupTree::Open(*layout, Root());
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(tree->Make("c3").ok());
  LauncherClient launcher(LauncherPath());
  auto init = launcher.Clone({.made = wire::kPid | wire::kMount,
                              .v2_directory = tree->V2Directory("c3"),
                              .tasks = tree->TasksFiles("c3")});
  ASSERT_TRUE(init.ok()) << init.status();
  for (int attempt = 0; attempt < 500 && tree->Processes("c3").empty(); ++attempt) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  EXPECT_THAT(tree->Processes("c3"), testing::ElementsAre(init->pid));
  EXPECT_EQ(tree->Remove("c3").code(), absl::StatusCode::kUnavailable);
  // Letting go of a parked init ends it.
  init->control.reset();
  EXPECT_TRUE(WaitForEnd(init->pidfd.get(), 5000));
  EXPECT_TRUE(RemoveSoon(*tree, "c3").ok());
  tree->RemoveRoot();
}

std::string V2MountPoint() {
  for (const char* mount_point : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    if (access(absl::StrCat(mount_point, "/cgroup.controllers").c_str(), F_OK) == 0) {
      return mount_point;
    }
  }
  return "";
}

// Whatever of ours the hierarchy has is handed down all the way, even where nobody else uses it.
TEST(CgroupTreeTest, MakesItsRootOnV2WhereNothingIs) {
  CgroupLayout layout;
  layout.hierarchies.push_back({V2MountPoint(), true, {}});
  CgroupHierarchy& v2 = layout.hierarchies[0];
  if (v2.mount_point.empty()) GTEST_SKIP() << "SKIPPED: cgroup v2 is not mounted";
  const std::string listed = *base::ReadFile(v2.mount_point + "/cgroup.controllers");
  const std::set<std::string> has = absl::StrSplit(absl::StripSuffix(listed, "\n"), ' ');
  for (const CgroupController controller : kCgroupControllers) {
    if (has.contains(std::string(CgroupControllerName(controller)))) {
      v2.controllers.push_back(controller);
    }
  }
  const std::string root = absl::StrCat("tessera-test-v2/", getpid(), "/deep");
  ASSERT_TRUE(PrepareCgroupRoot(layout, root).ok());
  ASSERT_TRUE(PrepareCgroupRoot(layout, root).ok()) << "may be repeated";
  auto tree = CgroupTree::Open(layout, root);
  ASSERT_TRUE(tree.ok()) << tree.status();
  ASSERT_TRUE(tree->Make("c1").ok());
  const std::string handed =
      *base::ReadFile(absl::StrCat(v2.mount_point, "/", root, "/c1/cgroup.controllers"));
  for (const CgroupController controller : v2.controllers) {
    EXPECT_THAT(handed, HasSubstr(std::string(CgroupControllerName(controller))));
  }
  EXPECT_TRUE(tree->Remove("c1").ok());
  tree->RemoveRoot();
  EXPECT_NE(access(absl::StrCat(v2.mount_point, "/tessera-test-v2").c_str(), F_OK), 0);
}

TEST(CgroupTreeTest, V2ClonesIntoTheCgroupAndKillsIt) {
  CgroupLayout layout;
  layout.hierarchies.push_back({V2MountPoint(), true, {}});
  if (layout.hierarchies[0].mount_point.empty())
    GTEST_SKIP() << "SKIPPED: cgroup v2 is not mounted";
  const std::string root = absl::StrCat("tessera-test-", getpid());
  ASSERT_EQ(mkdir(absl::StrCat(layout.hierarchies[0].mount_point, "/", root).c_str(), 0755), 0);
  auto tree = CgroupTree::Open(layout, root);
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(tree->Make("c4").ok());
  EXPECT_TRUE(tree->TasksFiles("c4").empty());

  LauncherClient launcher(LauncherPath());
  auto init = launcher.Clone(
      {.made = wire::kPid | wire::kMount | wire::kCgroup, .v2_directory = tree->V2Directory("c4")});
  ASSERT_TRUE(init.ok()) << init.status();
  EXPECT_THAT(*base::ReadFile(absl::StrCat("/proc/", init->pid, "/cgroup")),
              HasSubstr(absl::StrCat("0::/", root, "/c4\n")));
  EXPECT_THAT(tree->Processes("c4"), testing::ElementsAre(init->pid));
  EXPECT_TRUE(tree->KillAll("c4").ok());
  EXPECT_TRUE(WaitForEnd(init->pidfd.get(), 5000));
  EXPECT_TRUE(RemoveSoon(*tree, "c4").ok());
  EXPECT_EQ(launcher.Clone({.made = wire::kMount, .v2_directory = "/sys/fs/cgroup/no/such"})
                .status()
                .message(),
            "clone a container's init: No such file or directory");
  tree->RemoveRoot();
  EXPECT_NE(access(absl::StrCat(layout.hierarchies[0].mount_point, "/", root).c_str(), F_OK), 0);
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0) {
    std::cout << "SKIPPED: cgroups need root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
