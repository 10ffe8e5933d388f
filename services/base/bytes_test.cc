#include "services/base/bytes.h"

#include "gtest/gtest.h"

namespace tessera::base {
namespace {

TEST(BytesTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(Bytes::Parse("0").value(), Bytes(0));
  EXPECT_EQ(Bytes::Parse("17B").value(), Bytes(17));
  EXPECT_EQ(Bytes::Parse("1K").value(), KiB(1));
  EXPECT_EQ(Bytes::Parse("64MB").value(), MiB(64));
  EXPECT_EQ(Bytes::Parse("64 MiB").value(), MiB(64));
  EXPECT_EQ(Bytes::Parse("2TiB").value(), GiB(2048));
}

TEST(BytesTest, RefusesWhatIsNoAmount) {
  for (const char* text : {"", "B", "MiB", "-1B", "1.5GiB", "1XB", "1MiBs", "1  MiB",
                           "9223372036854775808", "9007199254740992GiB", "0x10"}) {
    EXPECT_EQ(Bytes::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(BytesTest, TextFormIsExactAndReadsBack) {
  for (int64_t count :
       {0LL, 1LL, 1023LL, 1024LL, 1536LL, 1LL << 20, 3LL << 30, 5LL << 40, 9223372036854775807LL}) {
    EXPECT_EQ(Bytes::Parse(Bytes(count).ToString()).value(), Bytes(count));
  }
  EXPECT_EQ(MiB(64).ToString(), "64MiB");
  EXPECT_EQ(Bytes(1500).ToString(), "1500B");
}

TEST(BytesTest, CountsAndCompares) {
  EXPECT_EQ(KiB(1) + KiB(1), Bytes(2048));
  EXPECT_EQ(MiB(1) - KiB(1), KiB(1023));
  EXPECT_EQ(KiB(3) * 4, KiB(12));
  EXPECT_LT(KiB(1), MiB(1));
  EXPECT_DOUBLE_EQ(KiB(512).mebibytes(), 0.5);
}

}  // namespace
}  // namespace tessera::base
