#include "services/registry/store/rocksdb_store.h"

#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

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
  const std::string data = dir.path() + "/data";
  std::shared_ptr<ForgetfulFileSystem> files = std::make_shared<ForgetfulFileSystem>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files);
  std::mt19937_64 random{5};
  std::unique_ptr<Store> New() { return std::make_unique<RocksDbStore>(data, env.get()); }
  // The machine's: all that was synced is there, and something of the rest.
  void Crash() {
    files->Crash([this](uint64_t bytes) { return random() % 2 == 0 ? 0 : random() % (bytes + 1); });
  }
  // The only way: somebody removes the file under the owner.
  void Evict() { fs::remove(data + "/OWNER"); }
  void LoseNext(bool done) {
    files->FailNext(done ? ForgetfulFileSystem::Fault::kSync : ForgetfulFileSystem::Fault::kAppend);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(RocksDb, StoreConformance, RocksDbFixture);

// Without a sync nothing would be there, so that the suite above shows what it is to show.
TEST(RocksDbStoreTest, ExactlyWhatIsSyncedSurvivesACrashOfTheMachine) {
  RocksDbFixture fixture;
  const auto nothing_more = [](uint64_t) { return uint64_t{0}; };
  std::unique_ptr<Store> store = fixture.New();
  const std::optional<Won> won = TryToWin(store.get());
  ASSERT_TRUE(won.has_value());
  const Term term = won->ownership.term;
  ASSERT_EQ(store->Commit(BatchOf(1, {{"a", MakeValue("1")}}), {term, 1}).outcome,
            CommitOutcome::kDone);
  store.reset();
  EXPECT_EQ(fixture.files->Crash(nothing_more), 0u) << "all of it was synced";
  store = fixture.New();
  const std::optional<Won> again = TryToWin(store.get());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->contents.version, 1u);
  EXPECT_EQ(AsMap(again->contents).at("a").first, "1");
}

TEST(RocksDbStoreTest, ALockIsWaitedForAndGoesWithItsOwner) {
  RocksDbFixture fixture;
  std::unique_ptr<Store> first = fixture.New();
  ASSERT_TRUE(TryToWin(first.get(), "first:1").has_value());
  std::unique_ptr<Store> second = fixture.New();
  std::thread waiting([&] {
    const auto result = second->Campaign("second:1", absl::Seconds(60));
    EXPECT_TRUE(result.ok() && std::holds_alternative<Won>(*result)) << result.status();
  });
  first.reset();
  waiting.join();
}

// While the database is closed and opened anew, nobody else gets in.
TEST(RocksDbStoreTest, AnErrorOfTheDiskDoesNotGiveTheOwnershipAway) {
  RocksDbFixture fixture;
  std::unique_ptr<Store> first = fixture.New();
  const std::optional<Won> won = TryToWin(first.get(), "first:1");
  ASSERT_TRUE(won.has_value());
  fixture.LoseNext(/*done=*/false);
  const Guard guard{won->ownership.term, 1};
  ASSERT_EQ(first->Commit(BatchOf(1, {{"a", MakeValue("1")}}), guard).outcome,
            CommitOutcome::kUnknown);
  // Nothing is written past a doubt.
  EXPECT_EQ(first->Commit(BatchOf(1, {{"a", MakeValue("1")}}), guard).outcome,
            CommitOutcome::kUnknown);
  std::unique_ptr<Store> second = fixture.New();
  EXPECT_FALSE(TryToWin(second.get()).has_value());
  EXPECT_EQ(*first->Settle(guard), SettleOutcome::kNever);
  EXPECT_FALSE(TryToWin(second.get()).has_value());
  EXPECT_EQ(first->Commit(BatchOf(1, {{"a", MakeValue("1")}}), {guard.term, 2}).outcome,
            CommitOutcome::kDone);
}

class RocksDbDamageTest : public testing::Test {
 protected:
  // Writes commits from `first` to `last`.
  void Fill(Version first, Version last) {
    RocksDbStore store(data_);
    const std::optional<Won> won = TryToWin(&store);
    ASSERT_TRUE(won.has_value());
    Guard guard{won->ownership.term, won->ownership.last_batch};
    for (Version version = first; version <= last; ++version) {
      const std::string key = "agents/admitted/" + std::to_string(version);
      ++guard.number;
      ASSERT_EQ(
          store.Commit(BatchOf(version, {{key, MakeValue(std::string(200, 'v'))}}), guard).outcome,
          CommitOutcome::kDone);
    }
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

  // The error of taking the store over, OK when there is none.
  absl::Status TakeOver() {
    RocksDbStore store(data_);
    return store.Campaign("here:1", absl::ZeroDuration()).status();
  }
  // Writes one key beside the store's back.
  void Plant(const std::string& key, const std::string& value) {
    rocksdb::DB* opened = nullptr;
    rocksdb::Options options;
    options.create_if_missing = true;
    fs::create_directories(data_);
    ASSERT_TRUE(rocksdb::DB::Open(options, data_, &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    ASSERT_TRUE(db->Put(rocksdb::WriteOptions(), key, value).ok());
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
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, ATornTailOfTheLogIsAnOrdinaryCrash) {
  Fill(1, 50);
  const std::string log = Find(".log");
  fs::resize_file(log, fs::file_size(log) - 7);
  RocksDbStore store(data_);
  const std::optional<Won> won = TryToWin(&store);
  ASSERT_TRUE(won.has_value());
  EXPECT_EQ(won->contents.version, 49u);
  EXPECT_EQ(won->contents.records.size(), 49u);
  EXPECT_EQ(won->ownership.last_batch, 49u);
}

TEST_F(RocksDbDamageTest, AFlippedByteInATableIsSeen) {
  Fill(1, 500);
  Fill(501, 501);  // opening writes what the log held into a table
  const std::string table = Find(".sst");
  FlipByte(table, fs::file_size(table) / 4);
  const absl::Status status = TakeOver();
  ExpectDamaged(status);
  EXPECT_NE(status.message().find(".sst"), std::string::npos) << status;
}

TEST_F(RocksDbDamageTest, AMissingTableIsSeen) {
  Fill(1, 500);
  Fill(501, 501);
  fs::remove(Find(".sst"));
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, AMissingLogIsSeen) {
  Fill(1, 500);
  Fill(501, 1000);
  fs::remove(Find(".log"));
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, AFlippedByteInTheManifestIsSeen) {
  Fill(1, 10);
  Fill(11, 20);
  const std::string manifest = Find("MANIFEST");
  FlipByte(manifest, fs::file_size(manifest) / 2);
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, GarbageInCurrentIsSeen) {
  Fill(1, 10);
  std::ofstream(data_ + "/CURRENT") << "garbage\n";
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, ANewerFormatIsRefusedAndLeftAlone) {
  Fill(1, 3);
  Plant("m/format", EncodeFormat(kStoreFormat + 1));
  const absl::Status refused = TakeOver();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(refused.message().find("written by a newer version (format 2); this one reads up to "
                                   "format 1"),
            std::string::npos)
      << refused;
  EXPECT_NE(refused.message().find(data_), std::string::npos) << refused;
  Plant("m/format", EncodeFormat());
  RocksDbStore store(data_);
  EXPECT_EQ(TryToWin(&store)->contents.version, 3u);
}

TEST_F(RocksDbDamageTest, ADatabaseOfSomethingElseIsLeftAlone) {
  Plant("somebody's", "data");
  ExpectDamaged(TakeOver());
  Plant("m/format", "tessera-registry-1");
  EXPECT_EQ(TakeOver().code(), absl::StatusCode::kFailedPrecondition);
  Plant("m/format", EncodeFormat());
  ExpectDamaged(TakeOver());
}

TEST_F(RocksDbDamageTest, ADirectoryThatCannotBeWrittenIsSaidSo) {
  const std::string file = dir_.path() + "/file";
  std::ofstream(file) << "x";
  for (const std::string& directory :
       {file + "/data", std::string("/proc/registry"), std::string("/proc")}) {
    RocksDbStore store(directory);
    const absl::Status refused = store.Campaign("here:1", absl::ZeroDuration()).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied) << refused;
    EXPECT_NE(refused.message().find(directory), std::string::npos) << refused;
  }
}

}  // namespace
}  // namespace tessera::registry
