#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <utility>

#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/isolators/spec_fields.h"
#include "services/agent/isolators/undo.h"

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
  for (const HostStep& step : plan.host) {
    if (const auto* write = std::get_if<WriteCgroupFile>(&step.operation)) {
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

class MapFiles : public ContainerFiles {
 public:
  absl::StatusOr<std::string> ReadOfPod(CgroupController controller,
                                        const std::string& file) const override {
    const auto found = pod_files.find({controller, file});
    if (found == pod_files.end()) return absl::NotFoundError(file);
    return found->second;
  }
  absl::StatusOr<std::string> ReadNetworkDevices() const override {
    if (network_devices.empty()) return absl::NotFoundError("the host's");
    return network_devices;
  }
  absl::StatusOr<std::string> Read(CgroupController controller,
                                   const std::string& file) const override {
    const auto found = files.find({controller, file});
    if (found == files.end()) return absl::NotFoundError(file);
    return found->second;
  }
  std::map<std::pair<CgroupController, std::string>, std::string> files;
  std::map<std::pair<CgroupController, std::string>, std::string> pod_files;
  std::string network_devices;
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

TEST(CgroupMemTest, LimitsHaveAFloor) {
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

  IsolationPlan raise;
  ContainerResources more = spec.resources;
  more.memory_limit_bytes = int64_t{256} << 20;
  MakeCgroupMemIsolator()->PlanUpdate(spec.resources, more, V1Facts(), &raise);
  EXPECT_THAT(Writes(raise), testing::ElementsAre("memory.limit_in_bytes=268435456",
                                                  "memory.soft_limit_in_bytes=67108864"));
}

TEST(AfterUpdateTest, TheMemoryLimitIsOnlyRaised) {
  ContainerResources before;
  before.memory_limit_bytes = 100;
  before.pids_limit = 5;
  ContainerResources asked;
  asked.cpus_milli = 7;
  asked.memory_limit_bytes = 50;
  EXPECT_EQ(AfterUpdate(before, asked).memory_limit_bytes, 100);
  EXPECT_EQ(AfterUpdate(before, asked).cpus_milli, 7);
  EXPECT_EQ(AfterUpdate(before, asked).pids_limit, std::nullopt);
  asked.memory_limit_bytes = 200;
  EXPECT_EQ(AfterUpdate(before, asked).memory_limit_bytes, 200);
  asked.memory_limit_bytes.reset();
  EXPECT_EQ(AfterUpdate(before, asked).memory_limit_bytes, 100);
  before.memory_limit_bytes.reset();
  asked.memory_limit_bytes = 50;
  EXPECT_EQ(AfterUpdate(before, asked).memory_limit_bytes, 50);
}

TEST(CgroupMemTest, AKillIsALimitation) {
  Limits limits;
  limits.own.memory_limit_bytes = int64_t{64} << 20;
  MapFiles files;
  files.files[{CgroupController::kMemory, "memory.oom_control"}] =
      "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
  const auto isolator = MakeCgroupMemIsolator();
  EXPECT_FALSE(isolator->Judge(limits, V1Facts(), files, false).has_value());
  files.files[{CgroupController::kMemory, "memory.oom_control"}] =
      "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
  files.files[{CgroupController::kMemory, "memory.max_usage_in_bytes"}] = "67108864\n";
  const auto limitation = isolator->Judge(limits, V1Facts(), files, false);
  ASSERT_TRUE(limitation.has_value());
  EXPECT_EQ(limitation->resource, ContainerLimitation::Resource::kMemory);
  EXPECT_EQ(limitation->isolator, "cgroups/mem");
  EXPECT_EQ(limitation->message, "memory limit exceeded: requested 64 MB, used maximum 64 MB");
  // The same on v2, from its own file.
  files.files[{CgroupController::kMemory, "memory.events"}] = "oom 1\noom_kill 1\n";
  files.files[{CgroupController::kMemory, "memory.peak"}] = "67108864\n";
  EXPECT_TRUE(isolator->Judge(limits, V2Facts(), files, false).has_value());
}

TEST(CgroupMemTest, TheLimitOfThePodIsNamedWhenItWasThat) {
  Limits limits;
  limits.pod.emplace();
  limits.pod->memory_limit_bytes = int64_t{128} << 20;
  MapFiles files;
  files.files[{CgroupController::kMemory, "memory.max_usage_in_bytes"}] = "41943040\n";
  files.pod_files[{CgroupController::kMemory, "memory.max_usage_in_bytes"}] = "134217728\n";
  const auto isolator = MakeCgroupMemIsolator();
  EXPECT_FALSE(isolator->Judge(limits, V1Facts(), files, false).has_value());
  auto limitation = isolator->Judge(limits, V1Facts(), files, true);
  ASSERT_TRUE(limitation.has_value());
  EXPECT_EQ(limitation->requested_bytes, int64_t{128} << 20);
  EXPECT_EQ(limitation->maximum_used_bytes, int64_t{128} << 20);
  limits.own.memory_limit_bytes = int64_t{64} << 20;
  EXPECT_EQ(isolator->Judge(limits, V1Facts(), files, true)->requested_bytes, int64_t{128} << 20);
  limits.own.memory_limit_bytes = int64_t{40} << 20;
  EXPECT_EQ(isolator->Judge(limits, V1Facts(), files, true)->requested_bytes, int64_t{40} << 20);
}

TEST(CgroupMemTest, TheKernelTellsOnV1Only) {
  const auto event = MakeCgroupMemIsolator()->Watch(V1Facts());
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->file, "memory.oom_control");
  EXPECT_FALSE(MakeCgroupMemIsolator()->Watch(V2Facts()).has_value());
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

constexpr char kAllNamespaces[] =
    "namespaces/pid,namespaces/ipc,namespaces/uts,namespaces/net,namespaces/cgroup";

TEST(NamespacesTest, EachIsAsTheSpecSays) {
  IsolationPlan plan = PlanAll(kAllNamespaces, Spec(), V1Facts());
  EXPECT_EQ(plan.namespaces.pid, NamespaceChoice::Own());
  EXPECT_EQ(plan.namespaces.ipc, NamespaceChoice::Own());
  EXPECT_EQ(plan.namespaces.uts, NamespaceChoice::Own());
  EXPECT_EQ(plan.namespaces.net, NamespaceChoice::Host());
  EXPECT_EQ(plan.namespaces.cgroup, NamespaceChoice::Own());
  ASSERT_EQ(plan.init.size(), 1u);
  EXPECT_EQ(std::get<MountFilesystem>(plan.init[0].operation).target, "/proc");

  ContainerSpec spec = Spec();
  const NamespaceChoice host = NamespaceChoice::Host();
  spec.namespaces = {.pid = host, .ipc = host, .uts = host, .cgroup = host};
  plan = PlanAll(kAllNamespaces, spec, V1Facts());
  EXPECT_EQ(plan.namespaces.pid, host);
  EXPECT_EQ(plan.namespaces.cgroup, host);
  EXPECT_TRUE(plan.init.empty());

  const NamespaceChoice join = NamespaceChoice::Join("p");
  spec.container_id = "p.c";
  spec.namespaces = {.pid = join, .ipc = join, .uts = join, .net = join};
  plan = PlanAll(kAllNamespaces, spec, V1Facts());
  EXPECT_EQ(plan.namespaces.pid, join);
  EXPECT_EQ(plan.namespaces.net, join);
  // Its /proc shows the namespace that it has joined; the loopback interface is up already.
  ASSERT_EQ(plan.init.size(), 1u);
  EXPECT_EQ(std::get<MountFilesystem>(plan.init[0].operation).target, "/proc");
}

TEST(NamespacesTest, WithoutAnIsolatorTheHostsIsUsed) {
  const IsolationPlan plan = PlanAll("", Spec(), V1Facts());
  EXPECT_EQ(plan.namespaces.pid, NamespaceChoice::Host());
  EXPECT_EQ(plan.namespaces.mnt, NamespaceChoice::Own());
}

TEST(NamespacesTest, AnOwnNetworkHasItsLoopbackUpAndIsMeasured) {
  ContainerSpec spec = Spec();
  spec.namespaces.net = NamespaceChoice::Own();
  const IsolationPlan plan = PlanAll("namespaces/net", spec, V1Facts());
  EXPECT_EQ(plan.namespaces.net, NamespaceChoice::Own());
  ASSERT_EQ(plan.init.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<RaiseLoopback>(plan.init[0].operation));

  MapFiles files;
  ContainerUsage usage;
  const auto isolator = MakeNamespaceIsolator("net");
  isolator->ReadUsage(files, V1Facts(), &usage);
  EXPECT_TRUE(usage.interfaces.empty());
  files.network_devices =
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop fifo colls carrier compressed\n"
      "    lo:     840      10    1    2    0     0          0         0     841      11    3    4 "
      "   0     0       0          0\n"
      "  eth0:5 6 7 8 0 0 0 0 9 10 11 12 0 0 0 0\n";
  isolator->ReadUsage(files, V1Facts(), &usage);
  ASSERT_EQ(usage.interfaces.size(), 2u);
  EXPECT_EQ(usage.interfaces[0].name, "lo");
  EXPECT_EQ(usage.interfaces[0].received_bytes, 840);
  EXPECT_EQ(usage.interfaces[0].received_dropped, 2);
  EXPECT_EQ(usage.interfaces[0].sent_packets, 11);
  EXPECT_EQ(usage.interfaces[0].sent_dropped, 4);
  EXPECT_EQ(usage.interfaces[1].name, "eth0");
  EXPECT_EQ(usage.interfaces[1].sent_errors, 11);
}

TEST(NamespacesTest, APodsKeeperMakesThemReady) {
  PodSpec pod;
  pod.pod_id = "p";
  pod.sandbox = "/p";
  pod.namespaces = {.pid = false, .ipc = true, .uts = true, .net = true};
  pod.hostname = "inside";
  IsolationPlan plan;
  const auto isolators = MakeIsolators(kAllNamespaces);
  for (const auto& isolator : *isolators) isolator->PlanPod(pod, V1Facts(), &plan);
  ASSERT_EQ(plan.init.size(), 2u);
  EXPECT_EQ(std::get<SetHostname>(plan.init[0].operation).hostname, "inside");
  EXPECT_TRUE(std::holds_alternative<RaiseLoopback>(plan.init[1].operation));
}

TEST(PodLimitsTest, AreThoseOfItsCgroup) {
  PodSpec pod;
  pod.limits.cpus_milli = 1500;
  pod.limits.memory_limit_bytes = int64_t{64} << 20;
  pod.limits.pids_limit = 9;
  IsolationPlan plan;
  const auto isolators = MakeIsolators("cgroups/cpu,cgroups/mem,cgroups/pids");
  for (const auto& isolator : *isolators) isolator->PlanPod(pod, V2Facts(), &plan);
  EXPECT_THAT(Writes(plan),
              testing::ElementsAre("cpu.weight=150", "memory.max=67108864", "memory.oom.group=1",
                                   "memory.low=67108864", "pids.max=10"));
}

// What each isolator stands for is named by it, and nothing else is.
TEST(SpecFieldsTest, EachFieldHasAnIsolatorAndIsRefusedWithout) {
  const auto isolators = MakeIsolators(kDefaultIsolation);
  SpecFields all;
  for (const auto& isolator : *isolators) all.Add(isolator->Covers());
  for (uint32_t i = 0; i < kSpecFieldCount; ++i) {
    const auto field = static_cast<SpecField>(i);
    const std::string name(SpecFieldName(field));
    EXPECT_NE(name, "unknown") << i;
    EXPECT_TRUE(CheckCovered({field}, all).ok()) << name;
    SpecFields others;
    for (uint32_t other = 0; other < kSpecFieldCount; ++other) {
      if (other != i) others.Add(static_cast<SpecField>(other));
    }
    const absl::Status refused = CheckCovered({field}, others);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(refused.message()), HasSubstr(name));
  }
}

TEST(SpecFieldsTest, WhatASpecUses) {
  EXPECT_TRUE(CheckCovered(UsedFields(Spec()), {}).ok());
  const std::vector<std::pair<SpecField, std::function<void(ContainerSpec*)>>> cases = {
      {SpecField::kRootfs, [](ContainerSpec* s) { s->rootfs = "/r"; }},
      {SpecField::kMounts,
       [](ContainerSpec* s) {
         s->mounts.push_back({"/a", "/b", false});
       }},
      {SpecField::kPrivateTmp, [](ContainerSpec* s) { s->private_tmp = true; }},
      {SpecField::kHostname, [](ContainerSpec* s) { s->hostname = "h"; }},
      {SpecField::kPidNamespace,
       [](ContainerSpec* s) { s->namespaces.pid = NamespaceChoice::Join("p"); }},
      {SpecField::kIpcNamespace,
       [](ContainerSpec* s) { s->namespaces.ipc = NamespaceChoice::Join("p"); }},
      {SpecField::kUtsNamespace,
       [](ContainerSpec* s) { s->namespaces.uts = NamespaceChoice::Join("p"); }},
      {SpecField::kCgroupNamespace,
       [](ContainerSpec* s) { s->namespaces.cgroup = NamespaceChoice::Join("p"); }},
      {SpecField::kNetNamespace,
       [](ContainerSpec* s) { s->namespaces.net = NamespaceChoice::Own(); }},
      {SpecField::kMntNamespace,
       [](ContainerSpec* s) { s->namespaces.mnt = NamespaceChoice::Join("p"); }},
      {SpecField::kCpuLimit, [](ContainerSpec* s) { s->resources.cpu_limit_milli = 1; }},
      {SpecField::kPidsLimit, [](ContainerSpec* s) { s->resources.pids_limit = 1; }},
  };
  ASSERT_EQ(cases.size(), kSpecFieldCount);
  for (const auto& [field, use] : cases) {
    ContainerSpec spec = Spec();
    use(&spec);
    EXPECT_TRUE(UsedFields(spec).Has(field)) << SpecFieldName(field);
    EXPECT_TRUE(CheckCovered(UsedFields(spec), {field}).ok()) << SpecFieldName(field);
  }
}

TEST(UndoTest, ComesBackFromItsLine) {
  for (const UndoOperation& operation :
       {UndoOperation(RemoveHostDirectory{"/a b%\n\t/\xff"}), UndoOperation(RemoveCgroup{"p3"})}) {
    const SavedUndo undo{"filesystem/linux", "private-tmp", operation};
    const std::string line = FormatUndo(undo);
    EXPECT_EQ(line.find_first_of("\n\t"), std::string::npos);
    const auto parsed = ParseUndo(line);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, undo);
  }
}

TEST(UndoTest, WhatCannotBeDoneIsNotDropped) {
  for (const char* line :
       {"", "i s", "i s remove-directory", "i s remove-directory relative", "i s remove-cgroup /x",
        "i s remove-cgroup ../x", "i s unmount /x", "i s remove-directory /a b",
        "i s remove-directory /a%2", "i s remove-directory /a%zz", "i s remove-directory %"}) {
    EXPECT_EQ(ParseUndo(line).status().code(), absl::StatusCode::kDataLoss) << line;
  }
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
  for (const InitStep& step : plan.init) {
    if (const auto* attach = std::get_if<AttachTree>(&step.operation)) {
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
  EXPECT_TRUE(PlanAll("filesystem/linux", Spec(), V1Facts()).init.empty());
  ContainerSpec spec = Spec();
  spec.mounts = {{"/data", "/mnt", false}};
  const IsolationPlan plan = PlanAll("filesystem/linux", spec, V1Facts());
  EXPECT_EQ(plan.root, "/");
  ASSERT_EQ(plan.init.size(), 1u);
  EXPECT_FALSE(std::get<AttachTree>(plan.init[0].operation).make_target);
}

TEST(FilesystemLinuxTest, WhatOutlivesARebootIsUndoneFromTheJournal) {
  ContainerSpec spec = Spec();
  spec.private_tmp = true;
  const IsolationPlan plan = PlanAll("filesystem/linux", spec, V1Facts());
  ASSERT_EQ(plan.host.size(), 1u);
  EXPECT_EQ(plan.host[0].phase, Phase::kHost);
  EXPECT_EQ(plan.host[0].name, "private-tmp");
  ASSERT_TRUE(plan.host[0].undo.has_value());
  EXPECT_EQ(plan.host[0].undo->home, UndoHome::kDisk);
  EXPECT_EQ(plan.host[0].undo->operation, UndoOperation(RemoveHostDirectory{"/sandbox/.tmp"}));
}

TEST(FilesystemLinuxTest, OneThatJoinsAnothersFilesBringsNone) {
  ContainerSpec spec = Spec();
  spec.container_id = "p.b";
  spec.namespaces.mnt = NamespaceChoice::Join("p.a");
  const IsolationPlan plan = PlanAll("filesystem/linux", spec, V1Facts());
  EXPECT_EQ(plan.namespaces.mnt, NamespaceChoice::Join("p.a"));
  EXPECT_TRUE(plan.root.empty());
  EXPECT_TRUE(plan.init.empty());
}

}  // namespace
}  // namespace tessera::agent
