// Caches and compression: what is kept is never stale, and what did not change is not made again.
#include "services/state/json/state_renderer.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/state_table.h"
#include "services/feed/wire/codec.h"

namespace tessera::state {
namespace {

using Json = nlohmann::json;

feed::Change Task(const std::string& id) {
  v1::Change change;
  change.mutable_task_set()->set_place(v1::TASK_PLACE_ACTIVE);
  auto* task = change.mutable_task_set()->mutable_task();
  task->set_framework_id("f");
  task->set_state(pb::TASK_RUNNING);
  task->set_agent_id("a");
  task->mutable_incarnation()->set_epoch(1);
  task->mutable_incarnation()->set_number(1);
  task->mutable_info()->set_id(id);
  auto* cpus = task->add_resources();
  cpus->set_name("cpus");
  cpus->mutable_scalar()->set_milli(100);
  return *feed::FromPublic(change);
}

feed::Change Agent(const std::string& id) {
  auto agent = std::make_shared<pb::AgentRecord>();
  agent->mutable_info()->set_id(id);
  agent->set_state(pb::AGENT_STATE_CONNECTED);
  return feed::AgentSet{std::move(agent)};
}

std::string Inflate(const std::vector<Chunk>& chunks) {
  std::string bytes;
  for (const Chunk& chunk : chunks) bytes += *chunk;
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = bytes.size();
  std::string text;
  std::string piece(1 << 16, '\0');
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    result = inflate(&stream, Z_NO_FLUSH);
    text.append(piece, 0, piece.size() - stream.avail_out);
  }
  // One member, checksum and length right, nothing after it.
  EXPECT_EQ(result, Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0u);
  inflateEnd(&stream);
  return text;
}

TEST(StateRendererTest, PiecesCompressedApartAreOneGzipStream) {
  feed::StateTable table;
  table.Apply(Agent("a"));
  for (int i = 0; i < 1000; ++i) table.Apply(Task("task" + std::to_string(i)));
  const JsonBody body = StateRenderer({"h", 1}).State(*table.Publish());
  EXPECT_GT(body.pieces.size(), 10u);
  EXPECT_EQ(Inflate(JoinAsGzip(body.pieces)), body.ToString());
  EXPECT_EQ(Inflate(JoinAsGzip({})), "");
}

SnapshotPtr Replayed(const SnapshotPtr& snapshot) {
  feed::StateTable fresh;
  fresh.Reset(snapshot->epoch);
  for (feed::Change& change : feed::ChangesOf(snapshot)) fresh.Apply(std::move(change));
  return fresh.Publish();
}

// What comes from caches is what would be rendered anew; offers name what is in the same answer.
TEST(StateRendererProperty, CachesAreNeverStale) {
  const feed::RandomWorld world{
      .agents = 90, .frameworks = 3, .tasks_per_framework = 300, .offers = 40};
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    base::Rng rng(seed);
    feed::StateTable table;
    StateRenderer cached({"h", 1});
    for (int round = 0; round < 25; ++round) {
      const int changes = round == 0 ? 4000 : rng.Between(0, 40);
      for (int i = 0; i < changes; ++i) table.Apply(feed::RandomChange(rng, world));
      const SnapshotPtr snapshot = table.Publish();
      const JsonBody body = cached.State(*snapshot);
      const std::string text = body.ToString();
      ASSERT_EQ(text, StateRenderer({"h", 1}).State(*Replayed(snapshot)).ToString())
          << "seed " << seed << " round " << round;
      if (round % 8 != 0) continue;
      ASSERT_EQ(Inflate(JoinAsGzip(body.pieces)), text);
      const Json state = Json::parse(text);
      std::set<std::string> agents;
      for (const Json& agent : state["slaves"]) agents.insert(agent["id"]);
      for (const Json& framework : state["frameworks"]) {
        for (const Json& offer : framework["offers"]) {
          EXPECT_TRUE(agents.count(offer["slave_id"]));
          EXPECT_EQ(offer["framework_id"], framework["id"]);
        }
      }
    }
  }
}

// One status renders one task, its framework's ends and its agent; the rest is reused.
TEST(StateRendererTest, OnlyWhatChangedIsRendered) {
  feed::StateTable table;
  table.Apply(Agent("a"));
  table.Apply(Agent("b"));
  for (int i = 0; i < 5000; ++i) table.Apply(Task("task" + std::to_string(i)));
  StateRenderer renderer({"h", 1});
  renderer.State(*table.Publish());
  const uint64_t rendered = renderer.counters().objects_rendered;
  const uint64_t joined = renderer.counters().leaves_joined;
  EXPECT_EQ(rendered, 5004u);
  renderer.State(*table.Publish());
  EXPECT_EQ(renderer.counters().objects_rendered, rendered);
  EXPECT_EQ(renderer.counters().leaves_joined, joined);
  pb::TaskStatus status;
  status.set_state(pb::TASK_FINISHED);
  table.Apply(
      feed::TaskStatusAdded{"f", "task2500", {1, 1}, feed::MakeStatus(status), pb::TASK_FINISHED});
  renderer.State(*table.Publish());
  EXPECT_EQ(renderer.counters().objects_rendered, rendered + 4);
  EXPECT_EQ(renderer.counters().leaves_joined, joined + 2);
}

}  // namespace
}  // namespace tessera::state
