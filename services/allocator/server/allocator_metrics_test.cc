#include "services/allocator/server/allocator_metrics.h"

#include <prometheus/text_serializer.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"

namespace tessera::allocator {
namespace {

class AllocatorMetricsTest : public testing::Test {
 protected:
  void Step(const StreamEvent& event) {
    std::vector<StreamEffect> effects;
    core_.Step(now_, event, &effects);
    for (const StreamEffect& effect : effects) {
      if (const auto* run = std::get_if<RunDone>(&effect)) {
        metrics_.NoteRun(*run, absl::Microseconds(30));
      }
    }
  }
  std::string Text() {
    now_ += absl::Seconds(1);
    metrics_.Publish(now_, core_);
    return prometheus::TextSerializer().Serialize(metrics_.Collect());
  }

  absl::Time now_ = absl::UnixEpoch();
  StreamCore core_{StreamCoreConfig{}, 1};
  AllocatorMetrics metrics_{/*roles_max=*/2};
};

TEST_F(AllocatorMetricsTest, NothingConnected) {
  const std::string text = Text();
  EXPECT_TRUE(absl::StrContains(text, "tessera_allocator_connected 0\n"));
  EXPECT_TRUE(absl::StrContains(text, "tessera_allocator_paused 1\n"));
  EXPECT_FALSE(absl::StrContains(text, "role=")) << text;
}

TEST_F(AllocatorMetricsTest, ShowsResourcesRolesQuotaAndRuns) {
  auto request = std::make_shared<v1::AllocateRequest>();
  request->set_epoch(3);
  request->set_sequence(1);
  request->set_snapshot_complete(true);
  auto* quota = request->add_events()->mutable_quota_set();
  quota->set_role("eng");
  (*quota->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(2000);
  (*quota->mutable_limits()->mutable_amounts())["mem"].set_milli(512'000);
  for (const char* id : {"f", "g", "h"}) {
    auto* framework = request->add_events()->mutable_framework_added();
    framework->mutable_info()->set_id(id);
    framework->mutable_info()->add_roles(id == std::string("f") ? "eng" : id);
    framework->set_active(id == std::string("f"));
  }
  auto* agent = request->add_events()->mutable_agent_added();
  agent->mutable_info()->set_id("a");
  agent->set_active(true);
  model::wire::ToProto(*model::ParseResources("cpus:8;mem:1024"), agent->mutable_total());
  Step(RequestArrived{1, request});
  now_ += absl::Milliseconds(10);
  Step(StreamWake{});

  const std::string text = Text();
  for (const char* line : {
           "tessera_allocation_runs_total{kind=\"full\"} 1\n",
           "tessera_allocation_run_duration_seconds_count 1\n",
           "tessera_allocation_run_duration_seconds_bucket{le=\"2e-05\"} 0\n",
           "tessera_allocation_run_duration_seconds_bucket{le=\"+Inf\"} 1\n",
           "tessera_allocation_run_latency_seconds_count 1\n",
           "tessera_allocations_total 1\n",
           "tessera_allocator_connected 1\n",
           "tessera_allocator_epoch 3\n",
           "tessera_allocator_agents 1\n",
           "tessera_allocator_cpus{kind=\"total\"} 8\n",
           "tessera_allocator_cpus{kind=\"offered_or_allocated\"} 8\n",
           "tessera_allocator_memory_bytes{kind=\"offered_or_allocated\"} 536870912\n",
           "tessera_role_allocated_cpus{role=\"eng\"} 8\n",
           "tessera_role_dominant_share_ratio{role=\"eng\"} 1\n",
           "tessera_role_offer_filters{role=\"eng\"} 0\n",
           "tessera_role_quota_cpus{role=\"eng\",kind=\"guarantee\"} 2\n",
           "tessera_role_quota_cpus{role=\"eng\",kind=\"consumed\"} 8\n",
           "tessera_role_quota_memory_bytes{role=\"eng\",kind=\"limit\"} 536870912\n",
           "tessera_allocator_metrics_roles_left_out 1\n",
           "tessera_allocator_framework_outstanding_offers{framework_id=\"f\"} 1\n",
           "tessera_allocator_framework_offer_filters{framework_id=\"f\"} 0\n",
           "tessera_allocator_frameworks_at_offer_cap 0\n",
           "tessera_allocator_uncounted_names 0\n",
       }) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "\n" << text;
  }
  // The stream goes, and its roles with it; counters stay.
  Step(StreamEnded{1});
  const std::string after = Text();
  EXPECT_TRUE(absl::StrContains(after, "tessera_allocations_total 1\n"));
  EXPECT_FALSE(absl::StrContains(after, "role=\"eng\""));
}

TEST_F(AllocatorMetricsTest, NamesTheHoarders) {
  StreamCoreConfig config;
  config.allocator.outstanding_offers_max = 5;
  StreamCore core(config, 1);
  auto request = std::make_shared<v1::AllocateRequest>();
  request->set_epoch(3);
  request->set_sequence(1);
  for (int i = 0; i < 8; ++i) {
    auto* framework = request->add_events()->mutable_framework_added();
    framework->mutable_info()->set_id("f" + std::to_string(i));
    framework->mutable_info()->add_roles("r");
    framework->set_active(true);
    framework->set_outstanding_offers(i);
  }
  std::vector<StreamEffect> effects;
  core.Step(now_, RequestArrived{1, request}, &effects);
  AllocatorMetrics metrics(/*roles_max=*/2, /*hoarders_max=*/2);
  metrics.Publish(now_, core);
  const std::string text = prometheus::TextSerializer().Serialize(metrics.Collect());
  for (const char* line : {
           "tessera_allocator_framework_outstanding_offers{framework_id=\"f7\"} 7\n",
           "tessera_allocator_framework_outstanding_offers{framework_id=\"f6\"} 6\n",
           "tessera_allocator_framework_refusals_lengthened_total{framework_id=\"f7\"} 0\n",
           "tessera_allocator_frameworks_at_offer_cap 3\n",
       }) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "\n" << text;
  }
  EXPECT_FALSE(absl::StrContains(text, "f5")) << text;
}

TEST_F(AllocatorMetricsTest, ShowsWhatTheShellCounts) {
  metrics_.WatchShell([] {
    return AllocatorMetrics::ShellState{.queue_length = 4,
                                        .refused = 1,
                                        .steps = {{"stream_wake", 3}, {"stream_ended", 0}},
                                        .effects = {{"send_response", 2}}};
  });
  const std::string text = Text();
  for (const char* line : {"tessera_allocator_event_queue_length 4\n",
                           "tessera_allocator_event_queue_refused_total 1\n",
                           "tessera_allocator_steps_total{kind=\"stream_wake\"} 3\n",
                           "tessera_allocator_steps_total{kind=\"stream_ended\"} 0\n",
                           "tessera_allocator_effects_total{kind=\"send_response\"} 2\n"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << text;
  }
}

TEST_F(AllocatorMetricsTest, ViewsAreNotMadeAllTheTime) {
  Text();
  auto request = std::make_shared<v1::AllocateRequest>();
  request->set_epoch(3);
  request->set_sequence(1);
  Step(RequestArrived{1, request});
  metrics_.Publish(now_ + absl::Milliseconds(1), core_);  // connection: at once
  const auto text = [&] { return prometheus::TextSerializer().Serialize(metrics_.Collect()); };
  EXPECT_TRUE(absl::StrContains(text(), "tessera_allocator_connected 1\n"));
  EXPECT_TRUE(absl::StrContains(text(), "tessera_allocator_epoch 3\n"));
}

}  // namespace
}  // namespace tessera::allocator
