// Events that contradict the tables are refused with a reason and change nothing.
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

Bag Negative() {
  Bag bag;
  bag.plain[kCpus] = -1000;
  return bag;
}

// The cluster knows the framework `f` in role `r`, which holds all of `agent`: 2 cpus.
struct Contradiction {
  const char* name;
  RefusalReason reason;
  std::function<Event(AllocatorHarness& c)> event;
};

class AllocatorContradictions : public testing::TestWithParam<Contradiction> {};

TEST_P(AllocatorContradictions, IsRefusedAndChangesNothing) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.TakeOffers();
  const Event event = GetParam().event(c);
  c.Step(event);
  EXPECT_EQ(c.refusals, std::vector<RefusalReason>({GetParam().reason}));
  EXPECT_EQ(c.core.counters().refused_events, 1u);
  EXPECT_EQ(c.core.tables().agents.known(), 1u);
  EXPECT_EQ(c.core.tables().held, c.B("cpus:2").plain);
  EXPECT_EQ(c.core.tables().totals.total, c.B("cpus:2").plain);
  EXPECT_EQ(c.core.tables().roles.sorter().active_clients(), 1u);
  EXPECT_FALSE(c.core.tables().quotas.AnyQuota());
}

using C = AllocatorHarness;
INSTANTIATE_TEST_SUITE_P(
    Each, AllocatorContradictions,
    testing::Values(
        Contradiction{"FrameworkTwice", RefusalReason::kDuplicateFramework,
                      [](C& c) -> Event {
                        return FrameworkAdded{c.F("f"), c.Spec({"r"}), true};
                      }},
        Contradiction{"RoleTwice", RefusalReason::kDuplicateRole,
                      [](C& c) -> Event {
                        return FrameworkAdded{c.F("g"), c.Spec({"s", "s"}), true};
                      }},
        Contradiction{"UnknownFrameworkRemoved", RefusalReason::kUnknownFramework,
                      [](C& c) -> Event { return FrameworkRemoved{c.F("x")}; }},
        Contradiction{"UnknownFrameworkUpdated", RefusalReason::kUnknownFramework,
                      [](C& c) -> Event {
                        return FrameworkUpdated{c.F("x"), c.Spec({"r"})};
                      }},
        Contradiction{"UnknownFrameworkRevived", RefusalReason::kUnknownFramework,
                      [](C& c) -> Event {
                        return Revived{c.F("x"), {}};
                      }},
        Contradiction{"RevivedInARoleNotItsOwn", RefusalReason::kNotSubscribed,
                      [](C& c) -> Event {
                        return Revived{c.F("f"), {c.R("other")}};
                      }},
        Contradiction{"AgentTwice", RefusalReason::kDuplicateAgent,
                      [](C& c) -> Event {
                        return AgentAdded{c.A("agent"), {}, c.B("cpus:1"), {}, true};
                      }},
        Contradiction{"NegativeAgentAdded", RefusalReason::kNegativeAmount,
                      [](C& c) -> Event {
                        return AgentAdded{c.A("y"), {}, Negative(), {}, true};
                      }},
        Contradiction{"NegativeHolding", RefusalReason::kNegativeAmount,
                      [](C& c) -> Event {
                        return AgentAdded{
                            c.A("y"), {}, c.B("cpus:1"), {{c.F("f"), c.R("r"), Negative()}}, true};
                      }},
        Contradiction{"UnknownAgentUpdated", RefusalReason::kUnknownAgent,
                      [](C& c) -> Event {
                        return AgentUpdated{c.A("y"), {}, c.B("cpus:1")};
                      }},
        Contradiction{"NegativeAgentUpdated", RefusalReason::kNegativeAmount,
                      [](C& c) -> Event {
                        return AgentUpdated{c.A("agent"), {}, Negative()};
                      }},
        Contradiction{"UnknownAgentRemoved", RefusalReason::kUnknownAgent,
                      [](C& c) -> Event { return AgentRemoved{c.A("y")}; }},
        Contradiction{"UnknownAgentActivated", RefusalReason::kUnknownAgent,
                      [](C& c) -> Event { return AgentActivated{c.A("y")}; }},
        Contradiction{"UnknownAgentDeactivated", RefusalReason::kUnknownAgent,
                      [](C& c) -> Event { return AgentDeactivated{c.A("y")}; }},
        Contradiction{"MoreRecoveredThanHeld", RefusalReason::kNotHeld,
                      [](C& c) -> Event {
                        return Recovered{c.A("agent"), {c.F("f"), c.R("r"), c.B("cpus:3")}, {}};
                      }},
        Contradiction{"NegativeRecovered", RefusalReason::kNegativeAmount,
                      [](C& c) -> Event {
                        return Recovered{c.A("agent"), {c.F("f"), c.R("r"), Negative()}, {}};
                      }},
        Contradiction{
            "MoreConvertedThanHeld", RefusalReason::kNotHeld,
            [](C& c) -> Event {
              return Converted{c.A("agent"), {c.F("f"), c.R("r"), c.B("cpus:3")}, c.B("cpus(r):3")};
            }},
        Contradiction{
            "QuantityChangedByConversion", RefusalReason::kQuantityChanged,
            [](C& c) -> Event {
              return Converted{c.A("agent"), {c.F("f"), c.R("r"), c.B("cpus:1")}, c.B("cpus(r):2")};
            }},
        Contradiction{"WeightOfZero", RefusalReason::kBadWeight,
                      [](C& c) -> Event {
                        return WeightSet{c.R("r"), 0};
                      }},
        Contradiction{"GuaranteeAboveLimit", RefusalReason::kBadQuota,
                      [](C& c) -> Event {
                        return QuotaSet{c.R("r"), {c.B("cpus:3").plain, c.B("cpus:2").plain}};
                      }}),
    [](const testing::TestParamInfo<Contradiction>& info) { return info.param.name; });

}  // namespace
}  // namespace tessera::allocator
