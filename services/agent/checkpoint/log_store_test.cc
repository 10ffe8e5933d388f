#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "services/agent/checkpoint/file_log_store.h"
#include "services/agent/checkpoint/memory_log_store.h"
#include "services/agent/checkpoint/testing/log_store_conformance.h"

namespace tessera::agent {
namespace {

class MemoryPlace {
 public:
  LogStore& store() { return store_; }
  void Reopen() { store_.Crash(); }

 private:
  MemoryLogStore store_;
};

template <bool exchange>
class FilePlace {
 public:
  FilePlace() {
    std::string pattern = ::testing::TempDir() + "/logXXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    Reopen();
  }
  ~FilePlace() {
    ::unlink((folder_ + "/log").c_str());
    ::unlink((folder_ + "/log.spare").c_str());
    ::rmdir(folder_.c_str());
  }
  LogStore& store() { return *store_; }
  std::string spare() const { return folder_ + "/log.spare"; }
  void Reopen() {
    auto opened = FileLogStore::Open(folder_ + "/log", exchange);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

 private:
  std::string folder_;
  std::unique_ptr<FileLogStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogStoreConformance, MemoryPlace);
INSTANTIATE_TYPED_TEST_SUITE_P(File, LogStoreConformance, FilePlace<true>);
INSTANTIATE_TYPED_TEST_SUITE_P(FileWithoutExchange, LogStoreConformance, FilePlace<false>);

TEST(MemoryLogStoreTest, UnsyncedBytesAreLostOrTorn) {
  MemoryLogStore store;
  ASSERT_TRUE(store.Write(0, "synced").ok());
  ASSERT_TRUE(store.Sync().ok());
  ASSERT_TRUE(store.Write(6, "not").ok());
  store.Crash(2);
  EXPECT_EQ(*store.Read(), "syncedno");
}

TEST(FileLogStoreTest, ASpareThatCannotBeOpenedIsTriedAgain) {
  FilePlace<false> place;
  ASSERT_TRUE(place.store().Replace("one").ok());
  // In the way of the next spare.
  ASSERT_EQ(::mkdir(place.spare().c_str(), 0700), 0);
  EXPECT_FALSE(place.store().KeepSpace(3).ok());
  EXPECT_FALSE(place.store().Replace("two").ok());
  ASSERT_TRUE(place.store().Write(3, "+").ok()) << "the log is whole all the same";
  ASSERT_TRUE(place.store().Sync().ok());
  EXPECT_EQ(place.store().Read()->substr(0, 4), "one+");
  ASSERT_EQ(::rmdir(place.spare().c_str()), 0);
  EXPECT_TRUE(place.store().Replace("two").ok());
  EXPECT_TRUE(place.store().KeepSpace(3).ok());
  EXPECT_EQ(place.store().Read()->substr(0, 3), "two");
}

TEST(FileLogStoreTest, MissingFolderIsNamed) {
  const auto opened = FileLogStore::Open("/nonexistent-folder/log");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(opened.status().message().find("/nonexistent-folder/log"), std::string::npos);
}

}  // namespace
}  // namespace tessera::agent
