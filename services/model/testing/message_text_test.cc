#include "services/model/testing/message_text.h"

#include <gtest/gtest.h>

#include "protos/tessera/model/v1/framework.pb.h"
#include "protos/tessera/model/v1/offer.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"

namespace tessera::model::testing {
namespace {

TEST(MessageTextTest, ResourcesTimesAndBytesAreShort) {
  v1::TaskInfo task;
  task.set_id("t");
  wire::ToProto(*ParseResources("cpus:1.5;ports:[1-3]"), task.mutable_resources());
  task.set_data(std::string("\0\1\2", 3));
  task.mutable_kill_policy()->mutable_grace_period()->set_seconds(75);
  task.mutable_kill_policy()->mutable_grace_period()->set_nanos(500'000'000);
  const std::string text = MessageText(task);
  EXPECT_NE(text.find("id: \"t\""), std::string::npos) << text;
  EXPECT_NE(text.find("resources { cpus:1.5 }"), std::string::npos) << text;
  EXPECT_NE(text.find("data: <3 bytes>"), std::string::npos) << text;
  EXPECT_NE(text.find("grace_period { 75.5s }"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

TEST(MessageTextTest, WhatIsNoResourceIsPrintedAsItIs) {
  v1::Offer offer;
  offer.add_resources()->set_name("cpus");
  EXPECT_NE(MessageText(offer).find("name: \"cpus\""), std::string::npos);
}

TEST(MessageTextTest, NothingIsEmpty) { EXPECT_EQ(MessageText(v1::FrameworkInfo()), ""); }

}  // namespace
}  // namespace tessera::model::testing
