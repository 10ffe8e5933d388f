#include "services/model/wire/description.h"

#include <string>

#include "gtest/gtest.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/model/wire/incarnation.h"

namespace tessera::model::wire {
namespace {

v1::TaskInfo MakeTask() {
  v1::TaskInfo task;
  task.set_id("t");
  task.mutable_command()->set_value("sleep 1");
  task.set_data(std::string(1000, '\0'));
  task.mutable_labels()->add_label()->set_key("k");
  (*task.mutable_limits())["mem"].set_milli(5);
  (*task.mutable_limits())["cpus"].set_milli(7);
  return task;
}

TEST(DescriptionTest, ReadsBackWhatWasDescribed) {
  const Description description = Describe(MakeTask());
  const auto read = ReadDescription<v1::TaskInfo>(description);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(Describe(*read), description);
  EXPECT_EQ(read->data().size(), 1000u);
}

TEST(DescriptionTest, CopiesShareTheirBytes) {
  const Description description = Describe(MakeTask());
  const Description copy = description;
  EXPECT_EQ(&copy.bytes(), &description.bytes());
}

TEST(DescriptionTest, CutsOneFieldAndNothingElse) {
  v1::TaskInfo task = MakeTask();
  const auto cut = WithoutField(Describe(task).bytes(), v1::TaskInfo::kDataFieldNumber);
  ASSERT_TRUE(cut.ok());
  task.clear_data();
  EXPECT_EQ(*cut, Describe(task).bytes());
  EXPECT_EQ(*WithoutField(*cut, v1::TaskInfo::kDataFieldNumber), *cut);
}

TEST(DescriptionTest, KeepsFieldsOfNewerVersions) {
  // Field 1000, a varint.
  const std::string unknown = "\xc0\x3e\x07";
  const auto cut = WithoutField(Describe(MakeTask()).bytes() + unknown, 12);
  ASSERT_TRUE(cut.ok());
  EXPECT_TRUE(cut->ends_with(unknown));
}

TEST(DescriptionTest, RefusesWhatIsNoMessage) {
  EXPECT_FALSE(WithoutField("\xff\xff\xff\xff\xff\xff", 1).ok());
  // A length beyond the end.
  EXPECT_FALSE(WithoutField("\x0a\x7f", 1).ok());
  EXPECT_FALSE(WithoutField(std::string_view("\0", 1), 1).ok());
  EXPECT_FALSE(ReadDescription<v1::TaskInfo>(Description("\x0a\x7f")).ok());
}

TEST(IncarnationTest, IsOrderedByEpochThenNumber) {
  const Incarnation old{1, 900};
  const Incarnation fresh{2, 1};
  EXPECT_LT(old, fresh);
  EXPECT_FALSE(Incarnation{}.valid());
  EXPECT_EQ(FromProto(ToProto(fresh)), fresh);
  EXPECT_EQ(fresh.ToString(), "2.1");
}

}  // namespace
}  // namespace tessera::model::wire
