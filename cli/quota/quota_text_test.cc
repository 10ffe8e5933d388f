#include "cli/quota/quota_text.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace tessera::cli {
namespace {

TEST(QuotaText, ReadsAmounts) {
  const auto amounts = ParseAmounts("limit", "cpus:0.5; mem:1024;gpus:0");
  ASSERT_TRUE(amounts.ok()) << amounts.status();
  EXPECT_EQ(amounts->amounts().at("cpus").milli(), 500);
  EXPECT_EQ(amounts->amounts().at("mem").milli(), 1'024'000);
  ASSERT_TRUE(amounts->amounts().contains("gpus")) << "a limit of nothing";
  EXPECT_EQ(amounts->amounts_size(), 3);
  EXPECT_EQ(ParseAmounts("limit", "")->amounts_size(), 0);
}

TEST(QuotaText, NamesWhatIsMalformed) {
  for (const char* text : {"cpus", "cpus:", ":4", "cpus:x", "cpus:-1", "cpus:nan", "cpus:1e13",
                           "cpus:1:2", "cpus:1;cpus:2"}) {
    const auto amounts = ParseAmounts("guarantee", text);
    EXPECT_EQ(amounts.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StartsWith(amounts.status().message(), "--guarantee")) << text;
  }
}

TEST(QuotaText, ListsRolesWithAQuota) {
  std::vector<state::v1::RoleView> roles(3);
  roles[0].mutable_role()->set_name("eng");
  (*roles[0].mutable_role()->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(4000);
  auto* used = roles[0].add_allocated();
  used->set_name("cpus");
  used->mutable_scalar()->set_milli(1500);
  roles[1].mutable_role()->set_name("plain");
  roles[2].mutable_role()->set_name("ops");
  (*roles[2].mutable_role()->mutable_limits()->mutable_amounts())["mem"].set_milli(64'000);
  EXPECT_EQ(QuotaTable(roles),
            "ROLE  GUARANTEE  LIMIT   ALLOCATED\n"
            "eng   cpus:4     -       cpus:1.5\n"
            "ops   -          mem:64  -\n");
}

}  // namespace
}  // namespace tessera::cli
