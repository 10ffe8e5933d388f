#include "services/base/file_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace tessera::base {
namespace {

std::vector<std::string> Entries(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(path.c_str());
  while (dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(dir);
  return names;
}

class FileIoTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/file_io_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }

  std::string dir_;
};

TEST_F(FileIoTest, WritesAndReadsBack) {
  const std::string path = dir_ + "/file";
  std::string contents(200000, 'x');
  contents[100000] = '\0';
  ASSERT_TRUE(WriteFileDurably(path, contents, 0600).ok());
  EXPECT_EQ(ReadFile(path).value(), contents);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(WriteFileDurably(path, "second").ok());
  EXPECT_EQ(ReadFile(path).value(), "second");
  EXPECT_EQ(Entries(dir_), std::vector<std::string>{"file"});
}

TEST_F(FileIoTest, AFailedWriteLeavesTheOldContentsAndNoRest) {
  const std::string path = dir_ + "/file";
  ASSERT_TRUE(WriteFileDurably(path, "old").ok());
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small { 1000, before.rlim_max };
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileDurably(path, std::string(5000, 'n'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(ReadFile(path).value(), "old");
  EXPECT_EQ(Entries(dir_), std::vector<std::string>{"file"});
}

TEST_F(FileIoTest, SaysWhatWentWrong) {
  EXPECT_EQ(ReadFile(dir_ + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(ReadFile(dir_ + "/none").status().message().find(dir_ + "/none"), std::string::npos);
  EXPECT_EQ(ReadFile(dir_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(WriteFileDurably(dir_ + "/no/file", "x").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileDurably(dir_ + "/file", std::string(100, 'x')).ok());
  EXPECT_EQ(ReadFile(dir_ + "/file", Bytes(99)).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ReadFile(dir_ + "/file", Bytes(100)).ok());
}

TEST_F(FileIoTest, ReadsFilesWithoutASize) {
  EXPECT_NE(ReadFile("/proc/self/status").value().find("Name:"), std::string::npos);
}

TEST_F(FileIoTest, MakesFoldersOnceAndAgain) {
  const std::string deep = dir_ + "/a/b/c";
  ASSERT_TRUE(MakeDirectories(deep).ok());
  ASSERT_TRUE(MakeDirectories(deep + "/").ok());
  EXPECT_TRUE(CheckWritableDirectory(deep).ok());
  EXPECT_TRUE(Entries(deep).empty());
  ASSERT_TRUE(WriteFileDurably(deep + "/file", "x").ok());
  EXPECT_EQ(MakeDirectories(deep + "/file").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeDirectories(deep + "/file/d").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeDirectories("").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckWritableDirectory(deep + "/file").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckWritableDirectory(dir_ + "/none").code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(CheckWritableDirectory("/proc").ok());
}

TEST_F(FileIoTest, WriteAllReportsAClosedDescriptor) {
  EXPECT_EQ(WriteAll(-1, "x", "pipe").code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(WriteAll(-1, "", "pipe").ok());
}

}  // namespace
}  // namespace tessera::base
