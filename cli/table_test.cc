#include "cli/table.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

TEST(TableTest, AlignsColumnsAndTrimsLines) {
  Table table({"ID", "STATE"});
  table.Add({"a-long-id", "x"});
  table.Add({"b"});
  EXPECT_EQ(table.Format(), "ID         STATE\na-long-id  x\nb\n");
  EXPECT_EQ(table.size(), 2);
}

TEST(TableTest, NamesCannotSteerTheTerminal) {
  Table table({"NAME"});
  table.Add({"evil\x1b[2J\nname"});
  EXPECT_EQ(table.Format(), "NAME\nevil?[2J?name\n");
}

TEST(FormatTest, Milli) {
  EXPECT_EQ(FormatMilli(1500), "1.5");
  EXPECT_EQ(FormatMilli(1), "0.001");
  EXPECT_EQ(FormatMilli(64000), "64");
  EXPECT_EQ(FormatMilli(-250), "-0.25");
  EXPECT_EQ(FormatMilli(0), "0");
}

TEST(FormatTest, Age) {
  EXPECT_EQ(FormatAge(0.44), "0.4s");
  EXPECT_EQ(FormatAge(75), "1m 15s");
  EXPECT_EQ(FormatAge(3 * 86400 + 4 * 3600), "3d 4h");
  EXPECT_EQ(FormatAge(-1), "-");
}

}  // namespace
}  // namespace tessera::cli
