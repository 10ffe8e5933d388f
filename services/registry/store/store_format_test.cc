#include "services/registry/store/store_format.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace tessera::registry {
namespace {

StoreBatch Sample() {
  StoreBatch batch;
  batch.commits.push_back(std::make_shared<const Commit>(
      Commit{.version = 5, .writes = {{"a", MakeValue("one")}, {"b", nullptr}}}));
  batch.commits.push_back(
      std::make_shared<const Commit>(Commit{.version = 6, .writes = {{"c", MakeValue("")}}}));
  batch.lease = std::make_shared<const LeaseRecord>(LeaseRecord{
      .leader = {"m", "h:1", "", 9}, .ttl = absl::Milliseconds(1500), .resigned = true});
  return batch;
}

TEST(StoreFormatTest, ABatchComesBackAsItWas) {
  const StoreBatch batch = Sample();
  const auto decoded = DecodeBatch(EncodeBatch(batch));
  ASSERT_TRUE(decoded.has_value());
  ASSERT_EQ(decoded->commits.size(), 2u);
  EXPECT_EQ(decoded->commits[0]->version, 5u);
  EXPECT_EQ(*decoded->commits[0]->writes[0].value, "one");
  EXPECT_EQ(decoded->commits[0]->writes[1].value, nullptr);
  EXPECT_EQ(*decoded->commits[1]->writes[0].value, "");
  EXPECT_EQ(*decoded->lease, *batch.lease);
  EXPECT_TRUE(DecodeBatch(EncodeBatch({})).has_value());
}

TEST(StoreFormatTest, EveryTruncationAndExtensionIsRefused) {
  const std::string bytes = EncodeBatch(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeBatch(bytes.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(DecodeBatch(bytes + "x").has_value());
  EXPECT_FALSE(DecodeVersion("1234567").has_value());
  EXPECT_FALSE(DecodeVersion("123456789").has_value());
  EXPECT_FALSE(DecodeRecord("k", "short").has_value());
  EXPECT_FALSE(DecodeRecord("k", std::string(8, '\0')).has_value()) << "version 0";
  const std::string lease = EncodeLease(*Sample().lease);
  for (size_t size = 0; size < lease.size(); ++size) {
    EXPECT_FALSE(DecodeLease(lease.substr(0, size)).has_value()) << size;
  }
}

TEST(StoreFormatTest, MarksAndOwnersComeBackAsTheyWereAndNothingElseDoes) {
  const BatchMark mark{.number = 300, .spent = true};
  EXPECT_EQ(EncodeMark(mark), std::string("\x2c\x01\0\0\0\0\0\0\x01", 9));
  EXPECT_EQ(DecodeMark(EncodeMark(mark)), mark);
  EXPECT_FALSE(DecodeMark(std::string("\x2c\x01\0\0\0\0\0\0\x02", 9)).has_value());
  EXPECT_FALSE(DecodeMark(EncodeMark(mark) + "x").has_value());
  EXPECT_FALSE(DecodeMark("12345678").has_value());
  const OwnerRecord owner{.term = 7, .address = "h:1"};
  EXPECT_EQ(EncodeOwner(owner), std::string("\x07\0\0\0\0\0\0\0\x03\0\0\0h:1", 15));
  EXPECT_EQ(DecodeOwner(EncodeOwner(owner)), owner);
  EXPECT_FALSE(DecodeOwner(EncodeOwner({.term = 0, .address = "h:1"})).has_value());
  EXPECT_FALSE(DecodeOwner(EncodeOwner(owner) + "x").has_value());
}

TEST(StoreFormatTest, OnlyFormatsThatThisProgramKnowsAreRead) {
  EXPECT_EQ(EncodeFormat(), std::string("tessera-registry\x01\0\0\0", 20));
  EXPECT_TRUE(CheckFormat(EncodeFormat()).ok());
  for (const std::string& strange :
       {EncodeFormat(0), EncodeFormat(kStoreFormat + 1), EncodeFormat() + "x", std::string(),
        std::string("tessera-registry-1"), std::string("x") + EncodeFormat().substr(1)}) {
    EXPECT_EQ(CheckFormat(strange).code(), absl::StatusCode::kFailedPrecondition) << strange;
  }
  EXPECT_NE(CheckFormat(EncodeFormat(7)).message().find("format 7"), std::string::npos);
}

TEST(StoreFormatTest, GarbageIsReadWithoutHarm) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = EncodeBatch(Sample());
    for (int flips = 1 + random() % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto decoded = DecodeBatch(bytes);
    if (decoded.has_value()) {
      EXPECT_EQ(EncodeBatch(*decoded), bytes);
    }
  }
}

}  // namespace
}  // namespace tessera::registry
