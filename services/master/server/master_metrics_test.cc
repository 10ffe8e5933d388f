#include "services/master/server/master_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <map>
#include <memory>
#include <set>
#include <string>

namespace tessera::master {
namespace {

std::map<std::string, prometheus::MetricFamily> Collect(const MasterMetrics& metrics,
                                                        size_t frameworks_max) {
  const MetricsPage page(
      [&metrics] {
        return MetricsSnapshot{std::make_shared<MasterMetrics>(metrics), {}};
      },
      frameworks_max);
  std::map<std::string, prometheus::MetricFamily> families;
  for (prometheus::MetricFamily& family : page.Collect()) {
    EXPECT_TRUE(families.emplace(family.name, family).second) << family.name << " is there twice";
  }
  return families;
}

MasterMetrics WithFrameworks(int count) {
  MasterMetrics metrics;
  for (int i = 0; i < count; ++i) {
    FrameworkMetrics& row = metrics.frameworks.emplace_back();
    row.id = "framework-" + std::to_string(i);
    row.name = "a name/with \"everything\"\n";
    row.roles_suppressed = {{"work", i % 2 == 1}};
    row.counters.offers_accepted = 10;
    row.counters.tasks[3] = 2;
  }
  return metrics;
}

TEST(MasterMetricsTest, EveryValueOfAFrameworkIsThereFromTheStart) {
  const auto families = Collect(WithFrameworks(1), 10);
  EXPECT_EQ(families.at("tessera_framework_calls_total").metric.size(), size_t{kCallTypes});
  EXPECT_EQ(families.at("tessera_framework_events_total").metric.size(), size_t{kEventTypes});
  EXPECT_EQ(families.at("tessera_framework_operations_total").metric.size(),
            size_t{kOperationTypes});
  EXPECT_EQ(families.at("tessera_framework_offers_total").metric.size(), 4u);
  EXPECT_EQ(families.at("tessera_framework_tasks").metric.size(), 5u);
  EXPECT_EQ(families.at("tessera_framework_tasks_terminated_total").metric.size(), 8u);
  EXPECT_EQ(families.at("tessera_framework_role_suppressed").metric.size(), 1u);
}

TEST(MasterMetricsTest, StepsAndEffectsAreCountedByKind) {
  const MetricsPage page(
      [] {
        ShellMetrics shell;
        shell.steps = {{"wake", 3}, {"committed", 0}};
        shell.effects = {{"to_agent", 7}};
        return MetricsSnapshot{std::make_shared<MasterMetrics>(), shell};
      },
      10);
  std::map<std::string, std::map<std::string, double>> by_kind;
  for (const prometheus::MetricFamily& family : page.Collect()) {
    for (const auto& metric : family.metric) {
      if (!metric.label.empty() && metric.label[0].name == "kind") {
        by_kind[family.name][metric.label[0].value] = metric.counter.value;
      }
    }
  }
  using Counts = std::map<std::string, double>;
  EXPECT_EQ(by_kind["tessera_master_steps_total"], (Counts{{"wake", 3}, {"committed", 0}}));
  EXPECT_EQ(by_kind["tessera_master_effects_total"], (Counts{{"to_agent", 7}}));
}

TEST(MasterMetricsTest, SeriesGoWithTheFramework) {
  EXPECT_FALSE(Collect(WithFrameworks(0), 10).contains("tessera_framework_calls_total"));
}

TEST(MasterMetricsTest, BeyondTheBoundFrameworksAreAddedUp) {
  const auto families = Collect(WithFrameworks(5), 2);
  EXPECT_EQ(families.at("tessera_framework_subscribed").metric.size(), 3u);
  EXPECT_EQ(families.at("tessera_metrics_overflow_frameworks").metric[0].gauge.value, 3);
  double accepted = 0;
  for (const auto& metric : families.at("tessera_framework_offers_total").metric) {
    if (metric.label[1].value == "accepted") accepted += metric.counter.value;
  }
  EXPECT_EQ(accepted, 50);
}

TEST(MasterMetricsTest, CountersEndInTotalAndGaugesDoNot) {
  for (const auto& [name, family] : Collect(WithFrameworks(1), 10)) {
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, name.ends_with("_total")) << name;
    EXPECT_FALSE(family.help.empty()) << name;
    std::set<std::string> rows;
    for (const auto& metric : family.metric) {
      std::string row;
      for (const auto& label : metric.label) row += label.name + "=" + label.value + ";";
      EXPECT_TRUE(rows.insert(row).second) << name << " has " << row << " twice";
    }
  }
}

}  // namespace
}  // namespace tessera::master
