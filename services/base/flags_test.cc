#include "services/base/flags.h"

#include <cstdint>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/base/bytes.h"
#include "services/base/file_io.h"

ABSL_FLAG(int32_t, port, 5050, "TCP port to listen on");
ABSL_FLAG(bool, fast, false, "skip what can be skipped");
ABSL_FLAG(std::string, data_dir, "/var/lib/x", "folder of everything durable");
ABSL_FLAG(absl::Duration, offer_timeout, absl::Seconds(30), "time until an offer is taken back");
ABSL_FLAG(std::vector<std::string>, names, {}, "names, separated by commas");
ABSL_FLAG(tessera::base::Bytes, cache_size, tessera::base::MiB(64), "most memory for the cache");

namespace tessera::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FlagsTest : public testing::Test {
 protected:
  absl::StatusOr<ParsedArguments> Parse(std::vector<std::string> arguments) {
    return ParseArguments(arguments, info_);
  }
  std::string Error(std::vector<std::string> arguments) {
    const absl::Status status = Parse(std::move(arguments)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  absl::FlagSaver saver_;
  ProgramInfo info_{"test-svc", "Does a thing.", "", false};
};

TEST_F(FlagsTest, SetsValuesInEveryForm) {
  absl::StatusOr<ParsedArguments> parsed =
      Parse({"--port=1", "in", "--data_dir", "/x", "-fast", "--offer_timeout=1m",
             "--cache_size=1GiB", "--", "--port=2"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(absl::GetFlag(FLAGS_port), 1);
  EXPECT_EQ(absl::GetFlag(FLAGS_data_dir), "/x");
  EXPECT_TRUE(absl::GetFlag(FLAGS_fast));
  EXPECT_EQ(absl::GetFlag(FLAGS_offer_timeout), absl::Minutes(1));
  EXPECT_EQ(absl::GetFlag(FLAGS_cache_size), GiB(1));
  EXPECT_THAT(parsed->positional, ElementsAre("in", "--port=2"));
  ASSERT_TRUE(Parse({"--nofast", "--data_dir="}).ok());
  EXPECT_FALSE(absl::GetFlag(FLAGS_fast));
  EXPECT_EQ(absl::GetFlag(FLAGS_data_dir), "");
}

TEST_F(FlagsTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Error({"--prot=1"}), HasSubstr("unknown flag --prot; did you mean --port?"));
  EXPECT_THAT(Error({"--nothing_alike"}), HasSubstr("unknown flag --nothing_alike ("));
  EXPECT_THAT(Error({"--noport"}), HasSubstr("unknown flag --noport"));
  EXPECT_THAT(Error({"--port=abc"}), HasSubstr("--port=abc is not valid"));
  EXPECT_THAT(Error({"--port"}), HasSubstr("--port needs a value"));
  EXPECT_THAT(Error({"--offer_timeout=30"}), HasSubstr("--offer_timeout=30"));
  EXPECT_THAT(Error({"--cache_size=lots"}), HasSubstr("such as 512MiB"));
  EXPECT_THAT(Error({"--flagfile=/no/such"}), HasSubstr("/no/such"));
}

TEST_F(FlagsTest, ReadsFlagFiles) {
  const std::string path = testing::TempDir() + "/svc.flags";
  ASSERT_TRUE(WriteFileDurably(path, "# a comment\n\n  --port=7\n--fast\n").ok());
  ASSERT_TRUE(Parse({"--flagfile=" + path}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_port), 7);
  EXPECT_TRUE(absl::GetFlag(FLAGS_fast));
  ASSERT_TRUE(Parse({"--flagfile", path, "--port=8"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_port), 8);

  ASSERT_TRUE(WriteFileDurably(path, "--prt=7\n").ok());
  EXPECT_THAT(Error({"--flagfile=" + path}), HasSubstr(path + ": unknown flag --prt"));
  ASSERT_TRUE(WriteFileDurably(path, "port=7\n").ok());
  EXPECT_THAT(Error({"--flagfile=" + path}), HasSubstr("'port=7'"));
  ASSERT_TRUE(WriteFileDurably(path, "--flagfile=" + path + "\n").ok());
  EXPECT_THAT(Error({"--flagfile=" + path}), HasSubstr("too deep"));
}

TEST_F(FlagsTest, StopsAtACommandWhenAsked) {
  info_.stop_at_positional = true;
  absl::StatusOr<ParsedArguments> parsed = Parse({"--port=3", "ls", "-l", "--port=4"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(absl::GetFlag(FLAGS_port), 3);
  EXPECT_THAT(parsed->positional, ElementsAre("ls", "-l", "--port=4"));
}

TEST_F(FlagsTest, HelpShowsEveryFlagWithItsDefault) {
  ASSERT_TRUE(Parse({"--port=9"}).ok());
  const std::string text = HelpText(info_);
  EXPECT_THAT(text, HasSubstr("Does a thing."));
  EXPECT_THAT(text, HasSubstr("--port  (default: 5050)\n      TCP port to listen on\n"));
  EXPECT_THAT(text, HasSubstr("--[no]fast  (default: false)"));
  EXPECT_THAT(text, HasSubstr("--data_dir  (default: \"/var/lib/x\")"));
  EXPECT_THAT(text, HasSubstr("--names  (default: \"\")"));
  EXPECT_THAT(text, HasSubstr("--offer_timeout  (default: 30s)"));
  EXPECT_THAT(text, HasSubstr("--cache_size  (default: 64MiB)"));
  EXPECT_EQ(Parse({"--help"})->request, ParsedArguments::Request::kHelp);
  EXPECT_EQ(Parse({"--version"})->request, ParsedArguments::Request::kVersion);
}

TEST_F(FlagsTest, ACommandHasFlagsOfItsOwn) {
  info_.name = "tool copy";
  info_.flags = {"port", "data_dir"};
  info_.owner = [](const std::string& flag) { return flag == "fast" ? "tool run" : ""; };
  ASSERT_TRUE(Parse({"--port=4", "--data_dir=/y"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_port), 4);
  EXPECT_THAT(Error({"--fast"}),
              HasSubstr("--fast is no flag of tool copy: it belongs to tool run"));
  EXPECT_THAT(Error({"--nofast"}), HasSubstr("--fast is no flag of tool copy"));
  EXPECT_THAT(Error({"--offer_timeout=1s"}), HasSubstr("is no flag of tool copy (--help"));
  EXPECT_FALSE(absl::GetFlag(FLAGS_fast));
  EXPECT_THAT(Error({"--fsat"}), testing::Not(HasSubstr("did you mean")));
  const std::string text = HelpText(info_);
  EXPECT_THAT(text, HasSubstr("--port"));
  EXPECT_THAT(text, testing::Not(HasSubstr("fast")));
  EXPECT_THAT(FlagsText({"fast"}), HasSubstr("--[no]fast  (default: false)\n      skip what"));
}

TEST_F(FlagsTest, ExitCodes) {
  const auto run = [this](std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ParseCommandLineOrExit(static_cast<int>(argv.size()), argv.data(), info_);
  };
  EXPECT_EXIT(run({"test-svc", "--help"}), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run({"test-svc", "--version"}), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run({"test-svc", "--prot"}), testing::ExitedWithCode(2), "test-svc: unknown flag");
}

}  // namespace
}  // namespace tessera::base
