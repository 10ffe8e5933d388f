// Two runs that differ in nothing but the inside of a message must differ in their digests.
#include "tests/sim/fold.h"

#include <gtest/gtest.h>

#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::sim {
namespace {

model::v1::TaskInfo Task(std::initializer_list<const char*> resources) {
  model::v1::TaskInfo task;
  task.set_id("t");
  for (const char* name : resources) task.add_resources()->set_name(name);
  return task;
}

template <typename... T>
uint64_t DigestOf(const T&... values) {
  Digest digest;
  FoldAll(&digest, values...);
  return digest.value();
}

TEST(FoldTest, TheOrderInsideAMessageIsSeen) {
  EXPECT_EQ(DigestOf(Task({"cpus", "mem"})), DigestOf(Task({"cpus", "mem"})));
  EXPECT_NE(DigestOf(Task({"cpus", "mem"})), DigestOf(Task({"mem", "cpus"})));
}

TEST(FoldTest, TheOrderOfAMapIsNot) {
  model::v1::TaskInfo one, other;
  for (int i = 0; i < 100; ++i) {
    (*one.mutable_limits())[std::to_string(i)].set_milli(i);
    (*other.mutable_limits())[std::to_string(99 - i)].set_milli(99 - i);
  }
  EXPECT_EQ(DigestOf(one), DigestOf(other));
}

TEST(FoldTest, EverythingCountsAndSoDoesItsPlace) {
  EXPECT_NE(DigestOf(1, 2), DigestOf(2, 1));
  EXPECT_NE(DigestOf(std::string("a"), std::string("b")),
            DigestOf(std::string("ab"), std::string()));
  EXPECT_NE(DigestOf(std::string("12345678")), DigestOf(std::string("12345678\0", 9)));
  EXPECT_NE(DigestOf(std::optional<int>()), DigestOf(std::optional<int>(0)));
  EXPECT_NE(DigestOf(std::vector<int>{0}), DigestOf(std::vector<int>{0, 0}));
  EXPECT_NE(DigestOf(std::variant<int, bool>(1)), DigestOf(std::variant<int, bool>(true)));
  EXPECT_NE(DigestOf(absl::NotFoundError("x")), DigestOf(absl::InternalError("x")));
  EXPECT_NE(DigestOf(absl::StatusOr<int>(1)), DigestOf(absl::StatusOr<int>(2)));
  EXPECT_NE(DigestOf(model::Incarnation{1, 2}), DigestOf(model::Incarnation{2, 1}));
  EXPECT_NE(DigestOf(model::Description("a")), DigestOf(model::Description("b")));
}

}  // namespace
}  // namespace tessera::sim
