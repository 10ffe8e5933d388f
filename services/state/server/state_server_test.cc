// state-svc over loopback: chained behind a master's feed, read over gRPC and HTTP.
#include "services/state/server/state_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "protos/tessera/state/v1/state_service.grpc.pb.h"
#include "services/base/rng.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/recompute.h"
#include "services/rpc/channel.h"
#include "services/rpc/server.h"
#include "services/rpc/status.h"
#include "services/state/server/state_settings.h"

namespace tessera::state {
namespace {

using Json = nlohmann::json;
using feed::Describe;
using feed::FindDisagreement;
using feed::RandomChange;
using feed::SnapshotPtr;
using model::v1::ErrorDetail;

constexpr absl::Duration kPatience = absl::Seconds(20);

template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// What a master shows of itself.
class FakeMaster {
 public:
  explicit FakeMaster(const std::string& listen = "127.0.0.1:0",
                      absl::Duration heartbeat_interval = absl::Seconds(5))
      : publisher(feed::FeedOptions{.heartbeat_interval = heartbeat_interval}) {
    auto started = rpc::Server::Start({.listen = listen}, {publisher.service()});
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  ~FakeMaster() {
    publisher.Stop();
    server->Stop(absl::Seconds(1));
  }

  void Publish(std::vector<feed::Change> changes, bool reset = false) {
    if (reset) version = 0;
    publisher.Publish(epoch, reset, feed::Delta{++version, std::move(changes)});
  }
  void PublishRandom(int changes, bool reset = false) {
    std::vector<feed::Change> all;
    for (int i = 0; i < changes; ++i) all.push_back(RandomChange(rng));
    Publish(std::move(all), reset);
  }

  feed::FeedPublisher publisher;
  std::unique_ptr<rpc::Server> server;
  uint64_t epoch = 1;
  uint64_t version = 0;
  base::Rng rng{11};
};

std::unique_ptr<StateServer> Serve(const std::vector<std::string>& feeds,
                                   absl::Duration max_age = absl::ZeroDuration()) {
  StateServerOptions options;
  options.core.feeds = feeds;
  options.core.backoff.max = absl::Milliseconds(200);
  options.reads.max_age = max_age;
  auto server = StateServer::Start(options);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

bool Reaches(StateServer& server, uint64_t epoch, uint64_t version) {
  return Eventually([&] {
    const SnapshotPtr snapshot = server.publisher().snapshot();
    return snapshot != nullptr && snapshot->epoch == epoch && snapshot->version == version;
  });
}

struct Answer {
  int status = 0;
  std::string headers;
  std::string body;
};

Answer Get(const std::string& address, const std::string& target,
           const std::string& extra_headers = "") {
  Answer answer;
  const size_t colon = address.rfind(':');
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(colon + 1), &port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  const std::string request = absl::StrCat("GET ", target, " HTTP/1.0\r\nHost: x\r\n",
                                           extra_headers, "Connection: close\r\n\r\n");
  EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string all;
  char piece[1 << 16];
  for (ssize_t got = 0; (got = recv(fd, piece, sizeof(piece), 0)) > 0;) all.append(piece, got);
  close(fd);
  const size_t end = all.find("\r\n\r\n");
  if (end == std::string::npos) return answer;
  answer.headers = all.substr(0, end);
  answer.body = all.substr(end + 4);
  EXPECT_TRUE(absl::SimpleAtoi(all.substr(9, 3), &answer.status));
  return answer;
}

class Client {
 public:
  explicit Client(const std::string& address)
      : stub(v1::StateService::NewStub(rpc::MakeChannel(address))) {}

  template <typename Response, typename Request, typename Method>
  absl::StatusOr<Response> Call(Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    context.set_wait_for_ready(true);
    Response response;
    const grpc::Status status = (stub.get()->*method)(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }

  std::unique_ptr<v1::StateService::Stub> stub;
};

using Stub = v1::StateService::Stub;

TEST(StateServerTest, ChainsBehindAMaster) {
  FakeMaster master;
  master.PublishRandom(500, true);
  auto near = Serve({master.server->address()});
  auto far = Serve({near->address()});
  ASSERT_TRUE(Reaches(*far, 1, 1));
  for (int i = 0; i < 200; ++i) master.PublishRandom(5);
  ASSERT_TRUE(Reaches(*far, 1, 201));
  master.publisher.Flush();
  const std::string expected = Describe(master.publisher.snapshot());
  EXPECT_EQ(Describe(near->publisher().snapshot()), expected);
  EXPECT_EQ(Describe(far->publisher().snapshot()), expected);
  EXPECT_EQ(FindDisagreement(*far->publisher().snapshot()), "");
  // The master has one follower, whatever follows behind it.
  EXPECT_EQ(master.publisher.counters().followers, 1u);
  // The middle one goes away; the last one keeps what it has, and goes on behind another.
  const std::string near_address = near->address();
  near->Stop();
  near.reset();
  master.PublishRandom(5);
  EXPECT_EQ(Describe(far->publisher().snapshot()), expected);
  StateServerOptions options;
  options.listen = near_address;
  options.core.feeds = {master.server->address()};
  auto again = StateServer::Start(options);
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_TRUE(Reaches(**again, 1, 202));
  ASSERT_TRUE(Reaches(*far, 1, 202));
  EXPECT_EQ(Describe(far->publisher().snapshot()), Describe(master.publisher.snapshot()));
}

// Behind any number of state-svcs, an age is that of the master's heartbeat, and state-svcs that
// list each other do not keep one another fresh, or busy.
TEST(StateServerTest, StateSvcsThatFollowEachOtherKnowThatTheMasterIsGone) {
  constexpr absl::Duration kSilence = absl::Milliseconds(500);
  auto master = std::make_unique<FakeMaster>("127.0.0.1:0", absl::Milliseconds(100));
  master->PublishRandom(100, true);
  StateServerOptions options;
  options.core.silence_timeout = kSilence;
  options.core.backoff.max = absl::Milliseconds(200);
  options.core.feeds = {master->server->address()};
  auto first = StateServer::Start(options);
  ASSERT_TRUE(first.ok()) << first.status();
  options.core.feeds = {(*first)->address(), master->server->address()};
  auto second = StateServer::Start(options);
  ASSERT_TRUE(second.ok()) << second.status();
  // The first one once more, with the other in its list.
  options.listen = (*first)->address();
  first->reset();
  options.core.feeds = {(*second)->address(), master->server->address()};
  first = StateServer::Start(options);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto shows = [](StateServer& server, const char* line) {
    return Eventually([&] {
      return Get(server.http_address(), "/metrics").body.find(line) != std::string::npos;
    });
  };
  for (StateServer* server : {first->get(), second->get()}) {
    ASSERT_TRUE(Reaches(*server, 1, 1));
    EXPECT_TRUE(shows(*server, "tessera_state_following 1"));
  }
  master.reset();
  for (StateServer* server : {first->get(), second->get()}) {
    EXPECT_TRUE(shows(*server, "tessera_state_following 0"));
    EXPECT_TRUE(Eventually([&] { return server->publisher().Age() > 2 * kSilence; }));
    // Once too old, it stays so, whatever the two tell each other.
    const auto before = server->publisher().counters();
    const absl::Duration age = server->publisher().Age();
    absl::Duration longer;
    EXPECT_TRUE(Eventually([&] {
      longer = server->publisher().Age();
      return longer > age + 2 * kSilence;
    }));
    EXPECT_NE(Get(server->http_address(), "/metrics").body.find("tessera_state_following 0"),
              std::string::npos);
    // A heartbeat that went round for ever would be sent thousands of times; each try costs one.
    EXPECT_LT(server->publisher().counters().messages_sent - before.messages_sent, 100u);
    EXPECT_EQ(server->publisher().snapshot()->version, 1u);
  }
}

TEST(StateServerTest, FollowsTheLeader) {
  FakeMaster leader;
  FakeMaster standby;
  leader.PublishRandom(100, true);
  standby.publisher.Retire(rpc::NotLeader(leader.server->address()));
  auto state = Serve({standby.server->address(), leader.server->address()});
  ASSERT_TRUE(Reaches(*state, 1, 1));
  // The other takes over, with an epoch of its own.
  standby.epoch = 2;
  standby.PublishRandom(50, true);
  leader.publisher.Retire(rpc::NotLeader(standby.server->address()));
  ASSERT_TRUE(Reaches(*state, 2, 1));
  standby.PublishRandom(5);
  ASSERT_TRUE(Reaches(*state, 2, 2));
  EXPECT_EQ(Describe(state->publisher().snapshot()), Describe(standby.publisher.snapshot()));
}

TEST(StateServerTest, ListsArePagedAndFiltered) {
  FakeMaster master;
  for (int i = 0; i < 40; ++i) master.PublishRandom(100, i == 0);
  auto state = Serve({master.server->address()});
  ASSERT_TRUE(Reaches(*state, 1, 40));
  const SnapshotPtr snapshot = state->publisher().snapshot();
  Client client(state->address());
  size_t all_tasks = 0;
  size_t shown_tasks = 0;
  snapshot->frameworks.ForEach([&](const auto& entry) {
    const size_t live = entry.value.tasks.size() + entry.value.unreachable_tasks.size();
    if (!entry.value.completed()) shown_tasks += live;
    all_tasks += live + entry.value.completed_tasks.size();
  });
  ASSERT_GT(all_tasks, 20u);
  for (const bool with_completed : {false, true}) {
    v1::ListTasksRequest request;
    request.set_with_completed(with_completed);
    request.mutable_page()->set_size(7);
    std::set<std::pair<std::string, std::string>> seen;  // one id may have several launches
    do {
      auto page = client.Call<v1::ListTasksResponse>(&Stub::ListTasks, request);
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_LE(page->tasks_size(), 7);
      // Changes in between do not disturb the list.
      EXPECT_EQ(page->version(), 40u);
      master.PublishRandom(10);
      for (const auto& view : page->tasks()) {
        const auto& named = view.task().incarnation();
        EXPECT_TRUE(seen.emplace(view.task().framework_id(),
                                 absl::StrCat(view.task().info().id(), " ", named.epoch(), ".",
                                              named.number()))
                        .second);
      }
      request.mutable_page()->set_token(page->next_page_token());
    } while (!request.page().token().empty());
    EXPECT_EQ(seen.size(), with_completed ? all_tasks : shown_tasks);
    ASSERT_TRUE(Reaches(*state, master.epoch, master.version));
    // A new leader tells the same state again, for what follows.
    ++master.epoch;
    master.version = 40;
    const feed::Delta whole{master.version, feed::ChangesOf(snapshot)};
    master.publisher.Publish(master.epoch, true, whole);
    ASSERT_TRUE(Reaches(*state, master.epoch, master.version));
  }

  v1::ListTasksRequest request;
  request.set_framework_id("framework-1");
  request.set_agent_id("agent-2");
  request.add_states(pb::TASK_RUNNING);
  request.set_with_completed(true);
  auto filtered = client.Call<v1::ListTasksResponse>(&Stub::ListTasks, request);
  ASSERT_TRUE(filtered.ok());
  for (const auto& view : filtered->tasks()) {
    EXPECT_EQ(view.task().framework_id(), "framework-1");
    EXPECT_EQ(view.task().agent_id(), "agent-2");
    EXPECT_EQ(view.task().state(), pb::TASK_RUNNING);
  }
  // An agent's tasks are those of all frameworks that have something on it, in pages too.
  v1::ListTasksRequest of_agent;
  of_agent.set_agent_id("agent-2");
  of_agent.set_with_completed(true);
  of_agent.mutable_page()->set_size(3);
  size_t on_agent = 0;
  do {
    auto page = client.Call<v1::ListTasksResponse>(&Stub::ListTasks, of_agent);
    ASSERT_TRUE(page.ok());
    on_agent += page->tasks_size();
    for (const auto& view : page->tasks()) EXPECT_EQ(view.task().agent_id(), "agent-2");
    of_agent.mutable_page()->set_token(page->next_page_token());
  } while (!of_agent.page().token().empty());
  size_t expected = 0;
  snapshot->frameworks.ForEach([&](const auto& entry) {
    const feed::Framework& framework = entry.value;
    for (const auto* list :
         {&framework.tasks, &framework.unreachable_tasks, &framework.completed_tasks}) {
      list->ForEach([&](const auto& task) { expected += task.value.facts->agent_id == "agent-2"; });
    }
  });
  EXPECT_GT(expected, 6u);
  EXPECT_EQ(on_agent, expected);

  request.mutable_page()->set_token("nonsense");
  EXPECT_EQ(rpc::ReasonOf(client.Call<v1::ListTasksResponse>(&Stub::ListTasks, request).status()),
            ErrorDetail::INVALID_FIELD);

  auto agents = client.Call<v1::ListAgentsResponse>(&Stub::ListAgents, v1::ListAgentsRequest());
  ASSERT_TRUE(agents.ok());
  for (const auto& view : agents->agents()) {
    const feed::Agent* agent = state->publisher().snapshot()->agents.Find(view.agent().info().id());
    ASSERT_NE(agent, nullptr);
    EXPECT_EQ(view.tasks(), agent->active_tasks);
    EXPECT_EQ(static_cast<size_t>(view.used_size()), agent->used.size());
  }
  v1::ListFrameworksRequest frameworks_request;
  frameworks_request.set_with_completed(true);
  auto frameworks =
      client.Call<v1::ListFrameworksResponse>(&Stub::ListFrameworks, frameworks_request);
  ASSERT_TRUE(frameworks.ok());
  EXPECT_EQ(static_cast<size_t>(frameworks->frameworks_size()),
            state->publisher().snapshot()->frameworks.size());
  auto offers = client.Call<v1::ListOffersResponse>(&Stub::ListOffers, v1::ListOffersRequest());
  ASSERT_TRUE(offers.ok());
  EXPECT_EQ(static_cast<size_t>(offers->offers_size()),
            state->publisher().snapshot()->offers.size());
  auto roles = client.Call<v1::ListRolesResponse>(&Stub::ListRoles, v1::ListRolesRequest());
  ASSERT_TRUE(roles.ok());
  EXPECT_EQ(static_cast<size_t>(roles->roles_size()), state->publisher().snapshot()->roles.size());
  auto cluster = client.Call<v1::GetClusterResponse>(&Stub::GetCluster, v1::GetClusterRequest());
  ASSERT_TRUE(cluster.ok());
  EXPECT_EQ(cluster->epoch(), 3u);
  uint64_t counted = 0;
  for (const auto& [name, count] : cluster->tasks_by_state()) counted += count;
  EXPECT_EQ(counted, all_tasks);
  EXPECT_GE(cluster->feed_age_seconds(), 0);
  EXPECT_LT(cluster->feed_age_seconds(), 20);
}

TEST(StateServerTest, WatchesAreFiltered) {
  FakeMaster master;
  master.PublishRandom(1000, true);
  auto state = Serve({master.server->address()});
  ASSERT_TRUE(Reaches(*state, 1, 1));
  Client client(state->address());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WatchRequest request;
  request.set_framework_id("framework-2");
  request.set_with_state(true);
  auto reader = client.stub->Watch(&context, request);
  grpc::ClientContext all_context;
  all_context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WatchRequest all_request;
  all_request.set_epoch(1);
  all_request.set_after_version(1);
  auto all_reader = client.stub->Watch(&all_context, all_request);
  v1::WatchResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_TRUE(response.initial());
  EXPECT_EQ(response.version(), 1u);
  size_t tasks = 0;
  for (const v1::Change& change : response.changes()) {
    if (!change.has_task_set()) continue;
    EXPECT_EQ(change.task_set().task().framework_id(), "framework-2");
    ++tasks;
  }
  const feed::Framework* framework = state->publisher().snapshot()->frameworks.Find("framework-2");
  ASSERT_NE(framework, nullptr);
  EXPECT_EQ(tasks, framework->tasks.size() + framework->unreachable_tasks.size() +
                       framework->completed_tasks.size());
  for (int i = 0; i < 50; ++i) master.PublishRandom(4);
  // Everything, without gaps.
  for (uint64_t version = 2; version <= 51; ++version) {
    ASSERT_TRUE(all_reader->Read(&response));
    EXPECT_EQ(response.version(), version);
    EXPECT_EQ(response.changes_size(), 4);
    EXPECT_FALSE(response.initial());
  }
  // Of the one framework, only what concerns it.
  uint64_t last = 1;
  while (last < 40 && reader->Read(&response)) {
    EXPECT_GT(response.version(), last);
    last = response.version();
    EXPECT_GT(response.changes_size(), 0);
    for (const v1::Change& change : response.changes()) {
      if (change.has_task_set()) {
        EXPECT_EQ(change.task_set().task().framework_id(), "framework-2");
      }
      EXPECT_FALSE(change.has_agent_set());
    }
  }
  EXPECT_GE(last, 40u);
  context.TryCancel();
  all_context.TryCancel();
  // A version that is not there any more, or never was.
  grpc::ClientContext gone_context;
  v1::WatchRequest gone;
  gone.set_epoch(7);
  gone.set_after_version(1);
  auto gone_reader = client.stub->Watch(&gone_context, gone);
  EXPECT_FALSE(gone_reader->Read(&response));
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(gone_reader->Finish())), ErrorDetail::SNAPSHOT_REQUIRED);
}

TEST(StateServerTest, AnswersOverHttp) {
  FakeMaster master;
  auto state = Serve({master.server->address()});
  EXPECT_EQ(Get(state->http_address(), "/state").status, 503);
  EXPECT_EQ(Get(state->http_address(), "/health").status, 200);
  master.PublishRandom(1000, true);
  ASSERT_TRUE(Reaches(*state, 1, 1));
  const std::string http = state->http_address();
  const Answer plain = Get(http, "/state");
  EXPECT_EQ(plain.status, 200);
  EXPECT_NE(plain.headers.find("Content-Type: application/json"), std::string::npos);
  EXPECT_NE(plain.headers.find("X-State-Revision: 1.1"), std::string::npos);
  const Json json = Json::parse(plain.body);
  EXPECT_EQ(absl::StrCat("127.0.0.1:", json["leader_info"]["port"].get<int>()), http);
  for (const char* path : {"/master/state", "/state.json", "/master/state.json", "/state/",
                           "/master/state/anything?_=123"}) {
    EXPECT_EQ(Get(http, path).body, plain.body) << path;
  }
  const Answer called = Get(http, "/master/state?jsonp=angular.callbacks._0");
  EXPECT_EQ(called.body, "angular.callbacks._0(" + plain.body + ")");
  EXPECT_NE(called.headers.find("Content-Type: text/javascript"), std::string::npos);
  EXPECT_EQ(Get(http, "/state?jsonp=alert(1)").status, 400);
  EXPECT_EQ(Get(http, "/state?jsonp=" + std::string(129, 'a')).status, 400);
  const Answer packed = Get(http, "/state", "Accept-Encoding: gzip\r\n");
  EXPECT_NE(packed.headers.find("Content-Encoding: gzip"), std::string::npos);
  EXPECT_LT(packed.body.size(), plain.body.size() / 2);
  // Pollers that have it are told so.
  const size_t at = plain.headers.find("ETag: ") + 6;
  const std::string etag = plain.headers.substr(at, plain.headers.find('\r', at) - at);
  const std::string condition = "If-None-Match: " + etag + "\r\n";
  EXPECT_EQ(Get(http, "/state", condition).status, 304);
  master.PublishRandom(10);
  ASSERT_TRUE(Reaches(*state, 1, 2));
  EXPECT_EQ(Get(http, "/state", condition).status, 200);
  for (const auto& [path, key] :
       std::vector<std::pair<const char*, const char*>>{{"/slaves", "slaves"},
                                                        {"/master/frameworks/", "frameworks"},
                                                        {"/tasks?limit=-1", "tasks"},
                                                        {"/tasks.json", "tasks"},
                                                        {"/roles", "roles"},
                                                        {"/state-summary", "slaves"},
                                                        {"/flags", "flags"},
                                                        {"/version", "version"}}) {
    const Answer answer = Get(http, path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_TRUE(Json::parse(answer.body).contains(key)) << path;
  }
  EXPECT_EQ(Get(http, "/redirect").status, 307);
  EXPECT_EQ(Get(http, "/no-such").status, 404);
  Answer metrics;
  EXPECT_TRUE(Eventually([&] {
    metrics = Get(http, "/metrics");
    return metrics.body.find("tessera_state_following 1") != std::string::npos;
  }));
  EXPECT_EQ(metrics.status, 200);
  for (const char* name : {"tessera_state_snapshot_version 2", "tessera_state_feed_hops 0",
                           "tessera_state_http_requests_total{handler=\"/state\",code=\"304\"} 1",
                           "tessera_state_fragments_total{result=\"reused\"}",
                           "tessera_state_steps_total{kind=\"started\"} 1\n",
                           "tessera_state_effects_total{kind=\"dial_feed\"} "}) {
    EXPECT_NE(metrics.body.find(name), std::string::npos) << name;
  }
}

// Nobody can come back to a wildcard, however it is written.
TEST(StateServerTest, NamesTheMachineWhereItListensOnAWildcard) {
  char machine[256] = {};
  ASSERT_EQ(gethostname(machine, sizeof(machine) - 1), 0);
  FakeMaster master;
  master.PublishRandom(10, true);
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "[::0]:0", "[0:0:0:0:0:0:0:0]:0"}) {
    for (const char* advertised : {"", "state.example:5064"}) {
      StateServerOptions options;
      options.core.feeds = {master.server->address()};
      options.http_listen = listen;
      options.http_advertise = advertised;
      auto state = StateServer::Start(options);
      ASSERT_TRUE(state.ok()) << listen << ": " << state.status();
      ASSERT_TRUE(Reaches(**state, 1, 1));
      const std::string& bound = (*state)->http_address();
      const std::string port = bound.substr(bound.rfind(':') + 1);
      const Json leader =
          Json::parse(Get(absl::StrCat("127.0.0.1:", port), "/state").body)["leader_info"];
      const std::string shown =
          absl::StrCat(leader["hostname"].get<std::string>(), ":", leader["port"].get<int>());
      EXPECT_EQ(shown, *advertised != '\0' ? advertised : absl::StrCat(machine, ":", port))
          << listen;
    }
  }
}

// Between two bodies there is at least the time that pollers are promised.
TEST(StateServerTest, PollersShareABodyForAWhile) {
  FakeMaster master;
  master.PublishRandom(100, true);
  auto state = Serve({master.server->address()}, absl::Hours(1));
  ASSERT_TRUE(Reaches(*state, 1, 1));
  const std::string first = Get(state->http_address(), "/state").body;
  for (int i = 0; i < 10; ++i) {
    master.PublishRandom(100);
    ASSERT_TRUE(Reaches(*state, 1, master.version));
    EXPECT_EQ(Get(state->http_address(), "/state").body, first);
  }
  EXPECT_EQ(state->reads().states_built(), 1u);
}

TEST(StateSettingsTest, SaysWhatIsWrong) {
  const auto message = [](auto change) {
    StateSettings settings;
    settings.feed = {"127.0.0.1:5050"};
    change(&settings);
    return std::string(OptionsFromSettings(settings).status().message());
  };
  EXPECT_EQ(message([](StateSettings*) {}), "");
  EXPECT_THAT(message([](StateSettings* s) { s->feed.clear(); }),
              testing::HasSubstr("--feed is missing"));
  EXPECT_THAT(message([](StateSettings* s) { s->feed = {"nowhere"}; }),
              testing::HasSubstr("--feed=nowhere: write host:port"));
  EXPECT_THAT(message([](StateSettings* s) { s->history_size = base::Bytes(1); }),
              testing::HasSubstr("--history_size=1B"));
  EXPECT_THAT(message([](StateSettings* s) { s->http_threads = 0; }),
              testing::HasSubstr("--http_threads=0"));
  EXPECT_THAT(message([](StateSettings* s) { s->feed_timeout = absl::Seconds(1); }),
              testing::HasSubstr("--feed_timeout=1s"));
  EXPECT_THAT(message([](StateSettings* s) { s->http_advertise = "host"; }),
              testing::HasSubstr("--http_advertise=host"));
}

}  // namespace
}  // namespace tessera::state
