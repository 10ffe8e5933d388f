// The pure types of containers: ids, specs, words.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "services/agent/container/container_id.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/container/container_spec.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

TEST(ContainerIdTest, IsAPathOfNames) {
  const ContainerId id = "pod.executor.task";
  EXPECT_TRUE(id.Validate().ok());
  EXPECT_EQ(id.Pod(), "pod");
  EXPECT_EQ(id.Parent(), "pod.executor");
  EXPECT_EQ(id.Parent().Parent(), "pod");
  EXPECT_TRUE(id.Parent().Parent().Parent().empty());
  EXPECT_EQ(ContainerId("pod").Child("x"), "pod.x");
  EXPECT_EQ(ContainerId("pod").Pod(), "pod");
  EXPECT_TRUE(id.has_parent());
  EXPECT_FALSE(ContainerId("pod").has_parent());
}

TEST(ContainerIdTest, ANameThatBeginsAnotherIsNotItsAncestor) {
  EXPECT_TRUE(ContainerId("a").IsAncestorOf("a.b"));
  EXPECT_TRUE(ContainerId("a").IsAncestorOf("a.b.c"));
  EXPECT_FALSE(ContainerId("a").IsAncestorOf("a"));
  EXPECT_FALSE(ContainerId("a").IsAncestorOf("ab.c"));
  EXPECT_FALSE(ContainerId("a.b").IsAncestorOf("a"));
}

TEST(ContainerIdTest, WhatIsNoPathIsRefused) {
  for (const char* text : {"", ".", ".a", "a.", "a..b", "..", "a/b", "a b", "a\nb", "a\x7f"}) {
    EXPECT_EQ(ContainerId(text).Validate().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(ContainerId("a.b.c.d.e.f.g.h").Validate().ok());
  EXPECT_FALSE(ContainerId("a.b.c.d.e.f.g.h.i").Validate().ok());
  EXPECT_TRUE(ContainerId(std::string(242, 'x')).Validate().ok());
  EXPECT_FALSE(ContainerId(std::string(243, 'x')).Validate().ok());
}

ContainerSpec GoodSpec() {
  ContainerSpec spec;
  spec.container_id = "c-1";
  spec.sandbox = "/sandbox";
  spec.command.value = "true";
  return spec;
}

TEST(ContainerSpecTest, EachFaultIsNamed) {
  ASSERT_TRUE(ValidateContainerSpec(GoodSpec()).ok());
  struct Case {
    const char* says;
    std::function<void(ContainerSpec*)> spoil;
  };
  const std::vector<Case> cases = {
      {"container_id is empty", [](ContainerSpec* s) { s->container_id = ""; }},
      {"longer than 242", [](ContainerSpec* s) { s->container_id = std::string(243, 'x'); }},
      {"empty name between", [](ContainerSpec* s) { s->container_id = "a..b"; }},
      {"container_id holds", [](ContainerSpec* s) { s->container_id = "a\nb"; }},
      {"container_id holds", [](ContainerSpec* s) { s->container_id = "../x"; }},
      {"sandbox must be an absolute", [](ContainerSpec* s) { s->sandbox = "here"; }},
      {"sandbox contains \"..\"", [](ContainerSpec* s) { s->sandbox = "/a/../b"; }},
      {"command.value is empty", [](ContainerSpec* s) { s->command.value = ""; }},
      {"a shell line takes none", [](ContainerSpec* s) { s->command.arguments = {"x"}; }},
      {"no name of a variable",
       [](ContainerSpec* s) {
         s->environment = {{"A=B", ""}};
       }},
      {"NUL",
       [](ContainerSpec* s) {
         s->environment = {{"A", std::string(1, '\0')}};
       }},
      {"resources.cpus", [](ContainerSpec* s) { s->resources.cpus_milli = 0; }},
      {"resources.cpu_limit", [](ContainerSpec* s) { s->resources.cpu_limit_milli = -1; }},
      {"resources.memory_limit", [](ContainerSpec* s) { s->resources.memory_limit_bytes = 0; }},
      {"resources.pids_limit", [](ContainerSpec* s) { s->resources.pids_limit = 0; }},
      {"working_directory", [](ContainerSpec* s) { s->working_directory = "x"; }},
      {"rootfs must be", [](ContainerSpec* s) { s->rootfs = "x"; }},
      {"mounts.target must not be",
       [](ContainerSpec* s) {
         s->mounts = {{"/a", "/", false}};
       }},
      {"twice",
       [](ContainerSpec* s) {
         s->mounts = {{"/a", "/x", false}, {"/b", "/x", false}};
       }},
      {"hostname is longer", [](ContainerSpec* s) { s->hostname = std::string(65, 'h'); }},
      {"needs a uts",
       [](ContainerSpec* s) {
         s->hostname = "h";
         s->namespaces.uts = NamespaceChoice::Host();
       }},
      {"namespaces.net: c-1 cannot join that of other",
       [](ContainerSpec* s) { s->namespaces.net = NamespaceChoice::Join("other.one"); }},
      {"namespaces.pid: c-1 cannot join that of c-1",
       [](ContainerSpec* s) { s->namespaces.pid = NamespaceChoice::Join("c-1"); }},
      {"comes after it",
       [](ContainerSpec* s) {
         s->container_id = "p.a";
         s->namespaces.pid = NamespaceChoice::Join("p.a.b");
       }},
      {"container_id is empty",
       [](ContainerSpec* s) { s->namespaces.ipc.source = NamespaceChoice::Source::kJoin; }},
      {"namespaces.mnt cannot be the host's",
       [](ContainerSpec* s) { s->namespaces.mnt = NamespaceChoice::Host(); }},
      {"a pod has none to join",
       [](ContainerSpec* s) {
         s->container_id = "p.a";
         s->namespaces.mnt = NamespaceChoice::Join("p");
       }},
      {"joins another's files",
       [](ContainerSpec* s) {
         s->container_id = "p.a";
         s->rootfs = "/images/x";
         s->namespaces.mnt = NamespaceChoice::Join("p.b");
       }},
  };
  for (const Case& c : cases) {
    ContainerSpec spec = GoodSpec();
    c.spoil(&spec);
    const absl::Status status = ValidateContainerSpec(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.says));
  }
}

PodSpec GoodPod() {
  PodSpec spec;
  spec.pod_id = "p";
  spec.sandbox = "/sandbox";
  spec.namespaces = {.pid = true, .ipc = true, .uts = true, .net = false};
  return spec;
}

TEST(PodSpecTest, EachFaultIsNamed) {
  ASSERT_TRUE(ValidatePodSpec(GoodPod()).ok());
  struct Case {
    const char* says;
    std::function<void(PodSpec*)> spoil;
  };
  const std::vector<Case> cases = {
      {"container_id is empty", [](PodSpec* s) { s->pod_id = ""; }},
      {"must be one name", [](PodSpec* s) { s->pod_id = "a.b"; }},
      {"sandbox must be an absolute", [](PodSpec* s) { s->sandbox = "here"; }},
      {"user contains a NUL", [](PodSpec* s) { s->user = std::string(1, '\0'); }},
      {"resources.cpus", [](PodSpec* s) { s->limits.cpus_milli = 0; }},
      {"needs a uts",
       [](PodSpec* s) {
         s->hostname = "h";
         s->namespaces.uts = false;
       }},
  };
  for (const Case& c : cases) {
    PodSpec spec = GoodPod();
    c.spoil(&spec);
    const absl::Status status = ValidatePodSpec(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.says));
  }
}

TEST(PodSpecTest, ItsContainersJoinWhatItKeeps) {
  const ContainerNamespaces namespaces = NamespacesInPod(GoodPod());
  EXPECT_EQ(namespaces.pid, NamespaceChoice::Join("p"));
  EXPECT_EQ(namespaces.ipc, NamespaceChoice::Join("p"));
  EXPECT_EQ(namespaces.uts, NamespaceChoice::Join("p"));
  EXPECT_EQ(namespaces.net, NamespaceChoice::Host());
  EXPECT_EQ(namespaces.cgroup, NamespaceChoice::Own());
  EXPECT_EQ(namespaces.mnt, NamespaceChoice::Own());
  ContainerSpec spec = GoodSpec();
  spec.container_id = "p.one";
  spec.namespaces = namespaces;
  EXPECT_TRUE(ValidateContainerSpec(spec).ok());
}

TEST(WordsTest, WaitStatuses) {
  EXPECT_EQ(DescribeWaitStatus(3 << 8), "exited with status 3");
  EXPECT_EQ(DescribeWaitStatus(9), "terminated with signal SIGKILL");
  EXPECT_EQ(DescribeWaitStatus(11 | 0x80), "terminated with signal SIGSEGV (core dumped)");
  EXPECT_EQ(DescribeWaitStatus(0x13ff), "ended with wait status 5119");
}

TEST(WordsTest, Limitations) {
  const ContainerLimitation limitation = MemoryLimitation(1, int64_t{65} << 20, "cgroups/mem");
  EXPECT_EQ(limitation.message, "memory limit exceeded: requested 1 MB, used maximum 65 MB");
  EXPECT_EQ(limitation.isolator, "cgroups/mem");
  EXPECT_EQ(LimitedResourceName(limitation.resource), "mem");
  EXPECT_EQ(LimitedResourceName(ContainerLimitation::Resource::kDisk), "disk");
}

}  // namespace
}  // namespace tessera::agent
