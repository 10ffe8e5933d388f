// Commits, recovery and reads of a registry on a real disk. See README.md for each figure.

#include <glog/logging.h>
#include <grpcpp/channel.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/base/flags.h"
#include "services/registry/server/registry_server.h"
#include "services/registry/store/rocksdb_store.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"

ABSL_FLAG(std::string, dir, "/tmp",
          "Directory on the disk to measure; a subdirectory is made and removed.");
ABSL_FLAG(absl::Duration, time, absl::Seconds(3), "How long each number of clients commits.");
ABSL_FLAG(int, keys, 100000, "Keys for recovery and reading.");

namespace tessera::registry {
namespace {

void Figure(const std::string& name, double value, const char* unit) {
  std::printf("figure %s %.6g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

// A registry on a directory, with a client.
struct Running {
  explicit Running(const std::string& directory) {
    auto started = RegistryServer::Start({}, std::make_unique<RocksDbStore>(directory),
                                         [](const std::string& reason) { LOG(FATAL) << reason; });
    CHECK(started.ok()) << started.status();
    server = *std::move(started);
    stub =
        v1::RegistryService::NewStub(rpc::MakeChannel(server->address(), {.own_connection = true}));
  }
  std::unique_ptr<RegistryServer> server;
  std::unique_ptr<v1::RegistryService::Stub> stub;
};

// Clients that each keep one commit on its way until the time is over.
class CommitLoad {
 public:
  explicit CommitLoad(v1::RegistryService::Stub* stub) : stub_(stub) {}

  void Run(int clients) {
    const absl::Time began = absl::Now();
    until_ = began + absl::GetFlag(FLAGS_time);
    {
      absl::MutexLock lock(&mu_);
      running_ = clients;
    }
    for (int client = 0; client < clients; ++client) Next(client, 0);
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](int* running) { return *running == 0; }, &running_));
    const double seconds = Seconds(began);
    std::sort(waits_ms_.begin(), waits_ms_.end());
    const std::string suffix = absl::StrCat(clients, "_clients");
    Figure("registry.commits." + suffix, waits_ms_.size() / seconds, "1/s");
    Figure("registry.commit_ms." + suffix + ".p50", waits_ms_[waits_ms_.size() / 2], "ms");
    Figure("registry.commit_ms." + suffix + ".p99", waits_ms_[waits_ms_.size() * 99 / 100], "ms");
  }

 private:
  void Next(int client, int number) {
    v1::CommitRequest request;
    v1::Write* write = request.add_writes();
    write->set_key(absl::StrCat("bench/", client, "/", number % 100));
    write->set_value(std::string(200, 'v'));
    const absl::Time began = absl::Now();
    rpc::CallAsync<v1::CommitResponse>(
        std::move(request), absl::Seconds(30),
        [this](auto* context, auto* req, auto* resp, auto done) {
          stub_->async()->Commit(context, req, resp, std::move(done));
        },
        [this, client, number, began](absl::StatusOr<v1::CommitResponse> answer) {
          CHECK(answer.ok()) << answer.status();
          const absl::Time now = absl::Now();
          {
            absl::MutexLock lock(&mu_);
            waits_ms_.push_back(absl::ToDoubleMilliseconds(now - began));
            if (now >= until_) {
              --running_;
              return;
            }
          }
          Next(client, number + 1);
        });
  }

  v1::RegistryService::Stub* const stub_;
  absl::Time until_;
  absl::Mutex mu_;
  int running_ = 0;
  std::vector<double> waits_ms_;
};

void MeasureCommits(const std::string& directory) {
  Running registry(directory);
  for (const int clients : {1, 8, 64, 512}) CommitLoad(registry.stub.get()).Run(clients);
}

void MeasureRecovery(const std::string& directory, int keys) {
  {
    RocksDbStore store(directory);
    auto campaign = store.Campaign("", absl::ZeroDuration());
    CHECK(campaign.ok()) << campaign.status();
    Guard guard{.term = std::get<Won>(*campaign).ownership.term};
    for (int key = 0; key < keys;) {
      auto commit = std::make_shared<Commit>();
      commit->version = key / 1000 + 1;
      for (int i = 0; i < 1000 && key < keys; ++i, ++key) {
        commit->writes.push_back(
            {absl::StrCat("agents/admitted/", key), MakeValue(std::string(1000, 'v'))});
      }
      ++guard.number;
      CHECK(store.Commit({.commits = {std::move(commit)}}, guard).outcome == CommitOutcome::kDone);
    }
  }
  const absl::Time began = absl::Now();
  Running registry(directory);
  Figure(absl::StrCat("registry.recover.", keys, "_keys"), Seconds(began) * 1000, "ms");

  const absl::Time read_began = absl::Now();
  v1::ReadRequest request;
  request.set_page_size(10000);
  int records = 0;
  do {
    const auto page = rpc::Call<v1::ReadResponse>(request, absl::Seconds(30),
                                                  [&](auto* context, auto& req, auto* resp) {
                                                    return registry.stub->Read(context, req, resp);
                                                  });
    CHECK(page.ok()) << page.status();
    records += page->records_size();
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  CHECK_EQ(records, keys);
  Figure(absl::StrCat("registry.read.", keys, "_keys"), Seconds(read_began) * 1000, "ms");
}

void Main() {
  std::string pattern = absl::GetFlag(FLAGS_dir) + "/registry-bench-XXXXXX";
  CHECK(mkdtemp(pattern.data()) != nullptr) << "cannot make " << pattern;
  MeasureCommits(pattern + "/commits");
  MeasureRecovery(pattern + "/recovery", absl::GetFlag(FLAGS_keys));
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace tessera::registry

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv, {.name = "registry_bench", .purpose = "Measures the registry on a real disk."});
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = 1;
  google::InitGoogleLogging("registry_bench");
  tessera::registry::Main();
}
