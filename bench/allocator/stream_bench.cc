// From a master's message that resources are free to the allocation of them, through real gRPC on
// loopback: one stream, one change at a time, service and master on the same machine.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
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

void Run() {
  auto server = AllocatorServer::Start({});
  if (!server.ok()) Fail(server.status().ToString());
  auto stub = v1::AllocatorService::NewStub(
      grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  auto stream = stub->Allocate(&context);
  uint64_t sequence = 0;
  const auto send = [&](v1::AllocateRequest request) {
    request.set_epoch(1);
    request.set_sequence(++sequence);
    if (!stream->Write(request)) Fail("the stream broke");
  };
  std::vector<v1::Allocation> out;
  const auto receive = [&] {
    v1::AllocateResponse response;
    if (!stream->Read(&response)) Fail("the stream broke");
    for (auto& one : *response.mutable_allocations()) out.push_back(std::move(one));
  };
  send(Snapshot());
  while (out.size() < kAgents) receive();

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
    send(std::move(request));
    while (out.size() < kAgents) receive();
    latencies.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
            .count());
  }
  std::sort(latencies.begin(), latencies.end());
  for (int percent : {50, 99}) {
    std::printf("figure allocator.stream_latency.p%d.%dx%d %.3f ms\n", percent, kAgents,
                kFrameworks, latencies[latencies.size() * percent / 100]);
  }
  stream->WritesDone();
  stream->Finish();
}

}  // namespace
}  // namespace tessera::allocator

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv,
      {.name = "stream_bench", .purpose = "Measures the allocator through its gRPC stream."});
  tessera::allocator::Run();
  return 0;
}
