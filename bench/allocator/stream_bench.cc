// From a master's message that resources are free to the allocation of them, through real gRPC on
// loopback: one stream, one change at a time, service and master on the same machine. Then how long
// a reader of /metrics waits in a cluster with a quota for each role.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protos/tessera/allocator/v1/allocator_service.grpc.pb.h"
#include "services/allocator/server/allocator_server.h"
#include "services/base/flags.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"

namespace tessera::allocator {
namespace {

constexpr int kAgents = 1000;
constexpr int kFrameworks = 200;
constexpr int kChanges = 2000;

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "stream_bench: %s\n", why.c_str());
  std::exit(1);
}

v1::AllocateRequest Snapshot() {
  const model::Resources total =
      *model::ParseResources("cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
  v1::AllocateRequest snapshot;
  for (int i = 0; i < kFrameworks; ++i) {
    auto* added = snapshot.add_events()->mutable_framework_added();
    added->mutable_info()->set_id(absl::StrCat("framework-", i));
    added->mutable_info()->add_roles("*");
    added->set_active(true);
  }
  for (int i = 0; i < kAgents; ++i) {
    auto* added = snapshot.add_events()->mutable_agent_added();
    added->mutable_info()->set_id(absl::StrCat("agent-", i));
    added->set_active(true);
    model::wire::ToProto(total, added->mutable_total());
  }
  snapshot.set_snapshot_complete(true);
  return snapshot;
}

double MsSince(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

// A master with a stream to a service of its own.
class Master {
 public:
  Master() {
    auto server = AllocatorServer::Start({});
    if (!server.ok()) Fail(server.status().ToString());
    server_ = *std::move(server);
    stub_ = v1::AllocatorService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
    stream_ = stub_->Allocate(&context_);
  }
  ~Master() {
    stream_->WritesDone();
    stream_->Finish();
  }
  void Send(v1::AllocateRequest request) {
    request.set_epoch(1);
    request.set_sequence(++sequence_);
    if (!stream_->Write(request)) Fail("the stream broke");
  }
  // Waits until `count` allocations are out.
  void Receive(size_t count) {
    while (out_.size() < count) {
      v1::AllocateResponse response;
      if (!stream_->Read(&response)) Fail("the stream broke");
      for (auto& one : *response.mutable_allocations()) out_.push_back(std::move(one));
    }
  }
  std::vector<v1::Allocation>& out() { return out_; }
  const std::string& http_address() const { return server_->http_address(); }

 private:
  std::unique_ptr<AllocatorServer> server_;
  std::unique_ptr<v1::AllocatorService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AllocateRequest, v1::AllocateResponse>> stream_;
  uint64_t sequence_ = 0;
  std::vector<v1::Allocation> out_;
};

void MeasureLatency() {
  Master master;
  master.Send(Snapshot());
  master.Receive(kAgents);
  std::vector<v1::Allocation>& out = master.out();
  std::vector<double> latencies;
  for (int i = 0; i < kChanges; ++i) {
    std::swap(out[i % out.size()], out.back());
    v1::AllocateRequest request;
    auto* recovered = request.add_events()->mutable_recovered();
    recovered->set_framework_id(out.back().framework_id());
    recovered->set_agent_id(out.back().agent_id());
    *recovered->mutable_resources() = std::move(*out.back().mutable_resources());
    out.pop_back();
    const auto began = std::chrono::steady_clock::now();
    master.Send(std::move(request));
    master.Receive(kAgents);
    latencies.push_back(MsSince(began));
  }
  std::sort(latencies.begin(), latencies.end());
  for (int percent : {50, 99}) {
    std::printf("figure allocator.stream_latency.p%d.%dx%d %.3f ms\n", percent, kAgents,
                kFrameworks, latencies[latencies.size() * percent / 100]);
  }
}

// GET /metrics over a connection of its own; the whole answer.
std::string Scrape(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) Fail(address);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) Fail("cannot connect");
  const std::string request =
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    Fail("cannot ask for /metrics");
  }
  std::string answer;
  char buffer[65536];
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, got);
  close(fd);
  return answer;
}

// Values by name and labels.
std::map<std::string, double> Samples(const std::string& answer) {
  std::map<std::string, double> samples;
  std::istringstream lines(answer);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
    samples[line.substr(0, space)] = std::strtod(line.c_str() + space, nullptr);
  }
  return samples;
}

// Mesos's Metrics benchmark: a role with quota for each framework.
void MeasureMetrics(int frameworks) {
  Master master;
  v1::AllocateRequest snapshot;
  for (int i = 0; i < frameworks; ++i) {
    auto* quota = snapshot.add_events()->mutable_quota_set();
    quota->set_role(absl::StrCat("role-", i));
    for (auto* amounts : {quota->mutable_guarantees(), quota->mutable_limits()}) {
      (*amounts->mutable_amounts())["cpus"].set_milli(1000);
      (*amounts->mutable_amounts())["mem"].set_milli(512'000);
      (*amounts->mutable_amounts())["disk"].set_milli(256'000);
    }
  }
  for (int i = 0; i < frameworks; ++i) {
    auto* added = snapshot.add_events()->mutable_framework_added();
    added->mutable_info()->set_id(absl::StrCat("framework-", i));
    added->mutable_info()->add_roles(absl::StrCat("role-", i));
    added->set_active(true);
  }
  const model::Resources total = *model::ParseResources("cpus:16;mem:2048;disk:1024");
  for (int i = 0; i < kAgents; ++i) {
    auto* added = snapshot.add_events()->mutable_agent_added();
    added->mutable_info()->set_id(absl::StrCat("agent-", i));
    added->set_active(true);
    model::wire::ToProto(total, added->mutable_total());
  }
  snapshot.set_snapshot_complete(true);
  master.Send(std::move(snapshot));
  master.Receive(frameworks);
  // The service shows a new view a few times a second.
  const std::string last = absl::StrCat("{role=\"role-", frameworks - 1, "\"");
  while (Scrape(master.http_address()).find(last) == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::vector<double> times;
  for (int i = 0; i < 15; ++i) {
    const auto began = std::chrono::steady_clock::now();
    const std::map<std::string, double> samples = Samples(Scrape(master.http_address()));
    times.push_back(MsSince(began));
    if (samples.size() < static_cast<size_t>(10 * frameworks)) Fail("/metrics lacks samples");
  }
  std::sort(times.begin(), times.end());
  // Mesos's best of three: 10.6 ms with 50 roles, 23.7 ms with 200.
  const double mesos = frameworks == 50 ? 10.6 : 23.7;
  std::printf("figure allocator.metrics.min.%dx%d %.3f ms\n", kAgents, frameworks, times[0]);
  std::printf("figure allocator.metrics.%dx%d %.3f ms\n", kAgents, frameworks,
              times[times.size() / 2]);
  std::printf("figure allocator.metrics.times_faster.%dx%d %.4g times\n", kAgents, frameworks,
              mesos / times[0]);
}

}  // namespace
}  // namespace tessera::allocator

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv,
      {.name = "stream_bench", .purpose = "Measures the allocator through its gRPC stream."});
  tessera::allocator::MeasureLatency();
  for (int frameworks : {50, 200}) tessera::allocator::MeasureMetrics(frameworks);
  return 0;
}
