// The publisher over real streams on loopback.
#include "services/feed/server/feed_publisher.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "protos/tessera/state/v1/state_feed_service.grpc.pb.h"
#include "services/base/rng.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/recompute.h"
#include "services/feed/core/state_table.h"
#include "services/feed/wire/codec.h"
#include "services/rpc/channel.h"
#include "services/rpc/server.h"
#include "services/rpc/status.h"

namespace tessera::feed {
namespace {

using model::v1::ErrorDetail;

// A follower that reads when the test says so, and applies what it reads.
class Follower {
 public:
  Follower(const std::string& address, uint64_t epoch = 0, uint64_t version = 0)
      : stub_(v1::StateFeedService::NewStub(rpc::MakeChannel(address, {.own_connection = true}))) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    epoch_ = epoch;
    table_.set_version(version);
    whole_ = version > 0;
    v1::FollowRequest request;
    request.set_epoch(epoch);
    request.set_from_version(version);
    reader_ = stub_->Follow(&context_, request);
  }
  ~Follower() { context_.TryCancel(); }

  // The next message; false at the end of the stream.
  bool ReadOne() {
    v1::FollowResponse response;
    if (!reader_->Read(&response)) {
      status_ = rpc::FromGrpc(reader_->Finish());
      return false;
    }
    Take(response);
    return true;
  }

  // Reads until it holds the version of the epoch. False at the end of the stream.
  bool ReadTo(uint64_t epoch, uint64_t version) {
    while (epoch_ != epoch || table_.version() != version || !whole_) {
      if (!ReadOne()) return false;
    }
    return true;
  }

  absl::Status ReadToEnd() {
    while (ReadOne()) {
    }
    return status_;
  }

  SnapshotPtr state() const { return table_.Publish(); }
  int snapshots = 0;
  int deltas = 0;
  int heartbeats = 0;
  // The newest heartbeat, and the version held when it came.
  v1::Heartbeat heartbeat;
  uint64_t heartbeat_version = 0;
  int gaps = 0;

 private:
  void Take(v1::FollowResponse& response) {
    if (response.has_snapshot()) {
      const v1::SnapshotChunk& chunk = response.snapshot();
      if (chunk.first()) {
        ++snapshots;
        table_ = StateTable();
        table_.Reset(response.epoch());
        whole_ = false;
      }
      for (const v1::Change& change : chunk.changes()) table_.Apply(*FromPublic(change));
      table_.set_version(chunk.version());
      epoch_ = response.epoch();
      whole_ = chunk.last();
    } else if (response.has_delta()) {
      ++deltas;
      if (whole_ && response.delta().version() != table_.version() + 1) ++gaps;
      for (const v1::Change& change : response.delta().changes()) {
        table_.Apply(*FromPublic(change));
      }
      table_.set_version(response.delta().version());
    } else if (response.has_heartbeat()) {
      ++heartbeats;
      heartbeat = response.heartbeat();
      heartbeat_version = table_.version();
    }
  }

  std::unique_ptr<v1::StateFeedService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::FollowResponse>> reader_;
  absl::Status status_;
  StateTable table_;
  uint64_t epoch_ = 0;
  bool whole_ = false;
};

class FeedPublisherTest : public testing::Test {
 protected:
  void Start(FeedOptions options = {.heartbeat_interval = absl::Seconds(5)}) {
    publisher_ = std::make_unique<FeedPublisher>(options);
    auto server = rpc::Server::Start({}, {publisher_->service()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  void TearDown() override {
    if (publisher_ != nullptr) publisher_->Stop();
    if (server_ != nullptr) server_->Stop(absl::Seconds(1));
  }

  // Publishes the next version with so many random changes.
  void PublishDelta(int changes, bool reset = false) {
    if (reset) version_ = 0;
    Delta delta{++version_, {}};
    for (int i = 0; i < changes; ++i) delta.changes.push_back(RandomChange(rng_));
    publisher_->Publish(epoch_, reset, std::move(delta));
  }

  // A delta of about this many bytes that leaves the state as small as it is.
  void PublishBulk(size_t bytes) {
    const auto named = [](std::string name) {
      auto cluster = std::make_shared<v1::ClusterRecord>();
      cluster->set_cluster_name(std::move(name));
      return ClusterSet{std::move(cluster)};
    };
    publisher_->Publish(epoch_, false,
                        Delta{++version_, {named(std::string(bytes, 'x')), named("small")}});
  }

  std::string Published() {
    publisher_->Flush();
    EXPECT_EQ(publisher_->snapshot()->version, version_);
    return Describe(publisher_->snapshot());
  }

  base::Rng rng_{1};
  uint64_t epoch_ = 3;
  uint64_t version_ = 0;
  std::unique_ptr<FeedPublisher> publisher_;
  std::unique_ptr<rpc::Server> server_;
};

// Whoever waits in Publish() goes on when the next piece is taken out of the queue.
TEST_F(FeedPublisherTest, ALongQueueIsTakenInPiecesOfSoManyChanges) {
  Start();
  absl::Notification taken, go_on;
  std::atomic<int> pieces = 0;
  publisher_->SetListener([&](SnapshotPtr) {
    if (pieces++ > 0) return;
    taken.Notify();
    go_on.WaitForNotification();
  });
  PublishDelta(1, true);
  taken.WaitForNotification();
  for (int i = 0; i < 6; ++i) PublishDelta(10'000);
  go_on.Notify();
  publisher_->Flush();
  EXPECT_EQ(pieces, 1 + 3);
}

TEST_F(FeedPublisherTest, FollowersGetASnapshotAndEveryDeltaAfterIt) {
  Start({.chunk_changes = 7});
  PublishDelta(300, true);
  for (int i = 0; i < 20; ++i) PublishDelta(10);
  publisher_->Flush();
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 8; ++i) {
    followers.push_back(std::make_unique<Follower>(server_->address()));
    ASSERT_TRUE(followers.back()->ReadTo(epoch_, version_));
  }
  const FeedCounters before = publisher_->counters();
  for (int i = 0; i < 100; ++i) PublishDelta(5);
  const std::string expected = Published();
  for (auto& follower : followers) {
    ASSERT_TRUE(follower->ReadTo(epoch_, version_));
    EXPECT_EQ(follower->snapshots, 1);
    EXPECT_EQ(follower->deltas, 100);
    EXPECT_EQ(follower->gaps, 0);
    EXPECT_EQ(Describe(follower->state()), expected);
  }
  // Each delta was serialised once and sent eight times.
  const FeedCounters after = publisher_->counters();
  EXPECT_EQ(after.followers, 8u);
  EXPECT_GE(after.bytes_sent - before.bytes_sent,
            8 * (after.bytes_serialised - before.bytes_serialised));
  EXPECT_EQ(after.messages_sent - before.messages_sent, 800u);
}

TEST_F(FeedPublisherTest, AFollowerResumesFromItsVersion) {
  Start();
  PublishDelta(300, true);
  for (int i = 0; i < 10; ++i) PublishDelta(10);
  publisher_->Flush();
  auto follower = std::make_unique<Follower>(server_->address());
  ASSERT_TRUE(follower->ReadTo(epoch_, version_));
  const uint64_t held = version_;
  // Nothing new: a heartbeat tells it so, and it is sent nothing else.
  Follower idle(server_->address(), epoch_, held);
  ASSERT_TRUE(idle.ReadOne());
  EXPECT_EQ(idle.heartbeats, 1);
  for (int i = 0; i < 10; ++i) PublishDelta(10);
  publisher_->Flush();
  Follower resumed(server_->address(), epoch_, held);
  ASSERT_TRUE(resumed.ReadTo(epoch_, version_));
  EXPECT_EQ(resumed.snapshots, 0);
  EXPECT_EQ(resumed.deltas, 10);
  EXPECT_EQ(resumed.state()->version, version_);
  // A version of another epoch, or one that is yet to come, gives a snapshot.
  Follower other(server_->address(), epoch_ - 1, held);
  ASSERT_TRUE(other.ReadTo(epoch_, version_));
  EXPECT_EQ(other.snapshots, 1);
  Follower future(server_->address(), epoch_, version_ + 100);
  ASSERT_TRUE(future.ReadTo(epoch_, version_));
  EXPECT_EQ(future.snapshots, 1);
  EXPECT_EQ(publisher_->counters().followers_resumed, 2u);
}

TEST_F(FeedPublisherTest, ANewLeaderIsANewState) {
  Start();
  PublishDelta(300, true);
  publisher_->Flush();
  Follower follower(server_->address());
  ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  epoch_ = 9;
  PublishDelta(50, true);
  PublishDelta(50);
  const std::string expected = Published();
  ASSERT_TRUE(follower.ReadTo(9, version_));
  EXPECT_EQ(follower.snapshots, 2);
  EXPECT_EQ(Describe(follower.state()), expected);
  // What comes of the old epoch is refused.
  const Delta late{2, {}};
  publisher_->Publish(3, false, late);
  publisher_->Publish(3, true, late);
  publisher_->Flush();
  EXPECT_EQ(publisher_->snapshot()->epoch, 9u);
  EXPECT_EQ(publisher_->counters().updates_refused, 2u);
}

TEST_F(FeedPublisherTest, KnownVersionsAreHarmlessAndGapsRefused) {
  Start();
  PublishDelta(100, true);
  PublishDelta(100);
  const std::string expected = Published();
  const Delta known{version_, {RandomChange(rng_)}};
  publisher_->Publish(epoch_, false, known);
  const Delta gap{version_ + 2, known.changes};
  publisher_->Publish(epoch_, false, gap);
  EXPECT_EQ(Published(), expected);
  EXPECT_EQ(publisher_->counters().updates_refused, 1u);
}

TEST_F(FeedPublisherTest, AStandbySendsItsFollowersToTheLeader) {
  Start();
  Follower early(server_->address());
  EXPECT_EQ(early.ReadToEnd().code(), absl::StatusCode::kUnavailable);
  PublishDelta(100, true);
  publisher_->Flush();
  Follower follower(server_->address());
  ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  publisher_->Retire(rpc::NotLeader("leader:1"));
  const absl::Status ended = follower.ReadToEnd();
  EXPECT_EQ(rpc::ReasonOf(ended), ErrorDetail::NOT_LEADER);
  EXPECT_EQ(rpc::DetailOf(ended)->leader_address(), "leader:1");
  EXPECT_EQ(rpc::ReasonOf(Follower(server_->address()).ReadToEnd()), ErrorDetail::NOT_LEADER);
  epoch_ = 4;
  PublishDelta(10, true);
  publisher_->Flush();
  Follower back(server_->address());
  EXPECT_TRUE(back.ReadTo(4, 1));
}

// A follower that stops reading costs the others nothing, and goes on with a snapshot when it reads
// again.
TEST_F(FeedPublisherTest, AFollowerThatFallsOutOfTheLogGetsANewSnapshot) {
  Start({.history_bytes_max = 256 << 10});
  PublishDelta(300, true);
  publisher_->Flush();
  Follower slow(server_->address());
  ASSERT_TRUE(slow.ReadTo(epoch_, version_));
  Follower quick(server_->address());
  ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  // More than the transport's windows take.
  for (int i = 0; i < 300; ++i) {
    PublishBulk(100 << 10);
    ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  }
  PublishDelta(10);
  const std::string expected = Published();
  EXPECT_EQ(quick.snapshots + quick.gaps, 1);
  EXPECT_LE(publisher_->counters().history_bytes, 256u << 10);
  ASSERT_TRUE(slow.ReadTo(epoch_, version_));
  EXPECT_GE(slow.snapshots, 2);
  EXPECT_EQ(slow.gaps, 0);
  EXPECT_LT(slow.deltas, 300);
  EXPECT_EQ(Describe(slow.state()), expected);
}

TEST_F(FeedPublisherTest, AFollowerThatTakesNothingIsEnded) {
  Start({.history_bytes_max = 256 << 10, .write_timeout = absl::Milliseconds(500)});
  PublishDelta(300, true);
  publisher_->Flush();
  Follower stuck(server_->address());
  ASSERT_TRUE(stuck.ReadTo(epoch_, version_));
  Follower quick(server_->address());
  ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  for (int i = 0; i < 300; ++i) {
    PublishBulk(100 << 10);
    ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (publisher_->counters().slow_followers_ended == 0 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(publisher_->counters().slow_followers_ended, 1u);
  EXPECT_EQ(rpc::ReasonOf(stuck.ReadToEnd()), ErrorDetail::SLOW_CONSUMER);
  while (publisher_->counters().followers > 1 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(publisher_->counters().followers, 1u);
}

TEST_F(FeedPublisherTest, AMastersHeartbeatsCountUpWhateverElseHappens) {
  Start({.heartbeat_interval = absl::Milliseconds(50)});
  EXPECT_EQ(publisher_->Age(), absl::InfiniteDuration());
  PublishDelta(10, true);
  publisher_->Flush();
  EXPECT_LT(publisher_->Age(), absl::InfiniteDuration());
  Follower follower(server_->address());
  uint64_t last = 0;
  for (int i = 1; i <= 6; ++i) {
    while (follower.heartbeats < i) {
      if (i > 3) PublishDelta(1);
      ASSERT_TRUE(follower.ReadOne());
    }
    EXPECT_GT(follower.heartbeat.sequence(), last);
    EXPECT_EQ(follower.heartbeat.hops(), 0u);
    last = follower.heartbeat.sequence();
  }
  EXPECT_EQ(follower.snapshots, 1);
  // Who leads no more makes none.
  publisher_->Retire(rpc::NotLeader("leader:1"));
  publisher_->Flush();
  absl::Duration age = publisher_->Age();
  for (int i = 0; i < 4; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
    publisher_->Flush();
    EXPECT_GT(publisher_->Age(), age);
    age = publisher_->Age();
  }
}

TEST_F(FeedPublisherTest, AMastersCoreMakesHeartbeatsOfItsEpoch) {
  Start({});
  publisher_->MakeHeartbeat(epoch_);  // of a state that has not come
  PublishDelta(10, true);
  publisher_->MakeHeartbeat(epoch_ - 1);
  publisher_->Flush();
  EXPECT_EQ(publisher_->Age(), absl::InfiniteDuration());
  PublishDelta(10);
  publisher_->MakeHeartbeat(epoch_);
  PublishDelta(10);
  publisher_->MakeHeartbeat(epoch_);
  publisher_->Flush();
  EXPECT_LT(publisher_->Age(), absl::InfiniteDuration());
  Follower follower(server_->address());
  while (follower.heartbeats == 0) ASSERT_TRUE(follower.ReadOne());
  EXPECT_EQ(follower.heartbeat.sequence(), 2u);
  EXPECT_EQ(follower.heartbeat_version, version_);
}

// A state-svc's: nothing keeps its followers but what it hears of the master.
TEST_F(FeedPublisherTest, HandsOnOnlyTheHeartbeatsThatItIsGiven) {
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  publisher_ = std::make_unique<FeedPublisher>(FeedOptions(), [&now] { return now; });
  auto server = rpc::Server::Start({}, {publisher_->service()});
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  PublishDelta(100, true);
  publisher_->Heartbeat({epoch_ + 1, 1, now, 1});  // of a state that has not come
  publisher_->Flush();
  EXPECT_EQ(publisher_->Age(), absl::InfiniteDuration());
  publisher_->Heartbeat({epoch_, 7, now - absl::Seconds(2), 3});
  publisher_->Flush();
  EXPECT_EQ(publisher_->Age(), absl::Seconds(2));
  const uint64_t held = version_;
  for (int i = 0; i < 5; ++i) PublishDelta(10);
  publisher_->Flush();
  now += absl::Seconds(90);
  EXPECT_EQ(publisher_->Age(), absl::Seconds(92));
  // It grows older while it is held, and comes once; a follower from before hears it all the same.
  for (const uint64_t version : {uint64_t{0}, held - 1, held, version_}) {
    Follower follower(server_->address(), epoch_, version);
    while (follower.heartbeats == 0) ASSERT_TRUE(follower.ReadOne());
    EXPECT_EQ(follower.heartbeat.sequence(), 7u);
    EXPECT_EQ(follower.heartbeat.age().seconds(), 92);
    EXPECT_EQ(follower.heartbeat.hops(), 3u);
    EXPECT_GE(follower.heartbeat_version, held);
    ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  }
  Follower follower(server_->address(), epoch_, held);
  ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  PublishDelta(10);
  publisher_->Heartbeat({epoch_, 9, now, 3});
  while (follower.heartbeat.sequence() < 9) ASSERT_TRUE(follower.ReadOne());
  EXPECT_EQ(follower.heartbeats, 2);
  EXPECT_EQ(follower.heartbeat_version, version_);
  // A snapshot of the same epoch is not older than what it replaces; one of another may be.
  for (const uint64_t epoch : {epoch_, epoch_ + 1}) {
    publisher_->PublishPart(epoch, {version_ + 100, true, true, {}});
    publisher_->Flush();
    Follower replaced(server_->address());
    if (epoch == epoch_) {
      while (replaced.heartbeats == 0) ASSERT_TRUE(replaced.ReadOne());
      EXPECT_EQ(replaced.heartbeat.sequence(), 9u);
    } else {
      ASSERT_TRUE(replaced.ReadTo(epoch, version_ + 100));
      publisher_->Heartbeat({epoch, 1, now, 3});
      while (replaced.heartbeats == 0) ASSERT_TRUE(replaced.ReadOne());
      EXPECT_EQ(replaced.heartbeat.sequence(), 1u);
    }
  }
}

TEST_F(FeedPublisherTest, ASnapshotFromElsewhereReplacesTheStateWhenItIsWhole) {
  Start();
  PublishDelta(200, true);
  publisher_->Flush();
  Follower follower(server_->address());
  ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  const std::string before = Published();
  StateTable other;
  for (int i = 0; i < 300; ++i) other.Apply(RandomChange(rng_));
  ChangeCursor cursor(other.Publish());
  bool more = true;
  bool first = true;
  while (more) {
    SnapshotPart part{.version = 77, .first = std::exchange(first, false)};
    more = cursor.Next(20, &part.changes);
    part.last = !more;
    if (part.last) {
      publisher_->Flush();
      EXPECT_EQ(Describe(publisher_->snapshot()), before);
    }
    publisher_->PublishPart(epoch_, std::move(part));
  }
  version_ = 77;
  EXPECT_EQ(Published(), Describe(other.Publish()));
  PublishDelta(20);
  const std::string expected = Published();
  ASSERT_TRUE(follower.ReadTo(epoch_, version_));
  EXPECT_EQ(Describe(follower.state()), expected);
  // Rest of a snapshot whose beginning never came.
  publisher_->PublishPart(epoch_, {.version = 90, .last = true});
  EXPECT_EQ(Published(), expected);
}

// What is published costs the streams that wait for it, and not those that are busy with what they
// were sent before.
TEST_F(FeedPublisherTest, OnlyStreamsThatWaitAreWoken) {
  Start({});
  PublishDelta(100, true);
  publisher_->Flush();
  std::vector<std::unique_ptr<Follower>> stuck;
  for (int i = 0; i < 5; ++i) {
    stuck.push_back(std::make_unique<Follower>(server_->address()));
    ASSERT_TRUE(stuck.back()->ReadTo(epoch_, version_));
  }
  Follower quick(server_->address());
  ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  // More than the transport's windows take of those who do not read.
  for (int i = 0; i < 200; ++i) {
    PublishBulk(100 << 10);
    ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  }
  const uint64_t before = publisher_->counters().streams_woken;
  for (int i = 0; i < 50; ++i) {
    PublishBulk(1);
    ASSERT_TRUE(quick.ReadTo(epoch_, version_));
  }
  EXPECT_LE(publisher_->counters().streams_woken - before, 50u);
}

TEST_F(FeedPublisherTest, RefusesMoreFollowersThanItsBound) {
  Start({.followers_max = 2});
  PublishDelta(10, true);
  publisher_->Flush();
  Follower one(server_->address());
  Follower two(server_->address());
  ASSERT_TRUE(one.ReadTo(epoch_, version_));
  ASSERT_TRUE(two.ReadTo(epoch_, version_));
  Follower three(server_->address());
  EXPECT_EQ(rpc::ReasonOf(three.ReadToEnd()), ErrorDetail::OVERLOADED);
}

}  // namespace
}  // namespace tessera::feed
