#include "cli/maintenance/schedule_file.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::cli {
namespace {

std::string ErrorOf(const std::string& text) {
  const auto schedule = ParseSchedule(text);
  EXPECT_EQ(schedule.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(schedule.status().message());
}

// With one window that has these fields.
std::string ErrorOfWindow(const std::string& fields) {
  return ErrorOf("{\"windows\": [{" + fields + "}]}");
}

TEST(ScheduleFileTest, WindowsHoldMachinesAndTimes) {
  const auto schedule = ParseSchedule(R"({"etag": "e", "windows": [
      {"machines": ["host-1", "10.0.0.7", "host-2,10.0.0.8", "2001:db8::1"],
       "start": "2026-11-28T22:00:00Z", "duration": "1h30m"},
      {"machines": ["host-3"], "start": "2026-11-28T23:00:00.5+01:00"}]})");
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(schedule->expected_etag(), "e");
  ASSERT_EQ(schedule->windows_size(), 2);
  const auto& first = schedule->windows(0);
  ASSERT_EQ(first.machines_size(), 4);
  EXPECT_EQ(first.machines(0).hostname(), "host-1");
  EXPECT_EQ(first.machines(1).ip(), "10.0.0.7");
  EXPECT_EQ(first.machines(1).hostname(), "");
  EXPECT_EQ(first.machines(2).hostname(), "host-2");
  EXPECT_EQ(first.machines(2).ip(), "10.0.0.8");
  EXPECT_EQ(first.machines(3).ip(), "2001:db8::1");
  EXPECT_EQ(first.unavailability().start().seconds(), 1'795'903'200);
  EXPECT_EQ(first.unavailability().duration().seconds(), 5400);
  const auto& second = schedule->windows(1).unavailability();
  EXPECT_EQ(second.start().seconds(), 1'795'903'200);
  EXPECT_EQ(second.start().nanos(), 500'000'000);
  EXPECT_FALSE(second.has_duration());
}

TEST(ScheduleFileTest, WhatIsPrintedCanBeApplied) {
  operators::v1::GetMaintenanceScheduleResponse schedule;
  schedule.set_etag("e");
  for (const char* machine : {"a", "b,10.0.0.1", "10.0.0.2"}) {
    auto* window = schedule.add_windows();
    *window->add_machines() = ParseMachine(machine);
    window->mutable_unavailability()->mutable_start()->set_seconds(1'795'903'200);
    window->mutable_unavailability()->mutable_start()->set_nanos(1000);
    window->mutable_unavailability()->mutable_duration()->set_seconds(90);
  }
  schedule.mutable_windows(2)->mutable_unavailability()->clear_duration();
  const auto request = ParseSchedule(ScheduleJson(schedule));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->expected_etag(), "e");
  ASSERT_EQ(request->windows_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(request->windows(i).SerializeAsString(), schedule.windows(i).SerializeAsString());
  }
  EXPECT_TRUE(ParseSchedule(ScheduleJson({})).ok()) << "an empty one";
}

TEST(ScheduleFileTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOf("{"), "schedule file: the file is not valid JSON");
  EXPECT_NE(ErrorOf("[]").find("\"windows\""), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"windows": {}})").find("an array"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"windows": [], "window": []})").find("\"window\""), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"windows": [1]})").find("windows[0] must be an object"), std::string::npos);
  const std::string start = R"("start": "2026-11-28T22:00:00Z")";
  const std::string machines = R"("machines": ["a"])";
  EXPECT_NE(ErrorOfWindow(start).find("windows[0] has no machines"), std::string::npos);
  EXPECT_NE(ErrorOfWindow(R"("machines": [], )" + start).find("no machines"), std::string::npos);
  EXPECT_NE(ErrorOfWindow(R"("machines": ["a", 7], )" + start).find("machines[1]"),
            std::string::npos);
  EXPECT_NE(ErrorOfWindow(machines).find("windows[0].start must be a time"), std::string::npos);
  EXPECT_NE(ErrorOfWindow(machines + R"(, "start": "tomorrow")").find("windows[0].start"),
            std::string::npos);
  for (const char* duration : {"\"2 hours\"", "\"-1h\"", "\"inf\"", "7200"}) {
    EXPECT_NE(ErrorOfWindow(machines + ", " + start + ", \"duration\": " + duration)
                  .find("windows[0].duration"),
              std::string::npos)
        << duration;
  }
  EXPECT_NE(ErrorOfWindow(machines + ", " + start + R"(, "host": "a")").find("\"host\""),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::cli
