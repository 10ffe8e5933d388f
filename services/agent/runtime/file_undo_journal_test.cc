#include "services/agent/runtime/file_undo_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileUndoJournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "/undo-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    path_ = directory + "/undo";
  }
  std::unique_ptr<FileUndoJournal> Opened() {
    auto journal = FileUndoJournal::Open(path_);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  std::string Contents() { return *base::ReadFile(path_); }
  void Write(const std::string& contents) { std::ofstream(path_) << contents; }

  std::string path_;
};

TEST_F(FileUndoJournalTest, KeepsWhatIsNotForgotten) {
  {
    const auto journal = Opened();
    ASSERT_TRUE(journal->Append({{"a", "one"}, {"b", "two words"}, {"a", "three"}}).ok());
    ASSERT_TRUE(journal->Append({{"c", "four"}}).ok());
    ASSERT_TRUE(journal->Append({}).ok());
    ASSERT_TRUE(journal->Forget("c").ok());
    ASSERT_TRUE(journal->Forget("nobody").ok());
  }
  for (int opened = 0; opened < 2; ++opened) {
    const auto journal = Opened();
    EXPECT_THAT(journal->RecordsOf("a"),
                ElementsAre(UndoRecord{"a", "one"}, UndoRecord{"a", "three"}));
    EXPECT_THAT(journal->RecordsOf("b"), ElementsAre(UndoRecord{"b", "two words"}));
    EXPECT_THAT(journal->RecordsOf("c"), IsEmpty());
    EXPECT_THAT(journal->Owners(), ElementsAre("a", "b"));
  }
}

// A crash leaves any part of the last append.
TEST_F(FileUndoJournalTest, APartOfTheLastLineCountsAsNeverWritten) {
  ASSERT_TRUE(Opened()->Append({{"a", "one"}}).ok());
  const std::string before = Contents();
  ASSERT_TRUE(Opened()->Append({{"b", "two"}, {"b", "three"}}).ok());
  const std::string after = Contents();
  ASSERT_GT(after.size(), before.size());
  for (size_t size = before.size(); size < after.size(); ++size) {
    Write(after.substr(0, size));
    const auto journal = Opened();
    ASSERT_NE(journal, nullptr) << size;
    EXPECT_THAT(journal->Owners(), ElementsAre("a")) << size;
    // And nothing is glued to it.
    ASSERT_TRUE(journal->Append({{"c", "four"}}).ok());
    EXPECT_THAT(Opened()->Owners(), ElementsAre("a", "c")) << size;
  }
}

// Its blocks need not reach the disk in order.
TEST_F(FileUndoJournalTest, ALastLineWithHolesCountsAsNeverWritten) {
  ASSERT_TRUE(Opened()->Append({{"a", "one"}}).ok());
  const size_t before = Contents().size();
  ASSERT_TRUE(Opened()->Append({{"b", "two"}}).ok());
  std::string holed = Contents();
  holed[before + 12] = '\0';
  Write(holed);
  EXPECT_THAT(Opened()->Owners(), ElementsAre("a"));
}

TEST_F(FileUndoJournalTest, DamageInTheMiddleIsNotPassedOver) {
  {
    const auto journal = Opened();
    ASSERT_TRUE(journal->Append({{"a", "one"}}).ok());
    ASSERT_TRUE(journal->Append({{"b", "two"}}).ok());
  }
  std::string contents = Contents();
  contents[contents.find("one")] = 'x';
  Write(contents);
  const absl::Status status = FileUndoJournal::Open(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("damaged at byte"));
  EXPECT_EQ(Contents(), contents) << "it is left for people to look at";
}

TEST_F(FileUndoJournalTest, ANewerFormatIsLeftAlone) {
  Write("tessera-undo 2\nsomething new\n");
  EXPECT_EQ(FileUndoJournal::Open(path_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Contents(), "tessera-undo 2\nsomething new\n");
  Write("another file\n");
  EXPECT_EQ(FileUndoJournal::Open(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileUndoJournalTest, WhatIsForgottenIsWrittenOut) {
  const auto journal = Opened();
  const size_t empty = std::string("tessera-undo 1\n").size();
  const std::string long_undo(4000, 'x');
  size_t largest = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(journal->Append({{"a", long_undo}}).ok());
    ASSERT_TRUE(journal->Forget("a").ok());
    largest = std::max(largest, Contents().size());
  }
  EXPECT_LT(largest, size_t{2} << 20);
  EXPECT_EQ(Opened()->Owners().size(), 0u);
  EXPECT_EQ(Contents().size(), empty);
}

TEST_F(FileUndoJournalTest, ThereIsNoFileBeforeTheFirstRecord) {
  const auto journal = Opened();
  EXPECT_TRUE(journal->Forget("a").ok());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  ASSERT_TRUE(journal->Append({{"a", "one"}}).ok());
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(FileUndoJournalTest, OnlyLinesAreTaken) {
  const auto journal = Opened();
  for (const char* undo : {"two\nlines", "a\ttab"}) {
    EXPECT_EQ(journal->Append({{"a", undo}}).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(journal->Owners(), IsEmpty());
}

}  // namespace
}  // namespace tessera::agent
