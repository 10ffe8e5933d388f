#include "services/feed/wire/codec.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/model/wire/description.h"
#include "services/model/wire/resources.h"

namespace tessera::feed {
namespace {

pb::TaskInfo MakeInfo() {
  pb::TaskInfo info;
  info.set_id("t");
  info.set_name("a task");
  info.mutable_command()->set_value("sleep 1");
  info.mutable_labels()->add_label()->set_key("k");
  return info;
}

model::Resources Cpus(int64_t milli) {
  pb::Resource resource;
  resource.set_name("cpus");
  resource.mutable_scalar()->set_milli(milli);
  resource.set_allocation_role("eng");
  return model::Resources({*model::wire::FromProto(resource)});
}

pb::TaskStatus MakeMessage() {
  pb::TaskStatus status;
  status.set_task_id("t");
  status.set_state(pb::TASK_RUNNING);
  status.set_uuid("0123456789abcdef");
  status.set_data("secret");
  status.mutable_timestamp()->set_seconds(1'700'000'000);
  status.mutable_timestamp()->set_nanos(250'000'000);
  return status;
}

TaskRow MakeTask() {
  auto facts = std::make_shared<TaskFacts>();
  facts->framework_id = "f";
  facts->task_id = "t";
  facts->incarnation = {3, 17};
  facts->agent_id = "a";
  facts->executor_id = "e";
  facts->executor = {3, 16};
  facts->resources = Cpus(500);
  facts->info = model::wire::Describe(MakeInfo());
  TaskRow row;
  row.facts = std::move(facts);
  row.place = TASK_PLACE_COMPLETED;
  row.state = pb::TASK_RUNNING;
  row.status_update_state = pb::TASK_RUNNING;
  row.status_update_uuid = "0123456789abcdef";
  row.statuses = {MakeStatus(MakeMessage())};
  return row;
}

std::vector<Change> EveryKind() {
  auto cluster = std::make_shared<v1::ClusterRecord>();
  cluster->set_master_id("m");
  auto agent = std::make_shared<pb::AgentRecord>();
  agent->mutable_info()->set_id("a");
  agent->set_state(pb::AGENT_STATE_CONNECTED);
  pb::FrameworkInfo info;
  info.set_id("f");
  info.add_roles("eng");
  auto framework = std::make_shared<FrameworkRow>();
  framework->id = "f";
  framework->state = pb::FRAMEWORK_STATE_ACTIVE;
  framework->roles = {"eng"};
  framework->suppressed_roles = {"ops"};
  framework->registered_time = absl::FromUnixMillis(1'700'000'000'125);
  framework->info = model::wire::Describe(info);
  auto executor = std::make_shared<ExecutorRow>();
  executor->framework_id = "f";
  executor->executor_id = "e";
  executor->incarnation = {3, 16};
  executor->agent_id = "a";
  executor->resources = Cpus(100);
  executor->info = model::Description(
      "\x12\x01"
      "e");
  pb::Offer offer;
  offer.set_id("o");
  offer.set_framework_id("f");
  offer.set_agent_id("a");
  offer.set_role("eng");
  model::wire::ToProto(Cpus(700), offer.mutable_resources());
  offer.add_executor_ids("e");
  auto role = std::make_shared<v1::RoleRecord>();
  role->set_name("eng");
  return {ClusterSet{cluster},
          AgentSet{agent},
          AgentRemoved{"a"},
          FrameworkSet{framework},
          FrameworkRemoved{"f"},
          TaskSet{MakeTask()},
          TaskStatusAdded{"f", "t", {3, 17}, MakeStatus(MakeMessage()), pb::TASK_KILLING},
          TaskMoved{"f", "t", {3, 17}, TASK_PLACE_UNREACHABLE},
          TaskRemoved{"f", "t", {3, 17}},
          ExecutorSet{executor},
          ExecutorRemoved{"f", "e", {3, 16}},
          OfferSet{MakeOffer(offer, Cpus(700))},
          OfferRemoved{"o"},
          RoleSet{role},
          RoleRemoved{"eng"}};
}

FeedPiece Read(const std::string& bytes) {
  wire::FollowResponse message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return *Decode(std::move(message));
}

std::string Text(const Change& change) { return ToPublic(change).ShortDebugString(); }

// The changes of the contract are those of the rows, in the same order.
TEST(CodecTest, EveryKindIsThere) {
  const auto* kind = v1::Change::descriptor()->FindOneofByName("kind");
  const std::vector<Change> changes = EveryKind();
  ASSERT_EQ(kind->field_count(), static_cast<int>(std::variant_size_v<Change>));
  ASSERT_EQ(changes.size(), std::variant_size_v<Change>);
  for (size_t i = 0; i < changes.size(); ++i) {
    ASSERT_EQ(changes[i].index(), i);
    EXPECT_EQ(ToPublic(changes[i]).kind_case(), kind->field(static_cast<int>(i))->number());
  }
}

TEST(CodecTest, EveryKindReadsBackAsItWas) {
  const std::vector<Change> changes = EveryKind();
  const FeedPiece piece = Read(Encode(4, Delta{9, changes}));
  EXPECT_EQ(piece.epoch, 4u);
  EXPECT_EQ(piece.malformed, 0u);
  const Delta& delta = std::get<Delta>(piece.kind);
  EXPECT_EQ(delta.version, 9u);
  ASSERT_EQ(delta.changes.size(), changes.size());
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_EQ(delta.changes[i].index(), i);
    EXPECT_EQ(Text(delta.changes[i]), Text(changes[i]));
  }
  const SnapshotPart part{7, true, false, changes};
  const FeedPiece whole = Read(Encode(4, part));
  EXPECT_TRUE(std::get<SnapshotPart>(whole.kind).first);
  EXPECT_FALSE(std::get<SnapshotPart>(whole.kind).last);
  EXPECT_EQ(std::get<SnapshotPart>(whole.kind).changes.size(), changes.size());
}

// What is computed on is beside the bytes, and the bytes are those of the framework.
TEST(CodecTest, DescriptionsAreCarriedAsTheyCame) {
  // A field that this version does not know, and an order that no encoder of ours gives.
  const std::string info = std::string("\xc0\x3e\x07", 3) + MakeInfo().SerializeAsString();
  TaskRow task = MakeTask();
  auto facts = std::make_shared<TaskFacts>(*task.facts);
  facts->info = model::Description(info);
  task.facts = facts;
  const FeedPiece piece = Read(Encode(1, Delta{1, {TaskSet{task}}}));
  const TaskRow read = std::get<TaskSet>(std::get<Delta>(piece.kind).changes[0]).task;
  EXPECT_EQ(read.facts->info.bytes(), info);
  EXPECT_EQ(read.facts->task_id, "t");
  EXPECT_EQ(read.facts->incarnation, (model::Incarnation{3, 17}));
  EXPECT_EQ(read.facts->executor, (model::Incarnation{3, 16}));
  EXPECT_EQ(read.facts->resources, Cpus(500));
  ASSERT_EQ(read.statuses.size(), 1u);
  EXPECT_EQ(read.statuses[0]->bytes, task.statuses[0]->bytes);
  EXPECT_EQ(read.statuses[0]->timestamp, absl::FromUnixMillis(1'700'000'000'250));
  EXPECT_EQ(read.statuses[0]->uuid(), "0123456789abcdef");
}

TEST(CodecTest, StatusesAreKeptWithoutData) {
  pb::TaskStatus status;
  ASSERT_TRUE(status.ParseFromString(MakeStatus(MakeMessage())->bytes));
  EXPECT_EQ(status.data(), "");
  EXPECT_EQ(status.uuid(), "0123456789abcdef");
}

TEST(CodecTest, RefusesOtherFormats) {
  wire::FollowResponse message;
  ASSERT_TRUE(message.ParseFromString(Encode(1, HeartbeatTold{1, absl::ZeroDuration(), 0})));
  message.set_format(kFeedFormat + 1);
  EXPECT_EQ(Decode(wire::FollowResponse(message)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  message.clear_format();
  EXPECT_EQ(Decode(std::move(message)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(CodecTest, LeavesOutAndCountsWhatIsMalformed) {
  wire::FollowResponse message;
  message.set_format(kFeedFormat);
  auto* changes = message.mutable_delta()->mutable_changes();
  changes->Add();  // of no kind
  auto* task = changes->Add()->mutable_task_set()->mutable_task();
  task->set_framework_id("f");
  task->mutable_incarnation()->set_epoch(1);
  task->mutable_incarnation()->set_number(1);
  task->set_info("\x0a\x7f");
  changes->Add()->mutable_agent_set();
  changes->Add()->mutable_task_status_added()->set_status("\x0a\x7f");
  changes->Add()->mutable_offer_set()->set_offer("\x0a\x7f");
  changes->Add()->mutable_agent_removed()->set_agent_id("a");
  const auto piece = Decode(std::move(message));
  ASSERT_TRUE(piece.ok());
  EXPECT_EQ(piece->malformed, 5u);
  EXPECT_EQ(std::get<Delta>(piece->kind).changes.size(), 1u);
}

TEST(CodecTest, StatesOfNewerVersionsAreUnspecified) {
  wire::Change message;
  ToWire(TaskSet{MakeTask()}, &message);
  message.mutable_task_set()->set_place(static_cast<TaskPlace>(99));
  message.mutable_task_set()->mutable_task()->set_state(static_cast<pb::TaskState>(99));
  std::vector<Change> changes;
  size_t malformed = 0;
  ASSERT_TRUE(FromWire(std::move(message), &changes, &malformed));
  const TaskRow& task = std::get<TaskSet>(changes[0]).task;
  EXPECT_EQ(task.state, pb::TASK_STATE_UNSPECIFIED);
  EXPECT_EQ(task.place, TASK_PLACE_ACTIVE);
}

TEST(CodecTest, HeartbeatsTravelWithTheirAge) {
  const FeedPiece piece = Read(Encode(2, HeartbeatTold{5, absl::Milliseconds(1250), 3}));
  const HeartbeatTold& told = std::get<HeartbeatTold>(piece.kind);
  EXPECT_EQ(told.sequence, 5u);
  EXPECT_EQ(told.age, absl::Milliseconds(1250));
  EXPECT_EQ(told.hops, 3u);
  // One from the future was made now.
  const FeedPiece odd = Read(Encode(2, HeartbeatTold{5, -absl::Seconds(1), 0}));
  EXPECT_EQ(std::get<HeartbeatTold>(odd.kind).age, absl::ZeroDuration());
}

}  // namespace
}  // namespace tessera::feed
