// Roles, ids, attributes and task states.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "services/model/attributes.h"
#include "services/model/ids.h"
#include "services/model/role.h"
#include "services/model/task_state.h"

namespace tessera::model {
namespace {

TEST(RoleTest, AcceptsRolesAndSaysWhyNot) {
  for (const char* role : {"*", "a", "a/b/c", "eng-web", "a.b", "...", "a*", "\xc3\xa9"}) {
    EXPECT_TRUE(ValidateRole(role).ok()) << role;
  }
  for (const auto& [role, why] :
       std::vector<std::pair<std::string, const char*>>{{"", "empty"},
                                                        {"/a", "start with '/'"},
                                                        {"a/", "end with '/'"},
                                                        {"/", "start with '/'"},
                                                        {"a//b", "'//'"},
                                                        {".", "'.' or '..'"},
                                                        {"a/../b", "'.' or '..'"},
                                                        {"a/*", "'*' as a component"},
                                                        {"*/a", "'*' as a component"},
                                                        {"-a", "starts with '-'"},
                                                        {"a/-b", "starts with '-'"},
                                                        {"a b", "blanks"},
                                                        {"a\tb", "blanks"},
                                                        {"a\x0b", "blanks"},
                                                        {"a\x01", "control"},
                                                        {"a\x1f/b", "control"},
                                                        {"a\x7f", "control"}}) {
    const absl::Status status = ValidateRole(role);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << role;
    EXPECT_NE(status.message().find(why), std::string::npos) << status;
  }
}

TEST(RoleTest, IsBounded) {
  EXPECT_TRUE(ValidateRole(std::string(kRoleBytesMax, 'a')).ok());
  EXPECT_FALSE(ValidateRole(std::string(kRoleBytesMax + 1, 'a')).ok());
  std::string deep = "a";
  while (RoleDepth(deep) < kRoleDepthMax) deep += "/a";
  EXPECT_TRUE(ValidateRole(deep).ok());
  const absl::Status deeper = ValidateRole(deep + "/a");
  EXPECT_NE(deeper.message().find("32 components"), std::string::npos) << deeper;
  // What is refused is not repeated at its whole length.
  EXPECT_LT(ValidateRole(std::string(1 << 20, 'a')).message().size(), 200u);
}

TEST(RoleTest, KnowsTheTree) {
  EXPECT_TRUE(IsStrictSubrole("a/b", "a"));
  EXPECT_TRUE(IsStrictSubrole("a/b/c", "a"));
  EXPECT_FALSE(IsStrictSubrole("a", "a"));
  EXPECT_FALSE(IsStrictSubrole("ab", "a"));
  EXPECT_FALSE(IsStrictSubrole("a", "a/b"));
  EXPECT_EQ(ParentRole("a/b/c"), "a/b");
  EXPECT_EQ(ParentRole("a"), "");
  EXPECT_EQ(RoleComponents("a/b/c"), (std::vector<std::string_view>{"a", "b", "c"}));
  EXPECT_EQ(RoleDepth("a/b/c"), 3u);
}

TEST(IdTest, GenericRule) {
  EXPECT_TRUE(ValidateId("task id", "task-1.2 é").ok());
  EXPECT_TRUE(ValidateId("task id", std::string(255, 'x')).ok());
  for (const auto& [id, why] : std::vector<std::pair<std::string, const char*>>{
           {"", "must not be empty"},
           {std::string(256, 'x'), "longer than 255"},
           {".", "reserved"},
           {"..", "reserved"},
           {"a/b", "slash"},
           {"a\\b", "slash"},
           {"a\nb", "control character"},
           {std::string("a\0b", 3), "control character"},
           {"a\x7f", "control character"}}) {
    const absl::Status status = ValidateId(TaskId(id));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().substr(0, 8), "task id ") << status;
    EXPECT_NE(status.message().find(why), std::string::npos) << status;
  }
}

TEST(AttributesTest, ReadsNumbersRangesAndText) {
  const auto attributes =
      Attributes::Parse("rack:r1; zone : eu-1;cores:16;vlans:[1-4];rack:r2;v:1e3");
  ASSERT_TRUE(attributes.ok()) << attributes.status();
  ASSERT_EQ(attributes->items().size(), 6u);
  EXPECT_EQ(*attributes->Find("rack")->text(), "r1");
  EXPECT_EQ(*attributes->Find("zone")->text(), "eu-1");
  EXPECT_EQ(*attributes->Find("cores")->scalar(), Scalar::FromUnits(16));
  EXPECT_EQ(attributes->Find("vlans")->ranges()->Count(), 4u);
  EXPECT_EQ(*attributes->Find("v")->text(), "1e3");
  EXPECT_EQ(attributes->Find("none"), nullptr);
  EXPECT_EQ(attributes->ToString(), "rack:r1;zone:eu-1;cores:16;vlans:[1-4];rack:r2;v:1e3");
  EXPECT_EQ(*Attributes::Parse(attributes->ToString()), *attributes);
  EXPECT_EQ(*Attributes::Parse("a:b:c")->Find("a")->text(), "b:c");
  EXPECT_EQ(*Attributes::Parse("ip:10.0.0.1")->Find("ip")->text(), "10.0.0.1");
  EXPECT_EQ(*Attributes::Parse("s:{a,b}")->Find("s")->text(), "{a,b}");
}

TEST(AttributesTest, RefusesMalformedParts) {
  for (const char* text : {"rack", "rack:", ":r1", "a:1;b", "v:[1-", "v:[2-1]"}) {
    EXPECT_EQ(Attributes::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

std::vector<TaskState> AllStates() {
  std::vector<TaskState> states;
  for (int i = 1; i <= kTaskStateCount; ++i) states.push_back(static_cast<TaskState>(i));
  return states;
}

TEST(TaskStateTest, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const TaskState state : AllStates()) names.insert(TaskStateName(state));
  EXPECT_EQ(names.size(), static_cast<size_t>(kTaskStateCount));
  EXPECT_EQ(TaskStateName(TaskState::kGoneByOperator), "TASK_GONE_BY_OPERATOR");
  EXPECT_EQ(TaskStateLabel(TaskState::kGoneByOperator), "gone_by_operator");
  EXPECT_EQ(StatusSourceName(StatusSource::kMaster), "SOURCE_MASTER");
  EXPECT_EQ(StatusReasonName(StatusReason::kContainerLimitationMemory),
            "REASON_CONTAINER_LIMITATION_MEMORY");
  EXPECT_EQ(StatusReasonLabel(StatusReason::kGcError), "gc_error");
  std::set<std::string_view> reasons;
  for (int i = 1; i <= kStatusReasonCount; ++i) {
    reasons.insert(StatusReasonName(static_cast<StatusReason>(i)));
  }
  EXPECT_EQ(reasons.size(), static_cast<size_t>(kStatusReasonCount));
  EXPECT_EQ(TaskStateName(static_cast<TaskState>(99)), "UNSPECIFIED");
}

TEST(TaskStateTest, EightStatesAreTerminal) {
  const std::vector<TaskState> states = AllStates();
  EXPECT_EQ(std::count_if(states.begin(), states.end(), IsTerminal), 8);
  EXPECT_FALSE(IsTerminal(TaskState::kUnreachable));
  EXPECT_FALSE(IsTerminal(TaskState::kUnknown));
  EXPECT_TRUE(IsTerminal(TaskState::kGone));
}

TEST(TaskStateTest, OlderFrameworksAreNotToldOfPartitions) {
  EXPECT_TRUE(NeedsPartitionAware(TaskState::kUnreachable));
  EXPECT_TRUE(NeedsPartitionAware(TaskState::kDropped));
  EXPECT_FALSE(NeedsPartitionAware(TaskState::kRunning));
  EXPECT_FALSE(NeedsPartitionAware(TaskState::kLost));
}

}  // namespace
}  // namespace tessera::model
