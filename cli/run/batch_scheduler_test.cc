#include "cli/run/batch_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/time/clock.h"

namespace tessera::cli {
namespace {

using scheduler::v1::AcceptOffersRequest;
using scheduler::v1::DeclineOffersRequest;
using scheduler::v1::ReviveOffersRequest;
using scheduler::v1::SuppressOffersRequest;
using ::testing::HasSubstr;
using ::testing::Not;

Job TwoTasks() {
  Job job;
  job.name = "test";
  for (const char* name : {"a", "b"}) {
    JobTask task;
    task.name = name;
    task.shell = "true";
    task.cpus_milli = 1000;
    task.mem_milli = 32000;
    job.tasks.push_back(task);
  }
  return job;
}

// The driver and the master are played by the test.
class BatchSchedulerTest : public ::testing::Test {
 protected:
  BatchSchedulerTest() : scheduler_(TwoTasks(), 3) {
    scheduler_.SetCalls([this](sdk::Request request) { calls_.push_back(std::move(request)); });
    scheduler::v1::Event::Subscribed subscribed;
    subscribed.set_framework_id("f-1");
    scheduler_.Subscribed(subscribed);
  }

  void Offer(const std::string& id, int cpus) {
    model::v1::Offer offer;
    offer.set_id(id);
    offer.set_agent_id("agent-1");
    for (const auto& [name, amount] : {std::pair("cpus", cpus), std::pair("mem", 4096)}) {
      auto* resource = offer.add_resources();
      resource->set_name(name);
      resource->mutable_scalar()->set_milli(amount * 1000);
    }
    scheduler_.Offers({offer});
  }

  void Update(const std::string& task, model::v1::TaskState state) {
    model::v1::TaskStatus status;
    status.set_task_id(task);
    status.set_state(state);
    scheduler_.Update(status);
  }

  template <typename T>
  size_t Count() const {
    size_t count = 0;
    for (const sdk::Request& request : calls_) count += std::holds_alternative<T>(request);
    return count;
  }

  // All tasks launched, offers suppressed; then one task is lost.
  void LoseOneOfTheTasks() {
    Offer("o-1", 2);
    ASSERT_EQ(Count<AcceptOffersRequest>(), 1);
    ASSERT_EQ(Count<SuppressOffersRequest>(), 1);
    calls_.clear();
    Update("a", model::v1::TASK_LOST);
    ASSERT_EQ(Count<ReviveOffersRequest>(), 1);
    calls_.clear();
  }

  BatchScheduler scheduler_;
  std::vector<sdk::Request> calls_;
};

TEST_F(BatchSchedulerTest, LaunchesWhatFitsAndDeclinesTheRest) {
  Offer("o-1", 1);
  ASSERT_EQ(calls_.size(), 1);
  const auto& accept = std::get<AcceptOffersRequest>(calls_[0]);
  EXPECT_EQ(accept.offer_ids(0), "o-1");
  ASSERT_EQ(accept.operations(0).launch().tasks_size(), 1);
  EXPECT_EQ(accept.filters().refuse_duration().seconds(), 1);
  Offer("o-2", 0);
  EXPECT_EQ(std::get<DeclineOffersRequest>(calls_[1]).offer_ids(0), "o-2");
  Offer("o-3", 1);
  EXPECT_EQ(Count<SuppressOffersRequest>(), 1);
  Update("a", model::v1::TASK_FINISHED);
  Update("b", model::v1::TASK_FINISHED);
  EXPECT_TRUE(scheduler_.Snapshot().done);
}

TEST_F(BatchSchedulerTest, ARefusedReviveIsTriedAgain) {
  LoseOneOfTheTasks();
  scheduler_.CallFailed(ReviveOffersRequest(), absl::ResourceExhaustedError("too much waits"));
  scheduler_.Tick(absl::Now());
  EXPECT_TRUE(calls_.empty()) << "not at once";
  const absl::Time later = absl::Now() + absl::Seconds(2);
  scheduler_.Tick(later);
  EXPECT_EQ(Count<ReviveOffersRequest>(), 1);
  scheduler_.Tick(later);
  EXPECT_EQ(Count<ReviveOffersRequest>(), 1);
  Offer("o-2", 1);
  EXPECT_EQ(Count<AcceptOffersRequest>(), 1);
  EXPECT_TRUE(scheduler_.Snapshot().session.ok());
}

TEST_F(BatchSchedulerTest, AReviveThatNothingFollowsIsRepeatedMoreAndMoreRarely) {
  LoseOneOfTheTasks();
  // As when the suppression was carried out after it.
  const absl::Time start = absl::Now();
  for (int second = 0; second < 600; ++second) scheduler_.Tick(start + absl::Seconds(second));
  EXPECT_GE(Count<ReviveOffersRequest>(), 10);
  EXPECT_LE(Count<ReviveOffersRequest>(), 16);
}

TEST_F(BatchSchedulerTest, AReviveThatCanNeverWorkEndsTheJob) {
  LoseOneOfTheTasks();
  scheduler_.CallFailed(ReviveOffersRequest(), absl::InvalidArgumentError("no such role"));
  const absl::Status session = scheduler_.Snapshot().session;
  EXPECT_EQ(session.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(session.message()), HasSubstr("1 tasks that wait: no such role"));
}

TEST_F(BatchSchedulerTest, NobodyAsksWithoutNeedOrSession) {
  Offer("o-1", 2);
  calls_.clear();
  scheduler_.Tick(absl::Now() + absl::Hours(1));
  EXPECT_TRUE(calls_.empty()) << "nothing waits";
  Update("a", model::v1::TASK_LOST);
  calls_.clear();
  scheduler_.Disconnected(absl::UnavailableError(""));
  scheduler_.Tick(absl::Now() + absl::Hours(1));
  EXPECT_TRUE(calls_.empty()) << "the next subscription asks by itself";
}

TEST(HowTeardownWentTest, ClaimsTheEndOnlyWhenItWasConfirmed) {
  EXPECT_EQ(HowTeardownWent("f-1", true, absl::OkStatus()),
            "the framework and its tasks were ended");
  for (const std::string& text :
       {HowTeardownWent("f-1", false, absl::OkStatus()),
        HowTeardownWent("f-1", true, absl::DeadlineExceededError("no answer"))}) {
    EXPECT_THAT(text, Not(HasSubstr("were ended")));
    EXPECT_THAT(text, HasSubstr("may run on"));
    EXPECT_THAT(text, HasSubstr("f-1"));
  }
}

}  // namespace
}  // namespace tessera::cli
