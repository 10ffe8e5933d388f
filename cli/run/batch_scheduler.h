// The framework behind `tessera run`: launches the tasks of a job where they fit, launches lost
// ones again, and tells how it goes.
//
// Invariant: each task of the job is in exactly one of waiting, live and ended; it ends once.
//
// While tasks wait, resources are asked for again and again (Tick): neither a refused call nor one
// that overtook another leaves the job waiting for offers that never come.
//
// Threads: callbacks run on the driver's thread; Snapshot(), Outcomes() and Tick() may be called
// from any.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cli/run/job.h"
#include "sdk/cpp/scheduler_driver.h"

namespace tessera::cli {

// What became of one task of the job.
struct TaskOutcome {
  std::string task_id;
  std::string agent_id;
  // AgentService of the agent it ran on.
  std::string agent_address;
  model::v1::TaskState state = model::v1::TASK_STATE_UNSPECIFIED;
  std::string message;
  // As wait(2) reports it.
  std::optional<int> wait_status;
  int attempts = 0;
  absl::Time launched;
  absl::Time running;
  absl::Time ended;
  // Terminal updates that came for the attempt that ended the task; more than one is a fault.
  int terminal_updates = 0;
};

struct BatchProgress {
  size_t waiting = 0;
  size_t live = 0;
  size_t running = 0;
  size_t finished = 0;
  size_t failed = 0;
  size_t relaunched = 0;
  std::string framework_id;
  bool connected = false;
  // Set when the session ended for good before the job did.
  absl::Status session = absl::OkStatus();
  bool done = false;
};

// What to tell the user of the end of a framework that was told to end with its tasks. `ended`: the
// session ended in time; `session`: how.
std::string HowTeardownWent(const std::string& framework_id, bool ended,
                            const absl::Status& session);

class BatchScheduler : public sdk::Scheduler {
 public:
  // `attempts_max`: how often a task is launched when it was lost; failures are never repeated.
  BatchScheduler(Job job, int attempts_max);

  // The framework to subscribe as.
  static model::v1::FrameworkInfo FrameworkOf(const Job& job);

  // How calls reach the master: SchedulerDriver::Call. Before the driver is started.
  void SetCalls(std::function<void(sdk::Request)> call) { call_ = std::move(call); }
  // Called on the driver's thread when a task has started to run, before Update returns.
  void OnRunning(std::function<void(const std::string& name, const TaskOutcome&)> callback) {
    on_running_ = std::move(callback);
  }
  void OnEnded(std::function<void(const std::string& name, const TaskOutcome&)> callback) {
    on_ended_ = std::move(callback);
  }

  // Asks for resources when tasks have waited too long for an offer. From time to time.
  void Tick(absl::Time now);

  BatchProgress Snapshot() const;
  // By name of the job's tasks.
  std::map<std::string, TaskOutcome> Outcomes() const;

  void Subscribed(const scheduler::v1::Event::Subscribed& subscribed) override;
  void Offers(std::vector<model::v1::Offer> offers) override;
  void Rescinded(const std::vector<std::string>& offer_ids) override;
  void Update(const model::v1::TaskStatus& status) override;
  void Disconnected(const absl::Status& status) override;
  void CallFailed(const sdk::Request& request, const absl::Status& status) override;
  void Ended(const absl::Status& status) override;

 private:
  struct Live {
    size_t index = 0;
  };

  // Launches waiting tasks on an offer; empty when none fits.
  std::vector<model::v1::TaskInfo> Fit(const model::v1::Offer& offer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  model::v1::TaskInfo Describe(size_t index, const model::v1::Offer& offer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LaunchAgain(const std::string& task_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndTask(const std::string& task_id, const model::v1::TaskStatus& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Job job_;
  const int attempts_max_;
  std::function<void(sdk::Request)> call_;
  std::function<void(const std::string&, const TaskOutcome&)> on_running_;
  std::function<void(const std::string&, const TaskOutcome&)> on_ended_;

  mutable absl::Mutex mu_;
  std::deque<size_t> waiting_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Live> live_ ABSL_GUARDED_BY(mu_);
  std::vector<TaskOutcome> outcomes_ ABSL_GUARDED_BY(mu_);
  BatchProgress progress_ ABSL_GUARDED_BY(mu_);
  bool suppressed_ ABSL_GUARDED_BY(mu_) = false;
  // When resources are asked for again unless an offer comes before, and the wait after that.
  absl::Time ask_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Duration ask_wait_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::cli
