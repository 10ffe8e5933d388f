// What reads cost: the state of 100 agents x 20 frameworks x 10 tasks (20,000 tasks), as in the
// published measurement of Mesos's /state.
//
//   1. the table: changes applied, snapshots published;
//   2. /state in memory: rendered whole, joined from caches, after one change, after one in a
//   hundred;
//   3. /state over HTTP: a master's feed, a state-svc behind it, 32 pollers, with the state at rest
//      and with 1,000 changes a second; what the master's process pays for it;
//   4. the history of deltas: what it counts, and what it costs;
//   5. the feed: one delta to many followers.
//
// The first two are processor time of one thread, the others time on the clock.
//
//   state_snapshots_bench [table json history server fanout]    which parts; all by default
//
// Prints `figure <name> <value> <unit>` for each.

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "protos/tessera/state/v1/state_feed_service.grpc.pb.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/feed_log.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/state_table.h"
#include "services/feed/server/feed_publisher.h"
#include "services/feed/wire/codec.h"
#include "services/rpc/channel.h"
#include "services/rpc/server.h"
#include "services/state/json/state_renderer.h"
#include "services/state/server/state_server.h"

namespace tessera::state {
namespace {

constexpr int kAgents = 100;
constexpr int kFrameworks = 20;
constexpr int kTasks = 10;
constexpr absl::Duration kLoadTime = absl::Seconds(4);
constexpr int kPollers = 32;

void Figure(const std::string& name, double value, const char* unit) {
  std::printf("figure state.%s %.6g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

double Millis(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

// Processor time of this thread: what the work costs, whoever else uses the machine.
double CpuMillis(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
  };
  const double began = now();
  work();
  return now() - began;
}

double Best(int times, const std::function<void()>& work) {
  double best = 1e300;
  for (int i = 0; i < times; ++i) best = std::min(best, CpuMillis(work));
  return best;
}

std::string AgentId(int agent) {
  return absl::StrCat("7a3c1f0e-5b0d-4a52-9d59-0a1b2c3d4e5f-S", agent);
}
std::string FrameworkId(int framework) {
  return absl::StrCat("7a3c1f0e-5b0d-4a52-9d59-0a1b2c3d4e5f-",
                      absl::Dec(framework, absl::kZeroPad4));
}
std::string TaskId(int agent, int task) { return absl::StrCat("task-", agent, "-", task); }

void AddScalar(const char* name, int64_t milli, const char* role,
               google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  pb::Resource* resource = resources->Add();
  resource->set_name(name);
  resource->mutable_scalar()->set_milli(milli);
  if (role != nullptr) resource->set_allocation_role(role);
}

void AddRange(uint64_t begin, uint64_t end,
              google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  pb::Resource* resource = resources->Add();
  resource->set_name("ports");
  auto* range = resource->mutable_ranges()->add_range();
  range->set_begin(begin);
  range->set_end(end);
}

feed::Change Read(const v1::Change& change) { return *feed::FromPublic(change); }

feed::Change MakeAgent(int agent) {
  v1::Change change;
  auto* record = change.mutable_agent_set()->mutable_agent();
  record->mutable_info()->set_id(AgentId(agent));
  record->mutable_info()->set_hostname(absl::StrCat("agent", agent, ".example"));
  record->mutable_info()->set_http_address(absl::StrCat("10.0.", agent, ".1:5061"));
  record->mutable_info()->set_version("0.1.0");
  auto* rack = record->mutable_info()->add_attributes();
  rack->set_name("rack");
  rack->set_text(absl::StrCat("r", agent % 10));
  AddScalar("cpus", 64000, nullptr, record->mutable_total_resources());
  AddScalar("mem", 262144000, nullptr, record->mutable_total_resources());
  AddScalar("disk", 1048576000, nullptr, record->mutable_total_resources());
  AddRange(31000, 32000, record->mutable_total_resources());
  record->set_state(pb::AGENT_STATE_CONNECTED);
  record->set_active(true);
  record->mutable_registered_time()->set_seconds(1700000000 + agent);
  return Read(change);
}

feed::Change MakeFramework(int framework) {
  v1::Change change;
  auto* record = change.mutable_framework_set()->mutable_framework();
  record->mutable_info()->set_id(FrameworkId(framework));
  record->mutable_info()->set_name(absl::StrCat("framework ", framework));
  record->mutable_info()->set_user("root");
  record->mutable_info()->add_roles("batch");
  record->set_state(pb::FRAMEWORK_STATE_ACTIVE);
  record->mutable_registered_time()->set_seconds(1700000000);
  return Read(change);
}

void SetIncarnation(int agent, int framework, int task, pb::Incarnation* incarnation) {
  incarnation->set_epoch(1);
  incarnation->set_number(1 + (agent * kFrameworks + framework) * kTasks + task);
}

// With two statuses, labels and a container's address, as a task of a real cluster has.
feed::Change MakeTask(int agent, int framework, int task) {
  v1::Change change;
  change.mutable_task_set()->set_place(v1::TASK_PLACE_ACTIVE);
  auto* record = change.mutable_task_set()->mutable_task();
  record->set_framework_id(FrameworkId(framework));
  record->set_state(pb::TASK_RUNNING);
  auto* info = record->mutable_info();
  info->set_id(TaskId(agent, task));
  info->set_name(absl::StrCat("worker ", task));
  record->set_agent_id(AgentId(agent));
  SetIncarnation(agent, framework, task, record->mutable_incarnation());
  AddScalar("cpus", 100, "batch", record->mutable_resources());
  AddScalar("mem", 32000, "batch", record->mutable_resources());
  auto* label = info->mutable_labels()->add_label();
  label->set_key("tier");
  label->set_value("backend");
  for (const pb::TaskState state : {pb::TASK_STARTING, pb::TASK_RUNNING}) {
    auto* status = record->add_statuses();
    status->set_state(state);
    status->mutable_timestamp()->set_seconds(1700000100 + state);
    status->mutable_container_status()->set_container_id(
        absl::StrCat("5d2a8c1e-0f3b-4c6d-8e7f-", agent, "-", framework, "-", task));
    status->mutable_container_status()->add_networks()->add_ip_addresses(
        absl::StrCat("10.0.", agent, ".", task));
  }
  return Read(change);
}

// One more status of a task: it runs, as before, and says that it is healthy or not.
feed::Change MakeStatus(uint64_t number) {
  const int agent = number % kAgents;
  const int framework = number / kAgents % kFrameworks;
  const int task = number / kAgents / kFrameworks % kTasks;
  v1::Change change;
  auto* added = change.mutable_task_status_added();
  added->set_framework_id(FrameworkId(framework));
  added->set_task_id(TaskId(agent, task));
  SetIncarnation(agent, framework, task, added->mutable_incarnation());
  added->set_state(pb::TASK_RUNNING);
  added->mutable_status()->set_state(pb::TASK_RUNNING);
  added->mutable_status()->mutable_timestamp()->set_seconds(1700000200 + number);
  added->mutable_status()->set_healthy(number % 2 == 0);
  return Read(change);
}

// The next task whose number is far from the last one's.
uint64_t Scattered(uint64_t number) { return number * 7919; }

std::vector<feed::Change> WholeState() {
  std::vector<feed::Change> changes;
  auto cluster = std::make_shared<v1::ClusterRecord>();
  cluster->set_master_id("7a3c1f0e-5b0d-4a52-9d59-0a1b2c3d4e5f");
  cluster->set_hostname("master.example");
  cluster->set_address("10.0.0.1:5050");
  cluster->set_version("0.1.0");
  changes.push_back(feed::ClusterSet{std::move(cluster)});
  for (int agent = 0; agent < kAgents; ++agent) changes.push_back(MakeAgent(agent));
  for (int f = 0; f < kFrameworks; ++f) changes.push_back(MakeFramework(f));
  for (int agent = 0; agent < kAgents; ++agent) {
    for (int f = 0; f < kFrameworks; ++f) {
      for (int task = 0; task < kTasks; ++task) changes.push_back(MakeTask(agent, f, task));
    }
  }
  return changes;
}

// Of this process, by what the kernel says.
double ResidentMb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

void MeasureTable(feed::StateTable* table) {
  std::vector<feed::Change> whole = WholeState();
  // As a follower reads it: what is kept is what came over the wire, and not shared with its maker.
  const std::string encoded = feed::Encode(1, feed::Delta{1, std::move(whole)});
  whole = {};
  feed::wire::FollowResponse message;
  if (!message.ParseFromString(encoded)) std::abort();
  Figure("table.encoded", encoded.size() / 1e6, "MB");
  malloc_trim(0);
  const double before = ResidentMb();
  feed::FeedPiece piece;
  Figure("table.decode_20000_tasks", CpuMillis([&] { piece = *feed::Decode(std::move(message)); }),
         "ms");
  std::vector<feed::Change>& changes = std::get<feed::Delta>(piece.kind).changes;
  const size_t count = changes.size();
  const double load = CpuMillis([&] {
    for (feed::Change& change : changes) table->Apply(std::move(change));
  });
  Figure("table.load_20000_tasks", load, "ms");
  Figure("table.changes_applied", count / load * 1000, "changes_per_s");
  piece = {};
  message = {};
  malloc_trim(0);
  Figure("table.memory", ResidentMb() - before, "MB");
  constexpr int kUpdates = 20000;
  std::vector<feed::Change> updates;
  for (int i = 0; i < kUpdates; ++i) updates.push_back(MakeStatus(Scattered(i)));
  feed::SnapshotPtr last = table->Publish();
  const double each = CpuMillis([&] {
    for (feed::Change& update : updates) {
      table->Apply(std::move(update));
      last = table->Publish();
    }
  });
  Figure("table.status_with_a_snapshot_each", each / kUpdates * 1000, "us");
  constexpr int kPublishes = 100000;
  const double publish = CpuMillis([&] {
    for (int i = 0; i < kPublishes; ++i) last = table->Publish();
  });
  Figure("table.publish", publish / kPublishes * 1e6, "ns");
  const double told = Best(5, [&] {
    feed::ChangeCursor cursor(last);
    bool more = true;
    while (more) {
      feed::SnapshotPart part;
      more = cursor.Next(512, &part.changes);
      feed::Encode(1, part);
    }
  });
  Figure("table.snapshot_told_as_bytes", told, "ms");
}

// What the history costs: deltas of one status each, watchers or not.
void MeasureHistory() {
  feed::FeedState state;
  state.KeepScopes();
  feed::FeedLog log({.history_bytes_max = 32 << 20});
  feed::FeedEffects effects;
  uint64_t version = 1;
  state.Publish(1, true, feed::Delta{version, WholeState()}, &effects);
  const auto publish = [&](int deltas) {
    for (int i = 0; i < deltas; ++i) {
      ++version;
      state.Publish(1, false, feed::Delta{version, {MakeStatus(Scattered(version))}}, &effects);
      state.Flush(&effects);
      for (feed::FeedEffect& effect : std::exchange(effects, {})) log.Take(std::move(effect));
    }
  };
  // Every task has been touched, so that the table grows no more.
  publish(kAgents * kFrameworks * kTasks);
  malloc_trim(0);
  const double before = ResidentMb();
  const double counted = log.counters().history_bytes / 1e6;
  publish(2 * kAgents * kFrameworks * kTasks);
  malloc_trim(0);
  Figure("history.counted", log.counters().history_bytes / 1e6 - counted, "MB");
  Figure("history.memory", ResidentMb() - before, "MB");
}

void MeasureJson(feed::StateTable* table) {
  StateRenderer renderer({"state.example", 5064});
  JsonBody body;
  const SnapshotPtr first = table->Publish();
  Figure("json.render_whole", CpuMillis([&] { body = renderer.State(*first); }), "ms");
  Figure("json.size", body.size() / 1e6, "MB");
  Figure("json.pieces", body.pieces.size(), "pieces");
  Figure("json.join_unchanged", Best(20, [&] { body = renderer.State(*first); }), "ms");
  Figure("json.copy_into_one_string", Best(5, [&] { body.ToString(); }), "ms");
  uint64_t number = 0;
  const auto after = [&](int changes, int times) {
    double total = 0;
    for (int i = 0; i < times; ++i) {
      for (int j = 0; j < changes; ++j) table->Apply(MakeStatus(Scattered(++number)));
      const SnapshotPtr snapshot = table->Publish();
      total += CpuMillis([&] { body = renderer.State(*snapshot); });
    }
    return total / times;
  };
  Figure("json.render_after_1_change", after(1, 200), "ms");
  Figure("json.render_after_200_changes", after(200, 20), "ms");
  std::vector<Chunk> packed;
  Figure("json.gzip_whole", CpuMillis([&] { packed = JoinAsGzip(body.pieces); }), "ms");
  size_t size = 0;
  for (const Chunk& chunk : packed) size += chunk->size();
  Figure("json.gzip_ratio", static_cast<double>(body.size()) / size, "x");
  Figure("json.gzip_join_unchanged", Best(10, [&] { packed = JoinAsGzip(body.pieces); }), "ms");
  table->Apply(MakeStatus(Scattered(++number)));
  body = renderer.State(*table->Publish());
  Figure("json.gzip_after_1_change", CpuMillis([&] { packed = JoinAsGzip(body.pieces); }), "ms");
}

int Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port)) std::abort();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) std::abort();
  return fd;
}

// Polls over one connection until told to stop; reads each body whole.
struct Poller {
  uint64_t requests = 0;
  uint64_t bytes = 0;
  std::vector<double> millis;

  void Run(const std::string& address, const std::string& headers, std::atomic<bool>* stop) {
    const int fd = Connect(address);
    const std::string request =
        absl::StrCat("GET /state HTTP/1.1\r\nHost: bench\r\n", headers, "\r\n");
    std::string buffer(1 << 20, '\0');
    while (!stop->load()) {
      millis.push_back(Millis([&] {
        if (send(fd, request.data(), request.size(), 0) < 0) std::abort();
        size_t have = 0;
        size_t end = std::string::npos;
        while (end == std::string::npos) {
          const ssize_t got = recv(fd, buffer.data() + have, buffer.size() - have, 0);
          if (got <= 0) std::abort();
          have += got;
          end = std::string_view(buffer.data(), have).find("\r\n\r\n");
        }
        const size_t at = std::string_view(buffer.data(), end).find("Content-Length: ") + 16;
        size_t left = std::strtoull(buffer.data() + at, nullptr, 10);
        bytes += left;
        left -= have - end - 4;
        while (left > 0) {
          const ssize_t got = recv(fd, buffer.data(), std::min(left, buffer.size()), 0);
          if (got <= 0) std::abort();
          left -= got;
        }
      }));
      ++requests;
    }
    close(fd);
  }
};

void MeasureHttp(const std::string& address, const std::string& name, const std::string& headers,
                 int pollers) {
  std::atomic<bool> stop{false};
  std::vector<Poller> all(pollers);
  std::vector<std::thread> threads;
  const absl::Time began = absl::Now();
  for (Poller& poller : all) {
    threads.emplace_back([&] { poller.Run(address, headers, &stop); });
  }
  absl::SleepFor(kLoadTime);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  uint64_t requests = 0;
  uint64_t bytes = 0;
  std::vector<double> millis;
  for (const Poller& poller : all) {
    requests += poller.requests;
    bytes += poller.bytes;
    millis.insert(millis.end(), poller.millis.begin(), poller.millis.end());
  }
  std::sort(millis.begin(), millis.end());
  Figure(absl::StrCat("json_requests.", name), requests / seconds, "requests_per_s");
  Figure(absl::StrCat("json_bytes.", name), bytes / seconds / 1e6, "MB_per_s");
  Figure(
      absl::StrCat("json_latency_mean.", name),
      [&] {
        double sum = 0;
        for (const double each : millis) sum += each;
        return sum / millis.size();
      }(),
      "ms");
  Figure(absl::StrCat("json_latency_p99.", name), millis[millis.size() * 99 / 100], "ms");
}

// A master's feed with the whole state in it, and changes on demand.
class Master {
 public:
  Master() : publisher_(feed::FeedOptions{.heartbeat_interval = absl::Seconds(5)}) {
    auto server = rpc::Server::Start({}, {publisher_.service()});
    if (!server.ok()) std::abort();
    server_ = *std::move(server);
    publisher_.Publish(1, true, feed::Delta{1, WholeState()});
    publisher_.Flush();
  }
  ~Master() {
    publisher_.Stop();
    server_->Stop(absl::Seconds(1));
  }

  void Publish(int changes) {
    feed::Delta delta{++version_, {}};
    for (int i = 0; i < changes; ++i) delta.changes.push_back(MakeStatus(Scattered(++number_)));
    publisher_.Publish(1, false, std::move(delta));
  }

  const std::string& address() const { return server_->address(); }
  feed::FeedPublisher& publisher() { return publisher_; }
  uint64_t version() const { return version_; }

 private:
  feed::FeedPublisher publisher_;
  std::unique_ptr<rpc::Server> server_;
  uint64_t version_ = 1;
  uint64_t number_ = 0;
};

void MeasureServer() {
  Master master;
  StateServerOptions options;
  options.core.feeds = {master.address()};
  auto state = StateServer::Start(options);
  if (!state.ok()) std::abort();
  const double synced = Millis([&] {
    while ((*state)->publisher().snapshot() == nullptr) absl::SleepFor(absl::Milliseconds(1));
  });
  Figure("server.first_snapshot_over_grpc", synced, "ms");
  const std::string http = (*state)->http_address();
  MeasureHttp(http, "1_poller", "", 1);
  MeasureHttp(http, "32_pollers", "", kPollers);
  MeasureHttp(http, "32_pollers_gzip", "Accept-Encoding: gzip\r\n", kPollers);
  const uint64_t built = (*state)->reads().states_built();
  const uint64_t nanos = (*state)->reads().build_nanos();
  const feed::FeedCounters before = master.publisher().counters();
  std::atomic<bool> stop{false};
  std::thread changes([&] {
    while (!stop.load()) {
      master.Publish(10);
      absl::SleepFor(absl::Milliseconds(10));
    }
  });
  MeasureHttp(http, "32_pollers_changing", "", kPollers);
  MeasureHttp(http, "32_pollers_gzip_changing", "Accept-Encoding: gzip\r\n", kPollers);
  stop = true;
  changes.join();
  const feed::FeedCounters after = master.publisher().counters();
  const uint64_t builds = (*state)->reads().states_built() - built;
  Figure("server.builds_while_changing", builds / (2 * absl::ToDoubleSeconds(kLoadTime)), "per_s");
  Figure("server.build_while_changing",
         builds == 0 ? 0 : ((*state)->reads().build_nanos() - nanos) / 1e6 / builds, "ms");
  // What the master sends for all of it: one copy of each delta.
  Figure("server.master_bytes_sent_per_delta_byte",
         static_cast<double>(after.bytes_sent - before.bytes_sent) /
             std::max<uint64_t>(1, after.bytes_serialised - before.bytes_serialised),
         "x");
  const uint64_t target = master.version();
  while ((*state)->publisher().snapshot()->version < target) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  constexpr int kProbes = 200;
  double total = 0;
  for (int i = 0; i < kProbes; ++i) {
    total += Millis([&] {
      master.Publish(1);
      while ((*state)->publisher().snapshot()->version < master.version())
        std::this_thread::yield();
    });
  }
  Figure("server.change_to_snapshot_behind_one_hop", total / kProbes, "ms");
}

// A follower that counts what it reads.
void Count(const std::string& address, uint64_t until, std::atomic<int>* ready,
           std::atomic<int>* done) {
  auto stub = v1::StateFeedService::NewStub(rpc::MakeChannel(address));
  grpc::ClientContext context;
  auto reader = stub->Follow(&context, v1::FollowRequest());
  v1::FollowResponse response;
  bool whole = false;
  while (reader->Read(&response)) {
    if (response.has_snapshot() && response.snapshot().last() && !whole) {
      whole = true;
      ready->fetch_add(1);
    }
    if (response.has_delta() && response.delta().version() >= until) break;
  }
  done->fetch_add(1);
  context.TryCancel();
}

void MeasureFanOut(int followers) {
  Master master;
  constexpr int kDeltas = 2000;
  std::atomic<int> ready{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  const double joined = Millis([&] {
    for (int i = 0; i < followers; ++i) {
      threads.emplace_back([&] { Count(master.address(), kDeltas + 1, &ready, &done); });
    }
    while (ready.load() < followers) absl::SleepFor(absl::Milliseconds(1));
  });
  const feed::FeedCounters before = master.publisher().counters();
  double publish = 0;
  const double all = Millis([&] {
    publish = Millis([&] {
      for (int i = 0; i < kDeltas; ++i) master.Publish(10);
    });
    while (done.load() < followers) absl::SleepFor(absl::Milliseconds(1));
  });
  for (std::thread& thread : threads) thread.join();
  const feed::FeedCounters after = master.publisher().counters();
  const std::string suffix = absl::StrCat(followers, "_followers");
  Figure(absl::StrCat("fanout.join.", suffix), joined, "ms");
  Figure(absl::StrCat("fanout.publish_call.", suffix), publish / kDeltas * 1000, "us");
  Figure(absl::StrCat("fanout.changes_delivered.", suffix), followers * kDeltas * 10 / all * 1000,
         "changes_per_s");
  Figure(absl::StrCat("fanout.sent_per_serialised_byte.", suffix),
         static_cast<double>(after.bytes_sent - before.bytes_sent) /
             (after.bytes_serialised - before.bytes_serialised),
         "x");
}

void Run(const std::vector<std::string>& parts) {
  const auto wanted = [&](const char* part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  feed::StateTable table;
  table.Reset(1);
  if (wanted("table") || wanted("json")) MeasureTable(&table);
  if (wanted("json")) MeasureJson(&table);
  if (wanted("history")) MeasureHistory();
  if (wanted("server")) MeasureServer();
  if (!wanted("fanout")) return;
  for (const int followers : {1, 8, 32}) MeasureFanOut(followers);
}

}  // namespace
}  // namespace tessera::state

int main(int argc, char** argv) {
  tessera::state::Run(std::vector<std::string>(argv + 1, argv + argc));
  return 0;
}
