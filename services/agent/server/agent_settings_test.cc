#include "services/agent/server/agent_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/model/parse.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

AgentSettings Good() {
  AgentSettings settings;
  settings.master = "m1:5050, m2:5050";
  settings.listen = "127.0.0.1:5051";
  settings.http_listen = "127.0.0.1:0";
  settings.work_dir = "/var/lib/tessera/agent";
  settings.runtime_dir = "/run/tessera/agent";
  settings.resources = "cpus:4;mem:1024";
  settings.default_role = "*";
  settings.hostname = "host";
  settings.gc_delay = absl::Hours(1);
  settings.registration_backoff = absl::Milliseconds(100);
  settings.registration_backoff_max = absl::Seconds(1);
  settings.status_retry = absl::Seconds(10);
  return settings;
}

std::string Complaint(const std::function<void(AgentSettings&)>& spoil) {
  AgentSettings settings = Good();
  spoil(settings);
  const absl::Status status = CheckSettings(settings);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(AgentSettingsTest, GoodOnesPass) { EXPECT_TRUE(CheckSettings(Good()).ok()); }

TEST(AgentSettingsTest, OthersAreToldAnAddressThatTheyCanDial) {
  AgentSettings settings = Good();
  settings.hostname = "node-7.example";
  model::v1::AgentInfo info;
  TellAddresses(settings, "0.0.0.0:5090", "[::]:5091", &info);
  EXPECT_EQ(info.address(), "node-7.example:5090");
  EXPECT_EQ(info.http_address(), "node-7.example:5091");
  settings.advertise = "203.0.113.5:15090";
  TellAddresses(settings, "0.0.0.0:5090", "10.0.0.5:5091", &info);
  EXPECT_EQ(info.address(), "203.0.113.5:15090");
  EXPECT_EQ(info.http_address(), "10.0.0.5:5091");
}

TEST(AgentSettingsTest, EachWrongFlagIsNamed) {
  EXPECT_THAT(Complaint([](auto& s) { s.master = ""; }), HasSubstr("--master: is missing"));
  EXPECT_THAT(Complaint([](auto& s) { s.master = "m1"; }), HasSubstr("\"m1\" is not host:port"));
  EXPECT_THAT(Complaint([](auto& s) { s.listen = ":1"; }), HasSubstr("--listen"));
  EXPECT_THAT(Complaint([](auto& s) { s.http_listen = "h:99999"; }), HasSubstr("--http_listen"));
  EXPECT_THAT(Complaint([](auto& s) { s.work_dir = ""; }), HasSubstr("--work_dir: is missing"));
  EXPECT_THAT(Complaint([](auto& s) { s.work_dir = "rel"; }), HasSubstr("absolute"));
  EXPECT_THAT(Complaint([](auto& s) { s.resources = "cpus:x"; }), HasSubstr("--resources"));
  EXPECT_THAT(Complaint([](auto& s) { s.resources = "cpus:-1"; }), HasSubstr("--resources"));
  EXPECT_THAT(Complaint([](auto& s) { s.attributes = "rack"; }), HasSubstr("--attributes"));
  EXPECT_THAT(Complaint([](auto& s) { s.zone = "z"; }), HasSubstr("--zone"));
  EXPECT_THAT(Complaint([](auto& s) { s.launch_workers = 0; }), HasSubstr("--launch_workers"));
  EXPECT_THAT(Complaint([](auto& s) { s.registration_backoff_max = absl::ZeroDuration(); }),
              HasSubstr("--registration_backoff"));
}

TEST(AgentSettingsTest, AgentsOfOneMachineKeepApart) {
  AgentSettings one = Good(), two = Good();
  two.work_dir = "/other";
  EXPECT_NE(CgroupsRootOf(one), CgroupsRootOf(two));
  EXPECT_EQ(CgroupsRootOf(one), CgroupsRootOf(Good()));
  two.cgroups_root = "mine";
  EXPECT_EQ(CgroupsRootOf(two), "mine");
}

model::Resources Complete(const std::string& text, const MachineFacts& facts) {
  return CompleteResources(*model::ParseResources(text), text, facts);
}

TEST(MachineTest, WhatIsNotNamedIsFoundOutWithRoomForTheMachine) {
  const MachineFacts big{8, int64_t{16} << 30, int64_t{100} << 30};
  EXPECT_EQ(Complete("", big),
            *model::ParseResources("cpus:8;mem:15360;disk:97280;ports:[31000-32000]"));
  const MachineFacts small{1, int64_t{1} << 30, int64_t{6} << 30};
  EXPECT_EQ(Complete("", small),
            *model::ParseResources("cpus:1;mem:512;disk:3072;ports:[31000-32000]"));
}

TEST(MachineTest, WhatIsNamedStaysAlsoWhenItIsNothing) {
  const MachineFacts facts{8, int64_t{16} << 30, int64_t{100} << 30};
  EXPECT_EQ(Complete("cpus:2;mem:64;disk:0;ports:[]", facts),
            *model::ParseResources("cpus:2;mem:64"));
  EXPECT_EQ(Complete("cpus(eng):2;mem:64;disk:1;ports:[1-2]", facts),
            *model::ParseResources("cpus(eng):2;mem:64;disk:1;ports:[1-2]"));
}

TEST(AgentSettingsTest, ConfigHoldsWhatWasSaid) {
  AgentSettings settings = Good();
  settings.attributes = "rack:r1";
  settings.region = "eu";
  settings.zone = "eu-1";
  const auto config = MakeConfig(settings, MachineFacts{});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->masters.size(), 2);
  EXPECT_EQ(config->masters[1], "m2:5050");
  EXPECT_EQ(config->info.domain().zone(), "eu-1");
  EXPECT_EQ(config->info.attributes(0).text(), "r1");
  EXPECT_EQ(config->sandbox_root, "/var/lib/tessera/agent/sandboxes");
}

}  // namespace
}  // namespace tessera::agent
