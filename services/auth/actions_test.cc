#include "services/auth/actions.h"

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace tessera::auth {
namespace {

// `/package.Service/Method` of all that the committed descriptors describe.
std::set<std::string> DescribedRpcs() {
  google::protobuf::FileDescriptorSet files;
  std::ifstream in("protos/descriptors.binpb", std::ios::binary);
  EXPECT_TRUE(files.ParseFromIstream(&in));
  std::set<std::string> rpcs;
  for (const auto& file : files.file()) {
    for (const auto& service : file.service()) {
      for (const auto& method : service.method()) {
        rpcs.insert(absl::StrCat("/", file.package(), ".", service.name(), "/", method.name()));
      }
    }
  }
  return rpcs;
}

TEST(ActionsTest, EveryRpcHasExactlyOneAction) {
  const std::set<std::string> described = DescribedRpcs();
  ASSERT_GT(described.size(), 60u);
  for (const std::string& rpc : described) {
    EXPECT_TRUE(ActionOf(rpc).has_value()) << rpc << " has no row in actions.cc";
  }
  std::set<std::string> listed;
  for (const RpcAction& row : RpcActions()) {
    EXPECT_TRUE(listed.insert(std::string(row.rpc)).second) << row.rpc << " is listed twice";
    EXPECT_EQ(described.count(std::string(row.rpc)), 1u) << row.rpc << " is no rpc any more";
  }
}

TEST(ActionsTest, EveryActionIsOfSomeRpcAndHasANameOfItsOwn) {
  std::set<Action> used;
  for (const RpcAction& row : RpcActions()) used.insert(row.action);
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Action::kPruneImages); ++i) {
    const auto action = static_cast<Action>(i);
    EXPECT_EQ(used.count(action), 1u) << ActionName(action) << " is what no rpc does";
    EXPECT_TRUE(names.insert(ActionName(action)).second) << ActionName(action);
  }
  EXPECT_EQ(names.count("unknown"), 0u);
}

TEST(ActionsTest, FindsByTheWholeName) {
  EXPECT_EQ(ActionOf("/tessera.operators.v1.OperatorService/DrainAgent"), Action::kDrainAgent);
  EXPECT_EQ(ActionName(Action::kDrainAgent), "drain_agent");
  EXPECT_EQ(ActionOf("/tessera.operators.v1.OperatorService/Drain"), std::nullopt);
  EXPECT_EQ(ActionOf("DrainAgent"), std::nullopt);
  EXPECT_EQ(ActionOf(""), std::nullopt);
}

}  // namespace
}  // namespace tessera::auth
