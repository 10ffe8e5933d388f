// Scalars, ranges, sets and the text pieces under them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "services/base/rng.h"
#include "services/model/random_resources.h"
#include "services/model/ranges.h"
#include "services/model/scalar.h"
#include "services/model/string_set.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

Scalar S(std::string_view text) {
  const auto scalar = Scalar::Parse(text);
  EXPECT_TRUE(scalar.ok()) << scalar.status();
  return scalar.value_or(Scalar::Max());
}

Ranges R(std::string_view text) {
  const auto ranges = Ranges::Parse(text);
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  return ranges.value_or(Ranges());
}

TEST(ScalarTest, TenthsAddUpExactly) {
  Scalar sum;
  for (int i = 0; i < 10; ++i) sum += *Scalar::FromDouble(0.1);
  EXPECT_EQ(sum, *Scalar::FromDouble(1.0));
  EXPECT_EQ(*Scalar::FromDouble(0.1) + *Scalar::FromDouble(0.2), *Scalar::FromDouble(0.3));
}

TEST(ScalarTest, RoundsHalfAwayFromZeroAtTheThirdDecimal) {
  for (const auto& [value, thousandths] : std::vector<std::pair<double, int64_t>>{
           {1.0005, 1001}, {-1.0005, -1001}, {0.0004, 0}, {0.0005, 1}, {1.0004999, 1000}}) {
    EXPECT_EQ(Scalar::FromDouble(value)->thousandths(), thousandths) << value;
  }
  for (const auto& [text, thousandths] :
       std::vector<std::pair<const char*, int64_t>>{{"1.0005", 1001},
                                                    {"-1.0005", -1001},
                                                    {"0.0004", 0},
                                                    {"0.00049999999999999999999", 0},
                                                    {"0.0005", 1},
                                                    {"1.00049999999999999999999999", 1000},
                                                    {"9007199254740.993", 9007199254740993}}) {
    EXPECT_EQ(S(text).thousandths(), thousandths) << text;
  }
}

TEST(ScalarTest, ReadsDecimalNumbers) {
  for (const auto& [text, thousandths] : std::vector<std::pair<const char*, int64_t>>{
           {"4", 4000},
           {"+4", 4000},
           {"-.25", -250},
           {"3.", 3000},
           {"0012.50", 12500},
           {"1e3", 1000000},
           {"1.5E-1", 150},
           {"0e999999999999", 0},
           {"1e-999999999999", 0},
           {"5e-4", 1},
           {"4e-4", 0},
           {"9e-5", 0},
           {"-0", 0},
           {"9223372036854775.807", std::numeric_limits<int64_t>::max()}}) {
    EXPECT_EQ(S(text).thousandths(), thousandths) << text;
  }
}

TEST(ScalarTest, RefusesWhatIsNoNumberOrTooLarge) {
  for (const char* text : {"",
                           "-",
                           "+",
                           ".",
                           "e3",
                           "1e",
                           "1e+",
                           "1.2.3",
                           "0x10",
                           "nan",
                           "inf",
                           "Infinity",
                           "4 ",
                           " 4",
                           "1,5",
                           "--1",
                           "9223372036854775.808",
                           "1e16",
                           "1e999999999999",
                           "4cpus"}) {
    EXPECT_EQ(Scalar::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  for (const double value :
       std::vector<double>{std::nan(""), INFINITY, -INFINITY, 9223372036854775.808, -1e300}) {
    EXPECT_EQ(Scalar::FromDouble(value).status().code(), absl::StatusCode::kInvalidArgument)
        << value;
  }
  EXPECT_TRUE(Scalar::FromDouble(9.2e15).ok());
}

TEST(ScalarTest, PrintsTheShortestDecimals) {
  for (const char* text : {"0", "4", "0.5", "-1.001", "0.05", "-0.001", "1024",
                           "9223372036854775.807", "-9223372036854775.807"}) {
    EXPECT_EQ(S(text).ToString(), text);
  }
  EXPECT_EQ(Scalar::FromThousandths(std::numeric_limits<int64_t>::min()).ToString(),
            "-9223372036854775.808");
}

TEST(ScalarTest, EveryPrintedScalarReadsBack) {
  base::Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const int64_t thousandths = static_cast<int64_t>(rng.Next()) >> rng.Below(63);
    if (thousandths == std::numeric_limits<int64_t>::min()) continue;
    const Scalar scalar = Scalar::FromThousandths(thousandths);
    ASSERT_EQ(S(scalar.ToString()), scalar);
    if (std::llabs(thousandths) < (int64_t{1} << 50)) {
      ASSERT_EQ(*Scalar::FromDouble(scalar.ToDouble()), scalar);
    }
  }
}

TEST(ScalarTest, SumsSaturate) {
  EXPECT_EQ(Scalar::Max() + S("1"), Scalar::Max());
  EXPECT_EQ(Scalar::FromUnits(std::numeric_limits<int64_t>::max()), Scalar::Max());
  const Scalar least = Scalar::FromThousandths(std::numeric_limits<int64_t>::min());
  EXPECT_EQ(least - S("1"), least);
  EXPECT_EQ(Scalar::FromUnits(std::numeric_limits<int64_t>::min()), least);
  EXPECT_EQ(Scalar() - least, Scalar::Max());
}

TEST(ScalarTest, KnowsWholeNumbers) {
  EXPECT_TRUE(S("2").IsWhole());
  EXPECT_FALSE(S("2.5").IsWhole());
}

TEST(RangesTest, CanonicalFormIsSortedAndCoalesced) {
  EXPECT_EQ(R("[4-6, 1-3]").ToString(), "[1-6]");
  EXPECT_EQ(R("[ 5 - 9 ,1-3 ]").ToString(), "[1-3, 5-9]");
  EXPECT_EQ(R("[7]").ToString(), "[7-7]");
  EXPECT_EQ(R("[]").ToString(), "[]");
  EXPECT_EQ(R("[0-18446744073709551614, 18446744073709551615]").ToString(),
            "[0-18446744073709551615]");
}

TEST(RangesTest, GoldenSumsAndDifferences) {
  EXPECT_EQ(R("[1-3]") + R("[4-6]"), R("[1-6]"));
  EXPECT_EQ(R("[1-10]") - R("[3-4]"), R("[1-2, 5-10]"));
  EXPECT_EQ(R("[1-2]") - R("[2-5]"), R("[1]"));
  EXPECT_EQ(R("[1-2, 4-9]") - R("[0-20]"), Ranges());
  EXPECT_EQ(R("[0-18446744073709551615]") - R("[18446744073709551615]"),
            R("[0-18446744073709551614]"));
  EXPECT_TRUE(R("[1-6]").Contains(R("[2-3, 5]")));
  EXPECT_FALSE(R("[1-3, 5-6]").Contains(R("[3-5]")));
}

TEST(RangesTest, CountSaturates) {
  EXPECT_EQ(R("[1-3, 7]").Count(), 4u);
  EXPECT_EQ(R("[0-18446744073709551615]").Count(), std::numeric_limits<uint64_t>::max());
}

TEST(RangesTest, RefusesMalformedText) {
  for (const char* text :
       {"", "[", "]", "1-3", "[1-]", "[-3]", "[1-3,]", "[,]", "[3-1]", "[1-3, 2-5]", "[1-3, 3]",
        "[a-b]", "[1-2-3]", "[1 2]", "[+1-2]", "[18446744073709551616]", "[[1-2]]"}) {
    EXPECT_EQ(Ranges::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(Ranges::Parse("[1-3, 2-5]").status().message(), "ranges 1-3 and 2-5 overlap");
  EXPECT_EQ(Ranges::Parse("[3-1]").status().message(), "range 3-1 begins after its end");
}

TEST(RangesTest, OverlapsAreFoundAmongVeryManyIntervals) {
  std::vector<Interval> intervals;
  for (uint64_t i = 200'000; i > 0; --i) intervals.push_back({i * 3, i * 3 + 1});
  EXPECT_EQ(Ranges::FromIntervals(intervals)->intervals().size(), 200'000u);
  intervals.push_back({601, 601});
  EXPECT_FALSE(Ranges::FromIntervals(intervals).ok());
}

TEST(RangesTest, AgreesWithSetsOfNumbers) {
  const auto numbers = [](const Ranges& ranges) {
    std::set<uint64_t> all;
    for (const Interval& interval : ranges.intervals()) {
      for (uint64_t n = interval.begin; n <= interval.end; ++n) all.insert(n);
    }
    return all;
  };
  base::Rng rng(2);
  for (int i = 0; i < 20'000; ++i) {
    const Ranges a = RandomRanges(&rng);
    const Ranges b = RandomRanges(&rng);
    const std::set<uint64_t> in_a = numbers(a);
    const std::set<uint64_t> in_b = numbers(b);
    std::set<uint64_t> sum = in_a;
    sum.insert(in_b.begin(), in_b.end());
    std::set<uint64_t> difference = in_a;
    for (const uint64_t n : in_b) difference.erase(n);
    ASSERT_EQ(numbers(a + b), sum);
    ASSERT_EQ(numbers(a - b), difference);
    ASSERT_EQ(a.Contains(b), difference.size() + in_b.size() == in_a.size());
    ASSERT_EQ(a.Intersects(b), difference.size() != in_a.size());
    ASSERT_EQ(a.Count(), in_a.size());
    for (uint64_t n = 0; n < 50; ++n) ASSERT_EQ(a.Contains(n), in_a.contains(n));
    for (const Ranges& result : {a + b, a - b}) {
      ASSERT_EQ(*Ranges::FromIntervals(result.intervals()), result);
      ASSERT_EQ(R(result.ToString()), result);
    }
  }
}

TEST(StringSetTest, BehavesAsASet) {
  const StringSet ab = *StringSet::Parse("{b, a}");
  const StringSet bc = *StringSet::Parse("{ b ,c }");
  EXPECT_EQ(ab.ToString(), "{a, b}");
  EXPECT_EQ((ab + bc).ToString(), "{a, b, c}");
  EXPECT_EQ((ab - bc).ToString(), "{a}");
  EXPECT_TRUE((ab + bc).Contains(bc));
  EXPECT_FALSE(ab.Contains(bc));
  EXPECT_TRUE(ab.Intersects(bc));
  EXPECT_FALSE((ab - bc).Intersects(bc));
  EXPECT_TRUE(ab.Contains("a"));
  EXPECT_EQ(StringSet::Parse("{}")->Count(), 0u);
}

TEST(StringSetTest, RefusesMalformedText) {
  for (const char* text : {"", "{", "a,b", "{a,}", "{,a}", "{a, a}", "{{a}}", "[a]"}) {
    EXPECT_EQ(StringSet::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(TextTest, QuotesForeignTextHarmlessly) {
  EXPECT_EQ(Quoted("a b"), "'a b'");
  EXPECT_EQ(Quoted("a\n\x1b\xff"), "'a\\x0a\\x1b\\xff'");
  EXPECT_EQ(Quoted(std::string(1000, 'x')), "'" + std::string(128, 'x') + "...'");
}

}  // namespace
}  // namespace tessera::model
