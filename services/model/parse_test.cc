#include "services/model/parse.h"

#include <gtest/gtest.h>

#include "services/base/rng.h"
#include "services/model/attributes.h"
#include "services/model/quantities.h"

namespace tessera::model {
namespace {

TEST(ParseResourcesTest, ReadsWhatPeopleType) {
  const auto resources = ParseResources(
      " cpus:4; mem : 1024 ;disk:4096;ports:[31000-32000, 80];zones:{b, a};cpus(eng/web):2;;");
  ASSERT_TRUE(resources.ok()) << resources.status();
  EXPECT_EQ(ToString(*resources),
            "cpus:4; cpus(eng/web):2; disk:4096; mem:1024; ports:[80-80, 31000-32000]; "
            "zones:{a, b}");
  EXPECT_EQ(*ParseResources("cpus(*):1;cpus:1"), *ParseResources("cpus:2"));
  EXPECT_TRUE(ParseResources("")->empty());
  EXPECT_EQ(*ParseResources("cpus(a:b):1"), ParseResources("cpus(a:b):1")->ReservedTo("a:b"));
}

TEST(ParseResourcesTest, DefaultRoleReservesWhatIsNotReserved) {
  EXPECT_EQ(*ParseResources("cpus:1;mem(b):2", "a"), *ParseResources("cpus(a):1;mem(b):2"));
  EXPECT_FALSE(ParseResources("cpus:1", "a//b").ok());
}

TEST(ParseResourcesTest, SaysWhichPartIsWrongAndWhy) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"cpus", "resource 'cpus': is not of the form"},
      {"cpus:", "has no value"},
      {":4", "has no name"},
      {"cpus:four", "'four' is not a decimal number"},
      {"cpus:-1", "scalar is negative"},
      {"cpus:0.0004", "rounds to zero"},
      {"cpus:4e-4", "rounds to zero"},
      {"cpus:1e300", "out of range"},
      {"cpus:nan", "not a decimal number"},
      {"cpus(a:4", "no ')'"},
      {"cpus(a)4", "is not of the form"},
      {"cpus():4", "role must not be empty"},
      {"cpus(a/../b):4", "'.' or '..'"},
      {"ports:[1-3,2-4]", "overlap"},
      {"ports:[3-1]", "begins after its end"},
      {"ports:[1-3", "ranges must be written"},
      {"zones:{a,a}", "occurs twice"},
      {"x:1;x:[1-2]", "is both a scalar and ranges"},
      {"mem:1024;cpus:4 cores", "resource 'cpus:4 cores'"},
  };
  for (const auto& [text, message] : cases) {
    const absl::Status status = ParseResources(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(status.message().find(message), std::string::npos) << text << ": " << status;
  }
}

TEST(ParseResourcesTest, ReadsJsonInBothForms) {
  const auto stack = ParseResources(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":0.1},
      "reservations":[{"type":"STATIC","role":"eng"}]}])");
  ASSERT_TRUE(stack.ok()) << stack.status();
  const auto old =
      ParseResources(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":0.1},"role":"eng"}])");
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(*stack, *old);
  EXPECT_EQ(*stack, *ParseResources("cpus(eng):0.1"));
  EXPECT_EQ(*ParseResources(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"*"}])"),
            *ParseResources("cpus:1"));
}

TEST(ParseResourcesTest, OldFormOfDynamicReservations) {
  const auto objects = ParseResourcesJson(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":1},
      "role":"eng","reservation":{"principal":"ann","labels":{"labels":[{"key":"k"}]}}}])");
  ASSERT_TRUE(objects.ok()) << objects.status();
  const Reservation& reservation = (*objects)[0].metadata().reservations.at(0);
  EXPECT_EQ(reservation.type, ReservationType::kDynamic);
  EXPECT_EQ(reservation.role, "eng");
  EXPECT_EQ(reservation.principal, "ann");
  EXPECT_EQ(reservation.labels->at(0).key, "k");
}

TEST(ParseResourcesTest, JsonErrorsNameTheirPath) {
  const auto wrap = [](std::string_view fields) {
    return R"([{"name":"x","type":"SCALAR","scalar":{"value":1})" + std::string(fields) + "}]";
  };
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"[", "not well-formed"},
      {"[1]", "resources[0] must be an object"},
      {R"([{"type":"SCALAR","scalar":{"value":1}}])", "resources[0].name is missing"},
      {R"([{"name":"x"}])", "resources[0].type is missing"},
      {R"([{"name":"x","type":"TEXT"}])", "must be SCALAR, RANGES or SET"},
      {R"([{"name":"x","type":"SET","scalar":{"value":1}}])",
       "resources[0].scalar does not belong"},
      {R"([{"name":"x","type":"SCALAR"}])", "resources[0].scalar is missing"},
      {R"([{"name":"x","type":"SCALAR","scalar":{}}])", "resources[0].scalar.value is missing"},
      {R"([{"name":"x","type":"SCALAR","scalar":{"value":"1"}}])", "must be a number"},
      {R"([{"name":"x","type":"SCALAR","scalar":{"value":0.0004}}])", "rounds to zero"},
      {R"([{"name":"x","type":"SCALAR","scalar":{"value":1e300}}])", "out of range"},
      {R"([{"name":"x","type":"SCALAR","scalar":{"value":9223372036854775808}}])", "out of range"},
      {R"([{"name":"x","type":"SCALAR","scalar":{"value":-1}}])", "scalar is negative"},
      {R"([{"name":"x","type":"RANGES","ranges":{"range":[{"begin":-1,"end":2}]}}])",
       "ranges.range[0].begin must be a whole number"},
      {R"([{"name":"x","type":"RANGES","ranges":{"range":[{"begin":3,"end":2}]}}])",
       "begins after its end"},
      {R"([{"name":"x","type":"SET","set":{"item":["a","a"]}}])", "occurs twice"},
      {wrap(R"(,"rol":"a")"), "unknown field 'rol'"},
      {wrap(R"(,"role":"a","reservation":{"role":"a"})"), "must not say its type or role"},
      {wrap(R"(,"reservation":{})"), "needs a role other than '*'"},
      {wrap(R"(,"role":"a","reservations":[{"type":"STATIC","role":"b"}])"), "disagrees"},
      {wrap(R"(,"reservations":[{"type":"SOLID","role":"b"}])"), "must be STATIC or DYNAMIC"},
      {wrap(R"(,"reservations":{})"), "resources[0].reservations must be an array"},
      {wrap(R"(,"disk":{"source":{"type":"RAW","path":{}}})"), "does not belong to type RAW"},
      {wrap(R"(,"disk":{"source":{"type":"PATH"}})"), "only for the resource 'disk'"},
      {wrap(R"(,"revocable":true)"), "resources[0].revocable must be an object"},
      {wrap(R"(,"shared_count":2)"), "only for shared resources"},
  };
  for (const auto& [json, message] : cases) {
    const absl::Status status = ParseResourcesJson(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_NE(status.message().find(message), std::string::npos) << json << "\n" << status;
  }
}

TEST(ParseResourcesTest, OperatorsCannotStateWhatIsMadeAtRunTime) {
  const auto wrap = [](std::string_view fields) {
    return R"([{"name":"disk","type":"SCALAR","scalar":{"value":1},)" + std::string(fields) + "}]";
  };
  for (const std::string& json : {
           wrap(R"("revocable":{})"),
           wrap(R"("allocation_info":{"role":"a"})"),
           wrap(R"("reservations":[{"type":"DYNAMIC","role":"a"}])"),
           wrap(R"("role":"a","disk":{"persistence":{"id":"v"},"volume":{"container_path":"p"}})"),
       }) {
    EXPECT_TRUE(ParseResourcesJson(json).ok()) << json;
    const absl::Status status = ParseResources(json).status();
    EXPECT_NE(status.message().find("cannot be configured"), std::string::npos) << status;
  }
  EXPECT_TRUE(
      ParseResources(wrap(R"("disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}}})")).ok());
}

TEST(FormatResourcesTest, RefusesWhatTextCannotSay) {
  EXPECT_EQ(*FormatResources(*ParseResources("mem:2;cpus:1")), "cpus:1; mem:2");
  EXPECT_FALSE(FormatResources(ParseResources("cpus:1")->AllocatedCopy("a")).ok());
  for (const char* name : {"a:b", "a;b", "a(b", " a", "a,b"}) {
    EXPECT_FALSE(FormatResources({Resource::OfScalar(name, Scalar::FromUnits(1))}).ok()) << name;
  }
  EXPECT_FALSE(FormatResources({Resource::OfSet("z", *StringSet::FromItems({"a, b"}))}).ok());
}

TEST(ToJsonTest, WritesTheEndpointForm) {
  const auto objects = ParseResourcesJson(R"([{"name":"cpus","type":"SCALAR","scalar":{"value":2},
      "role":"eng","reservation":{"principal":"ann"}}])");
  ASSERT_TRUE(objects.ok());
  EXPECT_EQ(ToJson(Resources(*objects), ResourceJsonForm::kEndpoint),
            R"([{"name":"cpus","type":"SCALAR","scalar":{"value":2.0},"role":"eng",)"
            R"("reservation":{"principal":"ann"},)"
            R"("reservations":[{"type":"DYNAMIC","role":"eng","principal":"ann"}]}])");
  EXPECT_EQ(ToJson(*ParseResources("ports:[1-2]"), ResourceJsonForm::kEndpoint),
            R"([{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]},)"
            R"("role":"*"}])");
}

// Whatever the bytes, a parser answers with a value or a reason, and what it accepts it can print
// and read again.
void Feed(const std::string& input) {
  if (const auto resources = ParseResources(input); resources.ok()) {
    for (const Resource& object : *resources) ASSERT_TRUE(Validate(object).ok()) << input;
    if (const auto text = FormatResources(*resources); text.ok()) {
      const auto again = ParseResources(*text);
      ASSERT_TRUE(again.ok()) << input << "\n" << *text << "\n" << again.status();
      ASSERT_EQ(*again, *resources) << input;
    }
  } else {
    ASSERT_FALSE(resources.status().message().empty());
  }
  if (const auto objects = ParseResourcesJson(input); objects.ok()) {
    ASSERT_TRUE(ParseResourcesJson(ToJson(Resources(*objects))).ok()) << input;
  }
  if (const auto attributes = Attributes::Parse(input); attributes.ok()) {
    const auto again = Attributes::Parse(attributes->ToString());
    ASSERT_TRUE(again.ok()) << input << "\n" << again.status();
    ASSERT_EQ(*again, *attributes) << input;
  }
  if (const auto minimum = MinAllocatable::Parse(input); minimum.ok()) {
    ASSERT_FALSE(minimum->Admits({}));
  }
  if (const auto scalar = Scalar::Parse(input); scalar.ok()) {
    ASSERT_EQ(*Scalar::Parse(scalar->ToString()), *scalar);
  }
}

TEST(ParserFuzzTest, MutatedInputsNeverDoHarm) {
  const std::vector<std::string> seeds = {
      "cpus:4;mem:1024;disk:4096;ports:[31000-32000];zones:{a,b};cpus(role/x):2",
      "rack:1;zone:a;cores:1.5;vlans:[1-4,7]",
      "cpus:0.01|mem:32;disk:1",
      "-12345.6789e-3",
      R"([{"name":"cpus","type":"SCALAR","scalar":{"value":0.5},"role":"a"}])",
      R"([{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]}}])",
      R"([{"name":"disk","type":"SCALAR","scalar":{"value":5},"reservations":[{"type":"DYNAMIC",)"
      R"("role":"a","principal":"p","labels":{"labels":[{"key":"k","value":"v"}]}}],"disk":)"
      R"({"source":{"type":"PATH","path":{"root":"/"}},"persistence":{"id":"v"},"volume":)"
      R"({"container_path":"c","mode":"RO"}},"shared":{},"provider_id":{"value":"p"}}])",
  };
  constexpr std::string_view kMarks = ";:,()[]{}|-+.eE\"\\ \n0195aZ*/\0\xff";
  base::Rng rng(42);
  for (int i = 0; i < 60'000; ++i) {
    std::string input = seeds[rng.Below(seeds.size())];
    const size_t edits = 1 + rng.Below(4);
    for (size_t edit = 0; edit < edits && !input.empty(); ++edit) {
      const size_t at = rng.Below(input.size());
      switch (rng.Below(5)) {
        case 0:
          input.erase(at, 1 + rng.Below(4));
          break;
        case 1:
          input.insert(at, 1, kMarks[rng.Below(kMarks.size())]);
          break;
        case 2:
          input[at] = kMarks[rng.Below(kMarks.size())];
          break;
        case 3:
          input.insert(at, input.substr(rng.Below(input.size()), rng.Below(20)));
          break;
        default:
          input[at] = static_cast<char>(rng.Next());
          break;
      }
    }
    Feed(input);
    if (HasFatalFailure()) return;
  }
}

TEST(ParserFuzzTest, DeepAndLongInputsNeverDoHarm) {
  for (const char* unit : {"[", "{\"a\":", "(", "cpus:1;", "1", "cpus(a", "[[],"}) {
    std::string input;
    while (input.size() < 200'000) input += unit;
    Feed(input);
    Feed("[" + input);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tessera::model
