#include <gtest/gtest.h>

#include "services/base/rng.h"
#include "services/model/random_resources.h"
#include "services/model/wire/attributes.h"
#include "services/model/wire/resources.h"
#include "services/model/wire/task_state.h"

namespace tessera::model::wire {
namespace {

TEST(ResourcesWireTest, EveryFieldSurvivesTheWire) {
  base::Rng rng(1);
  for (int i = 0; i < 5000; ++i) {
    const Resources resources(RandomObjects(&rng, {}));
    ResourceMessages messages;
    ToProto(resources, &messages);
    const auto objects = ObjectsFromProto(messages);
    ASSERT_TRUE(objects.ok()) << objects.status();
    ASSERT_EQ(objects->size(), resources.size());
    for (size_t j = 0; j < objects->size(); ++j) {
      ASSERT_EQ((*objects)[j], resources.objects()[j]);
      // Also what is outside identity.
      ASSERT_EQ((*objects)[j].metadata(), resources.objects()[j].metadata());
    }
    if (Validate(resources.objects()).ok()) {
      ASSERT_EQ(*FromProto(messages), resources);
    } else {
      ASSERT_FALSE(FromProto(messages).ok());
    }
  }
}

v1::Resource Cpus(int64_t milli) {
  v1::Resource message;
  message.set_name("cpus");
  message.mutable_scalar()->set_milli(milli);
  return message;
}

void ExpectRefusal(const v1::Resource& message, const std::string& why) {
  const absl::Status status = FromProto(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message.ShortDebugString();
  EXPECT_NE(status.message().find(why), std::string::npos) << why << "\n" << status;
}

TEST(ResourcesWireTest, RefusalsNameTheField) {
  ExpectRefusal(v1::Resource(), "value: one of scalar, ranges and set must be given");
  ExpectRefusal(Cpus(-1), "scalar is negative");
  EXPECT_TRUE(FromProto(Cpus(kResourceThousandthsMax)).ok());
  ExpectRefusal(Cpus(kResourceThousandthsMax + 1), "scalar is more than 70368744177");
  v1::Resource message = Cpus(1);
  message.set_name("");
  ExpectRefusal(message, "name must not be empty");
  message = Cpus(1);
  message.add_reservations()->set_role("a");
  ExpectRefusal(message, "reservations: type must be STATIC or DYNAMIC");
  message = Cpus(1);
  message.mutable_disk()->mutable_source();
  ExpectRefusal(message, "disk.source.type must be");
  message = Cpus(1);
  message.mutable_disk()->set_read_only(true);
  ExpectRefusal(message, "disk.read_only needs disk.container_path");
  message = Cpus(1);
  message.set_shared_count(2);
  ExpectRefusal(message, "shared_count is only for shared resources");
  message = Cpus(1);
  message.set_allocation_role("/");
  ExpectRefusal(message, "allocation_role");
  message.mutable_ranges()->add_range()->set_begin(2);
  ExpectRefusal(message, "range 2-0 begins after its end");
  message.mutable_set()->add_item("a");
  message.mutable_set()->add_item("a");
  ExpectRefusal(message, "'a' occurs twice");
}

TEST(ResourcesWireTest, PresentButEmptyDiskInfoIsNoDiskInfo) {
  v1::Resource message = Cpus(1);
  message.mutable_disk();
  const auto resource = FromProto(message);
  ASSERT_TRUE(resource.ok()) << resource.status();
  EXPECT_TRUE(resource->IsPlain());
}

TEST(ResourcesWireTest, AddableMessagesAreMerged) {
  ResourceMessages messages;
  *messages.Add() = Cpus(100);
  *messages.Add() = Cpus(200);
  EXPECT_EQ(*FromProto(messages),
            Resources{Resource::OfScalar("cpus", Scalar::FromThousandths(300))});
}

TEST(ResourcesWireTest, WhatIsAcceptedIsAcceptedAgainWhenMerged) {
  ResourceMessages messages;
  *messages.Add() = Cpus(kResourceThousandthsMax);
  *messages.Add() = Cpus(1);
  const absl::Status status = FromProto(messages).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("add up"), std::string::npos) << status;
}

TEST(QuantitiesWireTest, RoundTripAndRefusals) {
  const Quantities quantities{{"cpus", Scalar::FromUnits(2)}, {"mem", Scalar::FromUnits(64)}};
  v1::Quantities message;
  ToProto(quantities, &message);
  EXPECT_EQ(*FromProto(message), quantities);
  (*message.mutable_amounts())["mem"].set_milli(-1);
  EXPECT_FALSE(FromProto(message).ok());
  message.Clear();
  (*message.mutable_amounts())[""].set_milli(1);
  EXPECT_FALSE(FromProto(message).ok());
  message.Clear();
  (*message.mutable_amounts())["mem"].set_milli(kQuantityThousandthsMax);
  EXPECT_TRUE(FromProto(message).ok());
  (*message.mutable_amounts())["mem"].set_milli(kQuantityThousandthsMax + 1);
  EXPECT_FALSE(FromProto(message).ok());
  message.Clear();
  for (size_t i = 0; i <= kQuantityNamesMax; ++i) {
    (*message.mutable_amounts())["name-" + std::to_string(i)].set_milli(1);
  }
  EXPECT_FALSE(FromProto(message).ok());
}

TEST(AttributesWireTest, RoundTripAndRefusals) {
  std::vector<Attribute> items = Attributes::Parse("rack:r1;cores:1.5;vlans:[1-4]")->items();
  items.push_back({.name = "tags", .value = *StringSet::Parse("{a, b}")});
  const Attributes attributes(items);
  AttributeMessages messages;
  ToProto(attributes, &messages);
  EXPECT_EQ(*FromProto(messages), attributes);
  messages.Add()->set_name("empty");
  EXPECT_FALSE(FromProto(messages).ok());
  messages.Clear();
  messages.Add()->set_text("nameless");
  EXPECT_FALSE(FromProto(messages).ok());
}

TEST(TaskStateWireTest, NumbersAndNamesAgree) {
  for (int i = 1; i <= kTaskStateCount; ++i) {
    const auto message = static_cast<v1::TaskState>(i);
    const auto state = FromProto(message);
    ASSERT_TRUE(state.ok());
    EXPECT_EQ(v1::TaskState_Name(message), TaskStateName(*state));
    EXPECT_EQ(ToProto(*state), message);
    EXPECT_EQ(IsTerminal(message), model::IsTerminal(*state));
  }
  EXPECT_FALSE(IsTerminal(v1::TASK_STATE_UNSPECIFIED));
  // Not even where the low byte is that of a terminal state.
  EXPECT_FALSE(IsTerminal(static_cast<v1::TaskState>(256 + v1::TASK_FINISHED)));
  for (int i = 1; i <= kStatusSourceCount; ++i) {
    const auto message = static_cast<v1::TaskStatusSource>(i);
    EXPECT_EQ(v1::TaskStatusSource_Name(message), StatusSourceName(*FromProto(message)));
    EXPECT_EQ(ToProto(*FromProto(message)), message);
  }
  for (int i = 1; i <= kStatusReasonCount; ++i) {
    const auto message = static_cast<v1::TaskStatusReason>(i);
    EXPECT_EQ(v1::TaskStatusReason_Name(message), StatusReasonName(*FromProto(message)));
    EXPECT_EQ(ToProto(FromProto(message)), message);
  }
  EXPECT_FALSE(FromProto(v1::TASK_STATE_UNSPECIFIED).ok());
  EXPECT_FALSE(FromProto(static_cast<v1::TaskState>(99)).ok());
  EXPECT_FALSE(FromProto(static_cast<v1::TaskStatusSource>(-1)).ok());
  EXPECT_FALSE(FromProto(static_cast<v1::TaskStatusReason>(99)).has_value());
  EXPECT_EQ(ToProto(std::optional<StatusReason>()), v1::TASK_STATUS_REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace tessera::model::wire
