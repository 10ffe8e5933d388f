#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

HostFacts V1Facts() {
  HostFacts facts;
  for (const CgroupController controller : kCgroupControllers) {
    facts.layout.hierarchies.push_back(
        {"/sys/fs/cgroup/" + std::string(CgroupControllerName(controller)), false, {controller}});
  }
  return facts;
}

HostFacts V2Facts() {
  HostFacts facts;
  facts.layout.hierarchies.push_back({"/sys/fs/cgroup",
                                      true,
                                      {CgroupController::kCpu, CgroupController::kCpuacct,
                                       CgroupController::kMemory, CgroupController::kPids}});
  return facts;
}

ContainerSpec Spec() {
  ContainerSpec spec;
  spec.container_id = "c1";
  spec.sandbox = "/sandbox";
  spec.command.value = "true";
  return spec;
}

// `file=value` of every cgroup write, in order.
std::vector<std::string> Writes(const IsolationPlan& plan) {
  std::vector<std::string> writes;
  for (const HostOperation& operation : plan.host) {
    if (const auto* write = std::get_if<WriteCgroupFile>(&operation)) {
      writes.push_back(write->file + "=" + write->value);
    }
  }
  return writes;
}

IsolationPlan PlanAll(const std::string& names, const ContainerSpec& spec, const HostFacts& facts) {
  IsolationPlan plan;
  auto isolators = MakeIsolators(names);
  EXPECT_TRUE(isolators.ok()) << isolators.status();
  for (const auto& isolator : *isolators) {
    EXPECT_TRUE(isolator->Plan(spec, HostUser{}, facts, &plan).ok());
  }
  return plan;
}

class MapFiles : public CgroupFiles {
 public:
  absl::StatusOr<std::string> Read(CgroupController controller,
                                   const std::string& file) const override {
    const auto found = files.find({controller, file});
    if (found == files.end()) return absl::NotFoundError(file);
    return found->second;
  }
  std::map<std::pair<CgroupController, std::string>, std::string> files;
};

TEST(IsolatorSetTest, OrdersAndRefuses) {
  auto isolators = MakeIsolators("cgroups/mem,namespaces/pid,cgroups/cpu");
  ASSERT_TRUE(isolators.ok());
  ASSERT_EQ(isolators->size(), 3u);
  EXPECT_EQ((*isolators)[0]->Name(), "namespaces/pid");
  EXPECT_EQ((*isolators)[1]->Name(), "cgroups/cpu");
  EXPECT_EQ((*isolators)[2]->Name(), "cgroups/mem");
  EXPECT_THAT(std::string(MakeIsolators("cgroups/gold").status().message()),
              HasSubstr("unknown isolator \"cgroups/gold\""));
  EXPECT_THAT(std::string(MakeIsolators("cgroups/cpu,cgroups/cpu").status().message()),
              HasSubstr("named twice"));
  EXPECT_TRUE(MakeIsolators(kDefaultIsolation).ok());
}

TEST(IsolatorSetTest, SaysWhatTheHostLacks) {
  HostFacts nothing;
  const auto isolators = MakeIsolators("cgroups/cpu,cgroups/mem,cgroups/pids");
  for (const auto& isolator : *isolators) {
    const absl::Status status = isolator->CheckHost(nothing);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(isolator->Name())));
    EXPECT_TRUE(isolator->CheckHost(V1Facts()).ok());
    EXPECT_TRUE(isolator->CheckHost(V2Facts()).ok());
  }
}

TEST(CgroupCpuTest, SharesAndWeight) {
  const std::vector<std::pair<int64_t, std::pair<std::string, std::string>>> cases = {
      {1, {"2", "1"}},
      {100, {"102", "10"}},
      {1000, {"1024", "100"}},
      {2500, {"2560", "250"}},
      {1'000'000, {"262144", "10000"}}};
  for (const auto& [milli, expected] : cases) {
    ContainerSpec spec = Spec();
    spec.resources.cpus_milli = milli;
    EXPECT_THAT(Writes(PlanAll("cgroups/cpu", spec, V1Facts())),
                testing::ElementsAre("cpu.shares=" + expected.first));
    EXPECT_THAT(Writes(PlanAll("cgroups/cpu", spec, V2Facts())),
                testing::ElementsAre("cpu.weight=" + expected.second));
  }
}

TEST(CgroupCpuTest, QuotaComesAndGoes) {
  ContainerSpec spec = Spec();
  spec.resources.cpu_limit_milli = 500;
  EXPECT_THAT(Writes(PlanAll("cgroups/cpu", spec, V1Facts())),
              testing::ElementsAre("cpu.shares=1024", "cpu.cfs_period_us=100000",
                                   "cpu.cfs_quota_us=50000"));
  spec.resources.cpu_limit_milli = 1;
  EXPECT_THAT(Writes(PlanAll("cgroups/cpu", spec, V2Facts())),
              testing::ElementsAre("cpu.weight=100", "cpu.max=1000 100000"));
  ContainerResources without = spec.resources;
  without.cpu_limit_milli.reset();
  IsolationPlan update;
  MakeCgroupCpuIsolator()->PlanUpdate(spec.resources, without, V1Facts(), &update);
  EXPECT_THAT(Writes(update),
              testing::ElementsAre("cpu.cfs_period_us=100000", "cpu.cfs_quota_us=-1"));
}

TEST(CgroupMemTest, LimitsHaveAFloorAndAreOnlyRaised) {
  ContainerSpec spec = Spec();
  EXPECT_THAT(Writes(PlanAll("cgroups/mem", spec, V1Facts())), testing::IsEmpty());
  spec.resources.memory_limit_bytes = 1;
  EXPECT_THAT(Writes(PlanAll("cgroups/mem", spec, V1Facts())),
              testing::ElementsAre("memory.limit_in_bytes=33554432",
                                   "memory.soft_limit_in_bytes=33554432"));
  spec.resources.memory_limit_bytes = int64_t{128} << 20;
  spec.resources.memory_soft_limit_bytes = int64_t{64} << 20;
  EXPECT_THAT(
      Writes(PlanAll("cgroups/mem", spec, V2Facts())),
      testing::ElementsAre("memory.max=134217728", "memory.oom.group=1", "memory.low=67108864"));

  ContainerResources lower = spec.resources;
  lower.memory_limit_bytes = int64_t{100} << 20;
  lower.memory_soft_limit_bytes.reset();
  IsolationPlan update;
  MakeCgroupMemIsolator()->PlanUpdate(spec.resources, lower, V1Facts(), &update);
  EXPECT_THAT(Writes(update), testing::ElementsAre("memory.soft_limit_in_bytes=104857600"));
  IsolationPlan raise;
  MakeCgroupMemIsolator()->PlanUpdate(lower, spec.resources, V1Facts(), &raise);
  EXPECT_THAT(Writes(raise), testing::ElementsAre("memory.limit_in_bytes=134217728",
                                                  "memory.soft_limit_in_bytes=67108864"));
}

TEST(CgroupMemTest, AKillIsALimitation) {
  ContainerResources resources;
  resources.memory_limit_bytes = int64_t{64} << 20;
  MapFiles files;
  files.files[{CgroupController::kMemory, "memory.oom_control"}] =
      "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
  const auto isolator = MakeCgroupMemIsolator();
  EXPECT_FALSE(isolator->FindLimitation(resources, V1Facts(), files, false).has_value());
  files.files[{CgroupController::kMemory, "memory.oom_control"}] =
      "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
  files.files[{CgroupController::kMemory, "memory.max_usage_in_bytes"}] = "67108864\n";
  const auto limitation = isolator->FindLimitation(resources, V1Facts(), files, false);
  ASSERT_TRUE(limitation.has_value());
  EXPECT_EQ(limitation->isolator, "cgroups/mem");
  EXPECT_EQ(limitation->message, "memory limit exceeded: requested 64 MB, used maximum 64 MB");
}

TEST(CgroupPidsTest, InitIsNotCounted) {
  ContainerSpec spec = Spec();
  EXPECT_THAT(Writes(PlanAll("cgroups/pids", spec, V1Facts())), testing::IsEmpty());
  spec.resources.pids_limit = 10;
  EXPECT_THAT(Writes(PlanAll("cgroups/pids", spec, V1Facts())),
              testing::ElementsAre("pids.max=11"));
}

TEST(CgroupUsageTest, V1) {
  MapFiles files;
  files.files = {
      {{CgroupController::kCpuacct, "cpuacct.stat"}, "user 150\nsystem 25\n"},
      {{CgroupController::kCpu, "cpu.stat"},
       "nr_periods 10\nnr_throttled 4\nthrottled_time 5000000\n"},
      {{CgroupController::kCpu, "cgroup.procs"}, "1\n2\n"},
      {{CgroupController::kCpu, "tasks"}, "1\n2\n3\n"},
      {{CgroupController::kMemory, "memory.usage_in_bytes"}, "4096\n"},
      {{CgroupController::kMemory, "memory.limit_in_bytes"}, "9223372036854771712\n"},
      {{CgroupController::kMemory, "memory.stat"},
       "cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\n"},
  };
  ContainerUsage usage;
  const auto isolators = MakeIsolators("cgroups/cpu,cgroups/mem,cgroups/pids");
  for (const auto& isolator : *isolators) {
    isolator->ReadUsage(files, V1Facts(), &usage);
  }
  EXPECT_EQ(usage.cpu_user_time, absl::Milliseconds(1500));
  EXPECT_EQ(usage.cpu_system_time, absl::Milliseconds(250));
  EXPECT_EQ(usage.cpu_throttled_time, absl::Milliseconds(5));
  EXPECT_EQ(usage.cpu_periods, 10);
  EXPECT_EQ(usage.processes, 2);
  EXPECT_EQ(usage.threads, 3);
  EXPECT_EQ(usage.memory_total_bytes, 4096);
  EXPECT_EQ(usage.memory_rss_bytes, 20);
  EXPECT_EQ(usage.memory_cache_bytes, 10);
  EXPECT_FALSE(usage.memory_mapped_bytes.has_value());
}

TEST(CgroupNumbersTest, OddFiles) {
  EXPECT_EQ(SingleNumber(std::string("12\n")), 12);
  EXPECT_EQ(SingleNumber(std::string("max\n")), std::nullopt);
  EXPECT_EQ(SingleNumber(std::string("")), std::nullopt);
  EXPECT_EQ(SingleNumber(std::string("18446744073709551615")), INT64_MAX);
  EXPECT_EQ(NumberOf(std::string("oom_killer 5\noom_kill 7"), "oom_kill"), 7);
  EXPECT_EQ(NumberOf(std::string("oom_kill"), "oom_kill"), std::nullopt);
  EXPECT_EQ(NumberOf(absl::NotFoundError("x"), "oom_kill"), std::nullopt);
}

TEST(NamespacesTest, EachCanBeGivenUp) {
  const std::string all = "namespaces/pid,namespaces/ipc,namespaces/uts,namespaces/cgroup";
  IsolationPlan plan = PlanAll(all, Spec(), V1Facts());
  EXPECT_TRUE(plan.namespaces.pid && plan.namespaces.ipc && plan.namespaces.uts &&
              plan.namespaces.cgroup);
  ASSERT_EQ(plan.container.size(), 1u);
  EXPECT_EQ(std::get<MountFilesystem>(plan.container[0]).target, "/proc");
  ContainerSpec spec = Spec();
  const NamespaceChoice host = NamespaceChoice::Host();
  spec.namespaces = {.pid = host, .ipc = host, .uts = host, .cgroup = host};
  plan = PlanAll(all, spec, V1Facts());
  EXPECT_FALSE(plan.namespaces.pid || plan.namespaces.ipc || plan.namespaces.uts ||
               plan.namespaces.cgroup);
  EXPECT_TRUE(plan.container.empty());
}

TEST(FilesystemLinuxTest, HostTreesAreAttachedLast) {
  ContainerSpec spec = Spec();
  spec.rootfs = "/images/busybox";
  spec.private_tmp = true;
  spec.mounts = {{"/data", "/mnt/data", true}};
  const IsolationPlan plan = PlanAll("filesystem/linux", spec, V1Facts());
  EXPECT_EQ(plan.root, "/images/busybox");
  std::vector<std::string> taken;
  for (const HostTree& tree : plan.trees) {
    taken.push_back(tree.source + (tree.read_only ? " ro" : ""));
  }
  std::vector<std::pair<size_t, std::string>> attached;
  for (const ContainerOperation& operation : plan.container) {
    if (const auto* attach = std::get_if<AttachTree>(&operation)) {
      EXPECT_TRUE(attach->make_target);
      attached.emplace_back(attach->tree, attach->target);
    } else {
      // A bind may hide /dev or /proc, but not be hidden by them.
      EXPECT_TRUE(attached.empty());
    }
  }
  EXPECT_THAT(taken, testing::ElementsAre("/sandbox", "/sandbox/.tmp", "/data ro"));
  EXPECT_THAT(attached, testing::ElementsAre(std::pair(size_t{0}, "/mnt/tessera/sandbox"),
                                             std::pair(size_t{1}, "/tmp"),
                                             std::pair(size_t{2}, "/mnt/data")));
}

TEST(FilesystemLinuxTest, TheHostRootIsLeftAsItIs) {
  EXPECT_TRUE(PlanAll("filesystem/linux", Spec(), V1Facts()).container.empty());
  ContainerSpec spec = Spec();
  spec.mounts = {{"/data", "/mnt", false}};
  const IsolationPlan plan = PlanAll("filesystem/linux", spec, V1Facts());
  EXPECT_EQ(plan.root, "/");
  ASSERT_EQ(plan.container.size(), 1u);
  EXPECT_FALSE(std::get<AttachTree>(plan.container[0]).make_target);
}

}  // namespace
}  // namespace tessera::agent
