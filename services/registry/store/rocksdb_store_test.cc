#include "services/registry/store/rocksdb_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>

#include "services/registry/store/forgetful_file_system.h"
#include "services/registry/store/store_conformance.h"

namespace tessera::registry {
namespace {

namespace fs = std::filesystem;

// A directory of its own, gone with the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = testing::TempDir() + "/registry-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct RocksDbFixture {
  TempDir dir;
  std::shared_ptr<ForgetfulFileSystem> files = std::make_shared<ForgetfulFileSystem>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  std::mt19937_64 random{5};
  std::unique_ptr<Store> Open() {
    auto store = RocksDbStore::Open(dir.path() + "/data", env.get());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  // The machine's: all that was synced is there, and something of the rest.
  void Crash() {
    files->Crash([this](uint64_t bytes) { return random() % 2 == 0 ? 0 : random() % (bytes + 1); });
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(RocksDb, StoreConformance, RocksDbFixture);

// Without a sync nothing would be there, so that the suite above shows what it is to show.
TEST(RocksDbStoreTest, ExactlyWhatIsSyncedSurvivesACrashOfTheMachine) {
  RocksDbFixture fixture;
  const auto nothing_more = [](uint64_t) { return uint64_t{0}; };
  std::unique_ptr<Store> store = fixture.Open();
  ASSERT_TRUE(store->Append(BatchOf(1, {{"a", MakeValue("1")}})).ok());
  ASSERT_TRUE(store->Sync().ok());
  ASSERT_TRUE(store->Append(BatchOf(2, {{"a", MakeValue("2")}})).ok());
  store.reset();
  EXPECT_GT(fixture.files->Crash(nothing_more), 0u);
  store = fixture.Open();
  const auto contents = store->Recover();
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(contents->version, 1u);
  EXPECT_EQ(AsMap(*contents).at("a").first, "1");
}

class RocksDbDamageTest : public testing::Test {
 protected:
  // Writes commits from `first` to `last`.
  void Fill(Version first, Version last) {
    auto store = RocksDbStore::Open(data_);
    ASSERT_TRUE(store.ok()) << store.status();
    for (Version version = first; version <= last; ++version) {
      const std::string key = "agents/admitted/" + std::to_string(version);
      ASSERT_TRUE(
          (*store)->Append(BatchOf(version, {{key, MakeValue(std::string(200, 'v'))}})).ok());
    }
    ASSERT_TRUE((*store)->Sync().ok());
  }

  // The largest file with this extension ("" for a file of this whole name).
  std::string Find(const std::string& extension) {
    std::string found;
    for (const auto& entry : fs::directory_iterator(data_)) {
      const fs::path& path = entry.path();
      const bool fits = path.extension() == extension ||
                        path.filename().string().rfind(extension + "-", 0) == 0 ||
                        path.filename() == extension;
      if (fits && (found.empty() || fs::file_size(path) > fs::file_size(found))) {
        found = path.string();
      }
    }
    EXPECT_FALSE(found.empty()) << extension;
    return found;
  }

  static void FlipByte(const std::string& file, size_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(at);
    const char byte = static_cast<char>(stream.get());
    stream.seekp(at);
    stream.put(static_cast<char>(byte ^ 0x5a));
  }

  // The error of opening and reading everything, OK when there is none.
  absl::Status OpenAndRead() {
    auto store = RocksDbStore::Open(data_);
    if (!store.ok()) return store.status();
    return (*store)->Recover().status();
  }

  void ExpectDamaged(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_NE(status.message().find(data_), std::string::npos) << status;
    EXPECT_NE(status.message().find("backup"), std::string::npos) << status;
    EXPECT_NE(status.message().find("--epoch_at_least"), std::string::npos) << status;
  }

  TempDir dir_;
  const std::string data_ = dir_.path() + "/data";
};

TEST_F(RocksDbDamageTest, AFlippedByteInTheLogIsSeenAndNothingIsDroppedSilently) {
  Fill(1, 200);
  const std::string log = Find(".log");
  ASSERT_GT(fs::file_size(log), 20000u);
  FlipByte(log, 10000);
  ExpectDamaged(OpenAndRead());
}

TEST_F(RocksDbDamageTest, ATornTailOfTheLogIsAnOrdinaryCrash) {
  Fill(1, 50);
  const std::string log = Find(".log");
  fs::resize_file(log, fs::file_size(log) - 7);
  auto store = RocksDbStore::Open(data_);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto contents = (*store)->Recover();
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(contents->version, 49u);
  EXPECT_EQ(contents->records.size(), 49u);
}

TEST_F(RocksDbDamageTest, AFlippedByteInATableIsSeen) {
  Fill(1, 500);
  Fill(501, 501);  // opening writes what the log held into a table
  const std::string table = Find(".sst");
  FlipByte(table, fs::file_size(table) / 4);
  const absl::Status status = OpenAndRead();
  ExpectDamaged(status);
  EXPECT_NE(status.message().find(".sst"), std::string::npos) << status;
}

TEST_F(RocksDbDamageTest, AMissingTableIsSeen) {
  Fill(1, 500);
  Fill(501, 501);
  fs::remove(Find(".sst"));
  ExpectDamaged(OpenAndRead());
}

TEST_F(RocksDbDamageTest, AMissingLogIsSeen) {
  Fill(1, 500);
  Fill(501, 1000);
  fs::remove(Find(".log"));
  ExpectDamaged(OpenAndRead());
}

TEST_F(RocksDbDamageTest, AFlippedByteInTheManifestIsSeen) {
  Fill(1, 10);
  Fill(11, 20);
  const std::string manifest = Find("MANIFEST");
  FlipByte(manifest, fs::file_size(manifest) / 2);
  ExpectDamaged(OpenAndRead());
}

TEST_F(RocksDbDamageTest, GarbageInCurrentIsSeen) {
  Fill(1, 10);
  std::ofstream(data_ + "/CURRENT") << "garbage\n";
  ExpectDamaged(OpenAndRead());
}

TEST_F(RocksDbDamageTest, ASecondProcessIsRefused) {
  auto first = RocksDbStore::Open(data_);
  ASSERT_TRUE(first.ok());
  const auto second = RocksDbStore::Open(data_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_NE(second.status().message().find("another registry-svc"), std::string::npos);
}

TEST_F(RocksDbDamageTest, ADirectoryThatCannotBeWrittenIsSaidSo) {
  const std::string file = dir_.path() + "/file";
  std::ofstream(file) << "x";
  const auto below = RocksDbStore::Open(file + "/data");
  EXPECT_EQ(below.status().code(), absl::StatusCode::kPermissionDenied) << below.status();
  EXPECT_NE(below.status().message().find(file), std::string::npos);
  EXPECT_EQ(RocksDbStore::Open("/proc/registry").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(RocksDbStore::Open("/proc").status().code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace tessera::registry
