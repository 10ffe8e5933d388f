#include "services/model/quantities.h"

#include <gtest/gtest.h>

#include "services/model/parse.h"

namespace tessera::model {
namespace {

Quantities Q(std::string_view text) {
  const auto quantities = Quantities::Parse(text);
  EXPECT_TRUE(quantities.ok()) << quantities.status();
  return quantities.value_or(Quantities());
}

Resources Text(std::string_view text) { return *ParseResources(text); }

TEST(QuantitiesTest, StripEverythingButNamesAndAmounts) {
  const Resources resources = Text("cpus:1;cpus(a):1;mem:10;ports(a):[1-5];zones:{x,y}");
  EXPECT_EQ(Quantities::OfScalars(resources), Q("cpus:2;mem:10"));
  EXPECT_EQ(Quantities::OfAll(resources), Q("cpus:2;mem:10;ports:5;zones:2"));
}

TEST(QuantitiesTest, NonScalarReservationsHaveNoScalarQuantity) {
  const Resources reserved = Text("ports(a):[1-5];zones(a):{x}");
  EXPECT_TRUE(Quantities::OfScalars(reserved).empty());
}

TEST(QuantitiesTest, SharedVolumesCountOnce) {
  const auto objects = ParseResourcesJson(R"([{"name":"disk","type":"SCALAR",
      "scalar":{"value":10},"reservations":[{"type":"STATIC","role":"r"}],"shared":{},
      "shared_count":3,
      "disk":{"persistence":{"id":"v"},"volume":{"container_path":"d","mode":"RW"}}}])");
  ASSERT_TRUE(objects.ok()) << objects.status();
  EXPECT_EQ(Quantities::OfScalars(Resources(*objects)), Q("disk:10"));
}

TEST(QuantitiesTest, ZeroesAreAbsentAndDifferencesClip) {
  Quantities quantities = Q("cpus:1;mem:0");
  EXPECT_EQ(quantities.size(), 1u);
  quantities -= Q("cpus:3;disk:1");
  EXPECT_TRUE(quantities.empty());
  quantities = Q("cpus:1");
  quantities += quantities;
  EXPECT_EQ(quantities, Q("cpus:2"));
  quantities -= quantities;
  EXPECT_TRUE(quantities.empty());
  EXPECT_EQ((Quantities{{"b", Scalar::FromUnits(1)}, {"a", Scalar::FromUnits(2)}}).ToString(),
            "a:2;b:1");
}

TEST(QuantitiesTest, RefuseMalformedText) {
  for (const char* text : {"cpus", ":1", "cpus:", "cpus:x", "cpus:-1", "cpus:1;cpus:2",
                           "ports:[1-2]", "zones:{a}", "cpus:nan", "cpus:1,mem:2"}) {
    EXPECT_EQ(Quantities::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ResourceNamesTest, WellKnownNamesComeFirstAndTheTableIsBounded) {
  ResourceNames names;
  EXPECT_EQ(*names.Find("cpus"), ResourceNames::kCpus);
  EXPECT_EQ(*names.Find("mem"), ResourceNames::kMem);
  EXPECT_EQ(*names.Find("disk"), ResourceNames::kDisk);
  EXPECT_EQ(*names.Find("gpus"), ResourceNames::kGpus);
  EXPECT_EQ(*names.Intern("ports"), 4u);
  EXPECT_EQ(*names.Intern("ports"), 4u);
  EXPECT_EQ(names.Name(4), "ports");
  EXPECT_FALSE(names.Find("other").has_value());
  names.set_limit(5);
  EXPECT_EQ(names.Intern("other").status().code(), absl::StatusCode::kResourceExhausted);
  bool complete = true;
  const QuantityVector vector = QuantityVector::From(Q("cpus:1;other:2"), &names, &complete);
  EXPECT_FALSE(complete);
  EXPECT_EQ(vector.ToQuantities(names), Q("cpus:1"));
}

TEST(QuantityVectorTest, LengthDoesNotMatter) {
  QuantityVector shorter;
  QuantityVector longer;
  longer.Set(9, Scalar());
  EXPECT_EQ(shorter, longer);
  EXPECT_TRUE(longer.IsZero());
  longer.Set(9, Scalar::FromUnits(1));
  EXPECT_NE(shorter, longer);
  EXPECT_TRUE(longer.Contains(shorter));
  EXPECT_FALSE(shorter.Contains(longer));
  EXPECT_EQ(shorter + longer, longer);
  EXPECT_EQ(shorter - longer, QuantityVector());
  EXPECT_EQ(longer - longer, QuantityVector());
}

TEST(MinAllocatableTest, AlternativesAreOredAndTheirPartsAnded) {
  const auto minimum = MinAllocatable::Parse("cpus:0.01|mem:32;disk:1");
  ASSERT_TRUE(minimum.ok()) << minimum.status();
  EXPECT_TRUE(minimum->Admits(Q("cpus:0.01")));
  EXPECT_FALSE(minimum->Admits(Q("cpus:0.009;mem:32")));
  EXPECT_TRUE(minimum->Admits(Q("mem:32;disk:1")));
  EXPECT_FALSE(minimum->Admits(Q("mem:32")));
  EXPECT_EQ(minimum->ToString(), "cpus:0.01|disk:1;mem:32");
}

TEST(MinAllocatableTest, PortsAreCounted) {
  const auto minimum = MinAllocatable::Parse("ports:1");
  ASSERT_TRUE(minimum.ok());
  EXPECT_TRUE(minimum->Admits(Quantities::OfAll(Text("ports:[31000-31000]"))));
  EXPECT_FALSE(minimum->Admits(Quantities::OfAll(Text("cpus:4"))));
  EXPECT_FALSE(MinAllocatable::Parse("ports:[1-2]").ok());
}

TEST(MinAllocatableTest, NothingIsNeverAllocatable) {
  EXPECT_FALSE(MinAllocatable().Admits({}));
  EXPECT_TRUE(MinAllocatable().Admits(Q("x:0.001")));
  EXPECT_FALSE(MinAllocatable::Parse("cpus:0")->Admits({}));
  EXPECT_TRUE(MinAllocatable::Parse("cpus:0")->Admits(Q("mem:1")));
  EXPECT_TRUE(MinAllocatable::Parse(" ")->alternatives().empty());
}

TEST(MinAllocatableTest, RefusesMalformedBounds) {
  for (const char* text : {"|", "cpus:1|", "cpus:-1", "cpus", "cpus:1;cpus:1"}) {
    EXPECT_EQ(MinAllocatable::Parse(text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace tessera::model
