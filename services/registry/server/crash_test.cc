// kill -9 of the real registry-svc, a hundred times, at any point: while it starts, writes, syncs,
// answers. No acknowledged write may be lost, none may be half there, and epochs only grow.

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"

namespace tessera::registry {
namespace {

constexpr int kKills = 100;
constexpr int kWriters = 4;
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr char kBinary[] = "services/registry/registry-svc";

// A registry-svc of its own process.
class Process {
 public:
  explicit Process(const std::string& data_dir) {
    int out[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    const std::string data_flag = "--data_dir=" + data_dir;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], 1);
      execl(kBinary, kBinary, "--listen=127.0.0.1:0", "--http_listen=127.0.0.1:0",
            "--lease_ttl=100ms", data_flag.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    out_ = out[0];
  }
  ~Process() {
    Kill();
    close(out_);
  }

  // The address that it serves on; empty when it ended before it did.
  std::string AwaitServing() {
    std::string line;
    char c;
    while (read(out_, &c, 1) == 1 && c != '\n') line.push_back(c);
    for (const absl::string_view word : absl::StrSplit(line, ' ')) {
      if (absl::StartsWith(word, "grpc=")) return std::string(word.substr(5));
    }
    return "";
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
};

// What one writer knows: it writes the numbers 1, 2, 3 … into two keys of one commit.
struct Writer {
  uint64_t acknowledged = 0;
  uint64_t attempted = 0;
  uint64_t acknowledged_version = 0;
};

std::string KeyOf(int writer, const char* half) { return absl::StrCat("crash/", writer, half); }

class CrashTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/crash-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // Commits until it fails, i.e. until the process is killed.
  void Write(v1::RegistryService::Stub* stub, int number) {
    Writer& writer = writers_[number];
    while (true) {
      v1::CommitRequest request;
      writer.attempted = std::max(writer.attempted, writer.acknowledged) + 1;
      for (const char* half : {"a", "b"}) {
        v1::Write* write = request.add_writes();
        write->set_key(KeyOf(number, half));
        write->set_value(absl::StrCat(writer.attempted));
      }
      const auto answer = rpc::Call<v1::CommitResponse>(
          request, kPatience,
          [&](auto* c, auto& req, auto* resp) { return stub->Commit(c, req, resp); });
      if (!answer.ok()) return;
      writer.acknowledged = writer.attempted;
      writer.acknowledged_version = answer->version();
      acknowledged_.fetch_add(1);
    }
  }

  // What is on disk must be what was acknowledged, or what was attempted after it.
  void Check(v1::RegistryService::Stub* stub) {
    v1::ReadRequest request;
    request.add_prefixes("crash/");
    const auto read = rpc::Call<v1::ReadResponse>(
        request, kPatience,
        [&](auto* c, auto& req, auto* resp) { return stub->Read(c, req, resp); });
    ASSERT_TRUE(read.ok()) << read.status();
    std::map<std::string, v1::Record> records;
    for (const v1::Record& record : read->records()) records[record.key()] = record;
    for (int number = 0; number < kWriters; ++number) {
      Writer& writer = writers_[number];
      ASSERT_GE(read->version(), writer.acknowledged_version);
      const v1::Record& a = records[KeyOf(number, "a")];
      const v1::Record& b = records[KeyOf(number, "b")];
      ASSERT_EQ(a.value(), b.value()) << "half of a commit";
      ASSERT_EQ(a.version(), b.version());
      uint64_t value = 0;
      ASSERT_TRUE(a.value().empty() || absl::SimpleAtoi(a.value(), &value));
      ASSERT_GE(value, writer.acknowledged) << "an acknowledged write is lost";
      ASSERT_LE(value, writer.attempted);
      if (value > writer.acknowledged) ++unacknowledged_kept_;
      writer.acknowledged = value;
      writer.acknowledged_version = std::max(writer.acknowledged_version, a.version());
    }
  }

  // Wins the lease as a candidate of its own; it has to be newer than all before.
  void CheckEpoch(v1::RegistryService::Stub* stub, int round) {
    absl::Mutex mu;
    uint64_t epoch = 0;
    bool done = false;
    v1::CampaignRequest request;
    request.set_candidate_id(absl::StrCat("candidate-", round));
    request.set_address("127.0.0.1:1");
    auto control = rpc::OpenServerStream<v1::CampaignResponse>(
        {.on_message =
             [&](v1::CampaignResponse response) {
               absl::MutexLock lock(&mu);
               if (response.has_lease()) epoch = response.lease().epoch();
               return absl::OkStatus();
             },
         .on_done =
             [&](const absl::Status&) {
               absl::MutexLock lock(&mu);
               done = true;
             }},
        [&](auto* context, auto* reactor) { stub->async()->Campaign(context, &request, reactor); });
    {
      absl::MutexLock lock(&mu);
      const auto won = [&] { return epoch > 0 || done; };
      mu.AwaitWithTimeout(absl::Condition(&won), kPatience);
      EXPECT_GT(epoch, highest_epoch_);
      highest_epoch_ = std::max(highest_epoch_, epoch);
    }
    control->Cancel(absl::CancelledError("enough"));
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&done));
  }

  std::string directory_;
  std::vector<Writer> writers_ = std::vector<Writer>(kWriters);
  std::atomic<int> acknowledged_{0};
  int unacknowledged_kept_ = 0;
  uint64_t highest_epoch_ = 0;
};

TEST_F(CrashTest, NoAcknowledgedWriteIsLostOverAHundredKills) {
  std::mt19937_64 random(20);
  int killed_at_start = 0;
  for (int round = 0; round < kKills; ++round) {
    if (round % 10 == 9) {
      Process early(directory_);
      absl::SleepFor(absl::Microseconds(random() % 60000));
      early.Kill();
      ++killed_at_start;
      continue;
    }
    Process process(directory_);
    const std::string address = process.AwaitServing();
    ASSERT_FALSE(address.empty()) << "it did not start after kill " << round;
    auto stub = v1::RegistryService::NewStub(rpc::MakeChannel(address, {.own_connection = true}));
    Check(stub.get());
    if (HasFatalFailure()) return;
    if (round % 10 == 0) CheckEpoch(stub.get(), round);
    std::vector<std::thread> threads;
    for (int number = 0; number < kWriters; ++number) {
      threads.emplace_back([&, number] { Write(stub.get(), number); });
    }
    absl::SleepFor(absl::Microseconds(1000 + random() % 60000));
    process.Kill();
    for (std::thread& thread : threads) thread.join();
  }
  Process last(directory_);
  auto stub =
      v1::RegistryService::NewStub(rpc::MakeChannel(last.AwaitServing(), {.own_connection = true}));
  Check(stub.get());
  CheckEpoch(stub.get(), kKills);
  EXPECT_GT(acknowledged_.load(), kKills) << "too few writes to show anything";
  EXPECT_GE(highest_epoch_, 10u);
  std::printf(
      "%d kills (%d of them while it started): %d writes acknowledged, none lost; %d more "
      "were on disk before they were answered\n",
      kKills, killed_at_start, acknowledged_.load(), unacknowledged_kept_);
}

}  // namespace
}  // namespace tessera::registry
