#include "cli/read/read_tables.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(ReadTablesTest, Agents) {
  const auto agent = Parse<state::v1::AgentView>(R"(
    agent {
      info { id: "S1" hostname: "one" address: "one:5055" }
      state: AGENT_STATE_CONNECTED
      registered_time { seconds: 1699999925 }
      total_resources { name: "cpus" scalar { milli: 4000 } }
      total_resources { name: "mem" scalar { milli: 1024000 } }
      total_resources { name: "ports" ranges { range { begin: 1 end: 9 } } }
    }
    used { name: "cpus" scalar { milli: 1000 } }
    used { name: "cpus" scalar { milli: 500 } }
    tasks: 2)");
  EXPECT_EQ(AgentsTable({agent}, kNow),
            "ID  HOSTNAME  ADDRESS   STATE      TASKS  CPUS   MEM     DISK  SINCE\n"
            "S1  one       one:5055  connected  2      1.5/4  0/1024  0/0   1m 15s\n");
  auto draining = agent;
  draining.mutable_agent()->mutable_drain()->set_state(model::v1::DRAIN_STATE_DRAINING);
  EXPECT_NE(AgentsTable({draining}, kNow).find("connected draining"), std::string::npos);
  auto deactivated = agent;
  deactivated.mutable_agent()->set_deactivated(true);
  deactivated.mutable_agent()->clear_registered_time();
  const std::string table = AgentsTable({agent, deactivated}, kNow);
  EXPECT_NE(table.find("connected deactivated"), std::string::npos);
  EXPECT_NE(table.find("0/0   -\n"), std::string::npos);
}

TEST(ReadTablesTest, Frameworks) {
  const auto framework = Parse<state::v1::FrameworkView>(R"(
    framework {
      info { id: "F1" name: "batch" roles: "eng" roles: "ops" }
      state: FRAMEWORK_STATE_ACTIVE
      registered_time { seconds: 1699989200 }
    }
    used { name: "cpus" scalar { milli: 500 } }
    used { name: "mem" scalar { milli: 64000 } }
    offered { name: "cpus" scalar { milli: 2000 } }
    active_tasks: 3
    completed_tasks: 14)");
  EXPECT_EQ(FrameworksTable({framework}, kNow),
            "ID  NAME   STATE   ROLES    TASKS  ENDED  USED             OFFERED  SINCE\n"
            "F1  batch  active  eng,ops  3      14     cpus:0.5 mem:64  cpus:2   3h 0m\n");
  EXPECT_EQ(FrameworksTable({}, kNow),
            "ID  NAME  STATE  ROLES  TASKS  ENDED  USED  OFFERED  SINCE\n");
}

TEST(ReadTablesTest, TasksShowTheNewestMessage) {
  const auto task = Parse<state::v1::TaskView>(R"(
    task {
      framework_id: "F1"
      agent_id: "S1"
      resources { name: "cpus" scalar { milli: 100 } }
      info { id: "t" resources { name: "cpus" scalar { milli: 900 } } }
      state: TASK_FAILED
      statuses { message: "older" }
      statuses { message: "exit 7" }
    })");
  EXPECT_EQ(TasksTable({task}),
            "ID  FRAMEWORK  AGENT  STATE   RESOURCES  MESSAGE\n"
            "t   F1         S1     failed  cpus:0.1   exit 7\n");
  auto fresh = task;
  fresh.mutable_task()->clear_statuses();
  EXPECT_NE(TasksTable({fresh}).find("cpus:0.1\n"), std::string::npos);
}

TEST(ReadTablesTest, Offers) {
  const auto offer = Parse<model::v1::Offer>(R"(
    id: "O1" framework_id: "F1" role: "eng" agent_id: "S1" hostname: "one"
    resources { name: "mem" scalar { milli: 512000 } }
    resources { name: "cpus" scalar { milli: 1500 } reservations { role: "eng" } }
    resources { name: "cpus" scalar { milli: 500 } })");
  EXPECT_EQ(OffersTable({offer}),
            "ID  FRAMEWORK  ROLE  AGENT  HOSTNAME  RESOURCES\n"
            "O1  F1         eng   S1     one       cpus:2 mem:512\n");
}

TEST(ReadTablesTest, Roles) {
  const auto role = Parse<state::v1::RoleView>(R"(
    role { name: "eng" weight_milli: 2500 }
    framework_ids: "F1" framework_ids: "F2"
    allocated { name: "cpus" scalar { milli: 1000 } })");
  EXPECT_EQ(RolesTable({role}),
            "ROLE  WEIGHT  FRAMEWORKS  ALLOCATED\n"
            "eng   2.5     2           cpus:1\n");
}

TEST(ReadTablesTest, Cluster) {
  const auto answer = Parse<state::v1::GetClusterResponse>(R"(
    cluster { cluster_name: "c" address: "m:5050" version: "1" }
    epoch: 7 version: 90
    agents_active: 3 agents_inactive: 2 agents_unreachable: 1
    frameworks_active: 5 offers: 4
    tasks_by_state { key: "TASK_RUNNING" value: 9 }
    tasks_by_state { key: "TASK_FAILED" value: 2 }
    feed_age_seconds: 61.4)");
  EXPECT_EQ(ClusterTable(answer),
            "CLUSTER\n"
            "name              c\n"
            "master            m:5050\n"
            "version           1\n"
            "epoch             7\n"
            "agents            3 active, 2 inactive, 1 unreachable\n"
            "frameworks        5 active, 0 inactive\n"
            "offers            4\n"
            "tasks failed      2\n"
            "tasks running     9\n"
            "age of this view  1m 1s\n");
}

TEST(ReadTablesTest, WeightsAreParsed) {
  const auto weights = ParseWeights({"eng=1.5", "a/b=2", "x=y=0.001", "eng=3"});
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(*weights, (std::map<std::string, int64_t>{{"eng", 3000}, {"a/b", 2000}, {"x=y", 1}}));
  EXPECT_TRUE(ParseWeights({})->empty());
  for (const char* wrong : {"eng", "eng=", "eng=0", "eng=-1", "eng=nan", "eng=1e10", "eng=heavy"}) {
    const auto refused = ParseWeights({wrong});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_NE(refused.status().message().find(wrong), std::string::npos) << wrong;
  }
}

}  // namespace
}  // namespace tessera::cli
