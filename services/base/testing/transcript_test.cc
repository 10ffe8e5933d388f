#include "services/base/testing/transcript.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tessera::base {
namespace {

constexpr char kText[] =
    "# Why.\n"
    "\n"
    "add 1 2\n"
    "----\n"
    "sum: 3\n"
    "  kept: as it is\n"
    "\n"
    "say nothing\n"
    "----\n"
    "(nothing)\n"
    "\n"
    "# The end.\n";

TEST(TranscriptTest, IsReadAndWritten) {
  const auto transcript = ParseTranscript(kText);
  ASSERT_TRUE(transcript.ok()) << transcript.status();
  ASSERT_EQ(transcript->steps.size(), 2);
  EXPECT_EQ(transcript->steps[0].command, "add 1 2");
  EXPECT_EQ(transcript->steps[0].above, "# Why.\n\n");
  EXPECT_EQ(transcript->steps[0].expected, "sum: 3\n  kept: as it is\n");
  EXPECT_EQ(transcript->steps[0].line, 3);
  EXPECT_EQ(transcript->steps[1].expected, "");
  EXPECT_EQ(transcript->below, "# The end.\n");
  EXPECT_EQ(FormatTranscript(*transcript), kText);
}

TEST(TranscriptTest, SaysWhichLineIsWrong) {
  EXPECT_EQ(ParseTranscript("# x\nadd\nsum\n").status().message(), "3: no ---- under the command");
  EXPECT_EQ(ParseTranscript("----\n").status().message(), "1: no command above the rule");
  EXPECT_EQ(ParseTranscript("add").status().message(), "1: the last command has no rule");
  EXPECT_TRUE(ParseTranscript("").ok());
}

TEST(TranscriptTest, LastCommandNeedsNoEmptyLine) {
  const auto transcript = ParseTranscript("add\n----\nsum");
  ASSERT_TRUE(transcript.ok());
  ASSERT_EQ(transcript->steps.size(), 1);
  EXPECT_EQ(transcript->steps[0].expected, "sum\n");
}

TEST(TranscriptTest, WordsOfACommand) {
  EXPECT_EQ(CommandWords("run  t1 cpus:1 \"two words\" \"\""),
            (std::vector<std::string>{"run", "t1", "cpus:1", "two words", ""}));
  EXPECT_TRUE(CommandWords("").empty());
}

TEST(TranscriptTest, NameOfAFile) { EXPECT_EQ(TranscriptName("a/b/kill.txt"), "kill"); }

class TranscriptFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/script.txt";
    std::ofstream(path_) << kText;
  }
  void TearDown() override {
    ::unsetenv("TESSERA_RENEW_TRANSCRIPTS");
    ::unsetenv("BUILD_WORKSPACE_DIRECTORY");
  }

  static std::string path_;
};
std::string TranscriptFileTest::path_;

TEST_F(TranscriptFileTest, PassesWhenAllIsAsExpected) {
  RunTranscript(path_, [](const std::string& command) -> std::string {
    return command == "say nothing" ? "" : "sum: 3\n  kept: as it is\n";
  });
}

TEST_F(TranscriptFileTest, FailsAtTheStepThatDiffers) {
  EXPECT_NONFATAL_FAILURE(
      RunTranscript(path_,
                    [](const std::string& command) -> std::string {
                      return command == "say nothing" ? "a word\n" : "sum: 3\n  kept: as it is\n";
                    }),
      "script.txt:8: say nothing");
}

TEST_F(TranscriptFileTest, IsRenewedWhenAsked) {
  ::setenv("TESSERA_RENEW_TRANSCRIPTS", "1", 1);
  ::setenv("BUILD_WORKSPACE_DIRECTORY", "", 1);
  RunTranscript(path_, [](const std::string& command) { return "did " + command + "\n"; });
  std::ostringstream text;
  text << std::ifstream(path_).rdbuf();
  EXPECT_EQ(text.str(),
            "# Why.\n\nadd 1 2\n----\ndid add 1 2\n\nsay nothing\n----\ndid say nothing\n\n"
            "# The end.\n");
}

}  // namespace
}  // namespace tessera::base
