#include "services/model/wire/fields.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::model::wire {
namespace {

TEST(FieldsTest, TheLastFieldCounts) {
  const std::string twice =
      "\x12\x01"
      "a"
      "\x12\x02"
      "bc";
  EXPECT_EQ(LastBytesField(twice, 2), "bc");
  EXPECT_EQ(LastBytesField(twice, 3), "");
  EXPECT_EQ(LastBytesField("\x12\x09"
                           "a",
                           2),
            std::nullopt);
  EXPECT_EQ(LastBytesField("\xff\xff", 2), std::nullopt);
  EXPECT_EQ(LastBytesField("", 2), "");
}

}  // namespace
}  // namespace tessera::model::wire
