// Which machines of the schedule an agent is on.
#include "services/master/core/machine_table.h"

#include <gtest/gtest.h>

namespace tessera::master {
namespace {

MachineName Read(const std::string& hostname, const std::string& ip) {
  ops::MachineId id;
  id.set_hostname(hostname);
  id.set_ip(ip);
  auto name = ReadMachineName(id);
  EXPECT_TRUE(name.ok()) << name.status();
  return name.value_or(MachineName());
}

MachineName At(const std::string& hostname, const std::string& address) {
  pb::AgentInfo info;
  info.set_hostname(hostname);
  info.set_address(address);
  return MachineOf(info);
}

Machine From(int64_t start, bool down = false) {
  Machine machine;
  machine.down = down;
  machine.unavailability.mutable_start()->set_seconds(start);
  return machine;
}

TEST(MachineTableTest, NamesAreSpeltInOneWay) {
  EXPECT_EQ(Read("Host-1.Example.ORG", ""), (MachineName{"host-1.example.org", ""}));
  EXPECT_EQ(Read("", "2001:DB8:0:0::1"), (MachineName{"", "2001:db8::1"}));
  EXPECT_EQ(ToString(Read("Host", "10.0.0.1")), "host,10.0.0.1");
  EXPECT_EQ(ToString(Read("", "10.0.0.1")), "10.0.0.1");
}

TEST(MachineTableTest, MalformedNamesAreRefused) {
  for (const auto& [hostname, ip] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"a b", ""},
                                                        {"a,b", ""},
                                                        {"a/b", ""},
                                                        {std::string("a\0b", 3), ""},
                                                        {"h\xc3\xb6st", ""},
                                                        {std::string(256, 'a'), ""},
                                                        {"a", "10.0.0"},
                                                        {"", "10.0.0.256"},
                                                        {"", std::string("10.0.0.1\0", 9)}}) {
    ops::MachineId id;
    id.set_hostname(hostname);
    id.set_ip(ip);
    EXPECT_EQ(ReadMachineName(id).status().code(), absl::StatusCode::kInvalidArgument)
        << hostname << " " << ip;
  }
}

TEST(MachineTableTest, AnAgentTellsItsIpByItsAddress) {
  EXPECT_EQ(At("Host", "10.0.0.1:5051"), (MachineName{"host", "10.0.0.1"}));
  EXPECT_EQ(At("host", "[2001:DB8::1]:5051"), (MachineName{"host", "2001:db8::1"}));
  EXPECT_EQ(At("host", "host:5051"), (MachineName{"host", ""}));
  EXPECT_EQ(At("host", ""), (MachineName{"host", ""}));
}

TEST(MachineTableTest, OnlyFieldsThatAreGivenCount) {
  MachineTable table;
  const auto on = [&table](const MachineName& agent) {
    return table.UnavailabilityOf(agent).has_value();
  };
  table.Replace({{Read("a", ""), From(1)}});
  EXPECT_TRUE(on(At("A", "10.0.0.1:1")));
  EXPECT_TRUE(on(At("a", "a:1")));
  EXPECT_FALSE(on(At("aa", "10.0.0.1:1")));
  table.Replace({{Read("", "10.0.0.1"), From(1)}});
  EXPECT_TRUE(on(At("anything", "10.0.0.1:1")));
  EXPECT_FALSE(on(At("anything", "10.0.0.2:1")));
  EXPECT_FALSE(on(At("anything", "anything:1"))) << "it tells no ip";
  table.Replace({{Read("a", "10.0.0.1"), From(1)}});
  EXPECT_TRUE(on(At("a", "10.0.0.1:1")));
  EXPECT_FALSE(on(At("a", "10.0.0.2:1")));
  EXPECT_FALSE(on(At("b", "10.0.0.1:1")));
  EXPECT_TRUE(on(At("a", "a:1"))) << "the hostname decides";
}

TEST(MachineTableTest, OfSeveralTheEarliestWindowCountsAndDownIsDown) {
  MachineTable table;
  const MachineName agent = At("a", "10.0.0.1:1");
  Machine for_an_hour = From(2);
  for_an_hour.unavailability.mutable_duration()->set_seconds(3600);
  table.Replace({{Read("a", ""), From(2)},
                 {Read("a", "10.0.0.1"), for_an_hour},
                 {Read("", "10.0.0.1"), From(3, /*down=*/true)}});
  EXPECT_TRUE(table.UnavailabilityOf(agent)->has_duration());
  EXPECT_TRUE(table.IsDown(agent));
  EXPECT_FALSE(table.IsDown(At("a", "10.0.0.2:1")));
}

TEST(MachineTableTest, AnswersBelongToTheTime) {
  MachineTable table;
  const MachineName a = Read("a", "");
  const MachineName b = Read("b", "");
  table.Replace({{a, From(1)}, {b, From(1)}});
  table.NoteAnswer(At("a", "10.0.0.1:1"), "f", {true, absl::UnixEpoch()});
  table.NoteAnswer(At("b", "10.0.0.2:1"), "f", {false, absl::UnixEpoch()});
  table.Replace({{a, From(1, /*down=*/true)}, {b, From(2)}});
  EXPECT_EQ(table.rows().at(a).answers.size(), 1u);
  EXPECT_TRUE(table.rows().at(b).answers.empty());
  table.ForgetAnswersOf("f");
  EXPECT_TRUE(table.rows().at(a).answers.empty());
}

TEST(MachineTableTest, TheNewestAnswersAreKept) {
  MachineTable table;
  const MachineName a = Read("a", "");
  table.Replace({{a, From(1)}});
  const auto answer = [&](int framework, int time) {
    table.NoteAnswer(At("a", "10.0.0.1:1"), std::to_string(framework),
                     {true, absl::UnixEpoch() + absl::Seconds(time)});
  };
  const int max = static_cast<int>(Machine::kAnswersMax);
  for (int i = 0; i < max; ++i) answer(i, i);
  answer(0, max);  // anew
  answer(max, max + 1);
  const auto& answers = table.rows().at(a).answers;
  EXPECT_EQ(answers.size(), Machine::kAnswersMax);
  EXPECT_TRUE(answers.contains("0"));
  EXPECT_FALSE(answers.contains("1"));
  EXPECT_TRUE(answers.contains(std::to_string(max)));
}

}  // namespace
}  // namespace tessera::master
