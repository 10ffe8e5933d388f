#include "cli/maintenance/maintenance_text.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::cli {
namespace {

template <typename Message>
Message Read(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST(MaintenanceTextTest, AScheduleIsALineForEachMachine) {
  EXPECT_EQ(ScheduleText(Read<operators::v1::GetMaintenanceScheduleResponse>(R"(
              windows { machines { hostname: "a" } machines { hostname: "b" ip: "10.0.0.1" }
                        unavailability { start { seconds: 1795903200 } duration { seconds: 90 } } }
              windows { machines { ip: "10.0.0.2" }
                        unavailability { start { seconds: 1795903260 } } })")),
            "MACHINE     START                 DURATION\n"
            "a           2026-11-28T22:00:00Z  1m30s\n"
            "b,10.0.0.1  2026-11-28T22:00:00Z  1m30s\n"
            "10.0.0.2    2026-11-28T22:01:00Z  for ever\n");
}

TEST(MaintenanceTextTest, StatusTellsWhoAgreed) {
  EXPECT_EQ(StatusText(Read<operators::v1::GetMaintenanceStatusResponse>(R"(
                         draining { machine { hostname: "a" }
                                    answers { framework_id: "f-1" accepted: true time: 940 }
                                    answers { framework_id: "f-2" time: 400 } }
                         draining { machine { hostname: "b" } }
                         down { hostname: "c" })"),
                       absl::FromUnixSeconds(1000)),
            "MACHINE  MODE      FRAMEWORK  ANSWER    AGO\n"
            "c        down\n"
            "a        draining  f-1        accepted  1m 0s\n"
            "a        draining  f-2        declined  10m 0s\n"
            "b        draining\n");
}

}  // namespace
}  // namespace tessera::cli
