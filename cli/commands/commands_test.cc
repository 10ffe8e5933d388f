#include "cli/commands/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "services/base/log_setup.h"

namespace tessera::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const Command& Get(std::vector<std::string> words) {
  size_t used = 0;
  const Command* command = FindCommand(words, &used);
  EXPECT_NE(command, nullptr);
  return *command;
}

TEST(CommandsTest, EveryFlagOfTheCommandLineBelongsToACommand) {
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (flag->Filename().find("cli/") == absl::string_view::npos) continue;
    EXPECT_NE(OwnersOf(std::string(name)), "") << name;
  }
}

TEST(CommandsTest, CommandsNameFlagsThatAreThereOnceEach) {
  // As main() does, which brings the flags of the log.
  base::StartLogging("commands_test");
  for (const Command& command : Commands()) {
    const std::vector<std::string> flags = FlagsOf(command);
    EXPECT_EQ(std::set<std::string>(flags.begin(), flags.end()).size(), flags.size())
        << command.name;
    for (const std::string& flag : flags) {
      EXPECT_NE(absl::FindCommandLineFlag(flag), nullptr) << command.name << " --" << flag;
    }
  }
}

TEST(CommandsTest, CommandsAreFoundByTheirWords) {
  size_t used = 0;
  const Command* run = FindCommand({"run", "ls"}, &used);
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(run->name, "run");
  EXPECT_EQ(used, 1);
  EXPECT_EQ(FindCommand({"cluster", "up", "--agents=1"}, &used)->name, "cluster up");
  EXPECT_EQ(used, 2);
  EXPECT_EQ(FindCommand({"maintenance", "schedule", "apply", "-f", "file"}, &used)->name,
            "maintenance schedule apply");
  EXPECT_EQ(used, 3);
  EXPECT_EQ(FindCommand({"cluster"}, &used), nullptr);
}

TEST(CommandsTest, ACommandHasItsOwnFlagsAndThoseOfAll) {
  EXPECT_THAT(FlagsOf(Get({"run"})), Contains("count"));
  EXPECT_THAT(FlagsOf(Get({"run"})), Contains("cluster_dir"));
  EXPECT_THAT(FlagsOf(Get({"agents"})), Not(Contains("count")));
  EXPECT_THAT(FlagsOf(Get({"cluster", "up"})), Contains("agents"));
}

TEST(CommandsTest, OwnersAreNamed) {
  EXPECT_EQ(OwnersOf("count"), "tessera run");
  EXPECT_EQ(OwnersOf("all"), "tessera frameworks and tessera tasks");
  EXPECT_EQ(OwnersOf("framework"), "tessera tasks, tessera offers, tessera logs and tessera kill");
  EXPECT_EQ(OwnersOf("no_such_flag"), "");
}

TEST(CommandsTest, TheOverviewNamesCommandsAndFlagsOfAll) {
  const std::string text = Overview();
  EXPECT_THAT(text, HasSubstr("  cluster down                Ends the local cluster"));
  EXPECT_THAT(text, HasSubstr("  --cluster_dir  (default: \"\")\n"));
  EXPECT_THAT(text, Not(HasSubstr("--count")));
}

}  // namespace
}  // namespace tessera::cli
