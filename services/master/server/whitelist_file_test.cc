#include "services/master/server/whitelist_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/synchronization/mutex.h"

namespace tessera::master {
namespace {

using testing::ElementsAre;

TEST(ParseWhitelist, ReadsAHostnameALine) {
  EXPECT_THAT(*ParseWhitelist("b\n# all of rack 2\n  a  # the old one\r\n\nb\n"),
              ElementsAre("a", "b"));
  EXPECT_THAT(*ParseWhitelist(""), ElementsAre());
  EXPECT_THAT(*ParseWhitelist("last-without-newline"), ElementsAre("last-without-newline"));
}

TEST(ParseWhitelist, NamesTheLineThatIsWrong) {
  for (const std::string& line :
       {std::string("two words"), std::string("\x01"), std::string(254, 'x'), std::string("ü")}) {
    const auto parsed = ParseWhitelist("fine\n" + line);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(std::string(parsed.status().message()), testing::HasSubstr("line 2"));
  }
}

class WhitelistFileTest : public testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
  }
  auto Watch() {
    return WhitelistFile::Watch(path_, absl::Milliseconds(5), [this](auto hostnames) {
      absl::MutexLock lock(&mu_);
      seen_.push_back(std::move(hostnames));
    });
  }
  // The contents seen, once there are so many.
  std::vector<std::vector<std::string>> Seen(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return seen_.size() >= count; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30)));
    return seen_;
  }

  const std::string path_ = testing::TempDir() + "/whitelist";
  absl::Mutex mu_;
  std::vector<std::vector<std::string>> seen_ ABSL_GUARDED_BY(mu_);
};

TEST_F(WhitelistFileTest, TellsOfEachChange) {
  Write("a\n");
  const auto file = Watch();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Seen(1), ElementsAre(ElementsAre("a")));
  Write("# the same\na\n");
  Write("a\nb\n");
  EXPECT_THAT(Seen(2), ElementsAre(ElementsAre("a"), ElementsAre("a", "b")));
  // What is wrong, or not there for a moment, changes nothing.
  Write("not a hostname\n");
  ASSERT_EQ(std::remove(path_.c_str()), 0);
  Write("");
  EXPECT_THAT(Seen(3).back(), ElementsAre());
}

TEST_F(WhitelistFileTest, AFileThatCannotBeReadIsAnErrorAtTheStart) {
  std::remove(path_.c_str());
  EXPECT_EQ(Watch().status().code(), absl::StatusCode::kNotFound);
  Write("two words\n");
  const auto file = Watch();
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), testing::HasSubstr(path_));
}

}  // namespace
}  // namespace tessera::master
