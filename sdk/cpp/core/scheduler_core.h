// The brain of a framework's session with the master: subscribe, follow the leader, acknowledge,
// reconcile.
//
// Pure: no gRPC, threads or clock. scheduler_driver.h runs it against a real master, tests/sim
// against a simulated one.
//
// Invariants:
// - at most one stream is open or being opened; answers and events of older attempts are ignored;
// - the framework id is kept from the first SUBSCRIBED on and never changes;
// - a task is tracked from AcceptOffers (or AdoptTasks) until its terminal update was handled;
//   after each subscription, and periodically, every tracked task is reconciled until the master
//   has told its state, with growing waits between the tries; a task is not asked for while the
//   AcceptOffers that launches it waits for its answer, because the question could overtake it;
// - when the outcome of AcceptOffers is not known, the session is opened anew before its tasks are
//   asked for: the master refuses calls of the older session, so the answer cannot be overtaken;
// - an update that was handled is acknowledged; the same update coming again is acknowledged again
//   and not delivered twice, and neither is an answer to reconciliation that tells of a known end;
// - a kill is sent again after a reconnection while its task is not terminal, and waits for the
//   answer to the AcceptOffers of its task.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "sdk/cpp/core/scheduler_events.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/rpc/leader_finder.h"

namespace tessera::sdk {

struct SchedulerConfig {
  // `host:port` of each master.
  std::vector<std::string> masters;
  // The framework; info.id empty to register anew.
  model::v1::FrameworkInfo info;
  std::vector<std::string> suppressed_roles;
  base::BackoffOptions reconnect{.initial = absl::Milliseconds(100), .max = absl::Seconds(15)};
  base::BackoffOptions reconcile{.initial = absl::Seconds(1), .max = absl::Seconds(60)};
  // All tracked tasks are reconciled this often even when nothing went wrong.
  absl::Duration reconcile_interval = absl::Minutes(15);
  // The stream is dropped after this many heartbeat intervals without any event.
  int heartbeats_missed_max = 5;
  // Give up opening a stream that does not say SUBSCRIBED within this time.
  absl::Duration subscribe_timeout = absl::Seconds(30);
  // Calls that may wait for their answers. Beyond, a call fails with RESOURCE_EXHAUSTED.
  size_t calls_in_flight_max = 10000;
  // Ended tasks whose last update is recognised when it comes again.
  size_t ended_tasks_max = 10000;
  // Stop waits this long for answers before it ends the session without them.
  absl::Duration stop_timeout = absl::Seconds(10);
};

// InvalidArgument names what is missing or wrong in a config.
absl::Status ValidateConfig(const SchedulerConfig& config);

class SchedulerCore {
 public:
  // `config` must be valid. `seed` drives the jitter of waits and nothing else.
  SchedulerCore(SchedulerConfig config, uint64_t seed);

  // Takes an event; appends what must be done to `effects`. Never blocks, never fails half-way.
  void Step(absl::Time now, const Event& event, Effects* effects);

  // When Wake is due; infinite future when never.
  absl::Time NextDeadline() const;

  const std::string& framework_id() const { return config_.info.id(); }
  bool subscribed() const { return state_ == State::kSubscribed; }
  // Tasks that are tracked: not known to be terminal.
  size_t tracked_tasks() const { return tasks_.size(); }

 private:
  enum class State {
    kIdle,        // before Start
    kOpening,     // a stream is open, SUBSCRIBED has not come
    kSubscribed,  // calls can be made
    kWaiting,     // until retry_at_
    kEnded,
  };

  struct Task {
    std::string agent_id;
    model::v1::TaskState state = model::v1::TASK_STAGING;
    // The uuid of the last update that was delivered, and whether the framework has handled it.
    std::string delivered_uuid;
    bool handled = false;
    // The master has told the task's state since the present subscription began.
    bool reconciled = false;
    // The call that launches it, while that is in calls_.
    uint64_t launch_call = 0;
    // A kill that the framework asked for and that is not known to have worked.
    bool kill_wanted = false;
    model::v1::KillPolicy kill_policy;
    bool has_kill_policy = false;
  };

  // How the launches of an id ended.
  struct EndedTask {
    struct Launch {
      std::string uuid;  // of its last update
      std::string container_id;
    };
    // Says of one of them what is known already.
    bool Knows(const model::v1::TaskStatus& status) const;

    std::vector<Launch> launches;  // the last few, the newest last
    model::v1::TaskState state = model::v1::TASK_STATE_UNSPECIFIED;
  };

  // What Stop asked for.
  struct Stopping {
    bool wanted = false;
    bool teardown_wanted = false;
    bool teardown_sent = false;
    absl::Time deadline = absl::InfiniteFuture();
  };

  struct CallInFlight {
    Request request;
    uint64_t attempt = 0;
  };

  void On(absl::Time now, const Start& event, Effects* effects);
  void On(absl::Time now, const StreamEvents& event, Effects* effects);
  void On(absl::Time now, const StreamEnded& event, Effects* effects);
  void On(absl::Time now, const CallAnswered& event, Effects* effects);
  void On(absl::Time now, const MakeCall& event, Effects* effects);
  void On(absl::Time now, const UpdateHandled& event, Effects* effects);
  void On(absl::Time now, const AdoptTasks& event, Effects* effects);
  void On(absl::Time now, const Stop& event, Effects* effects);
  void On(absl::Time now, const Wake& event, Effects* effects);

  void Open(absl::Time now, Effects* effects);
  void DropStream(absl::Time now, absl::Status reason, Effects* effects);
  // The stream is gone: wait and try again, or end when the reason is final.
  void Lost(absl::Time now, const absl::Status& status, Effects* effects);
  void End(absl::Status status, Effects* effects);
  void OnSubscribed(absl::Time now, const scheduler::v1::Event& event, Effects* effects);
  void OnUpdate(absl::Time now, const scheduler::v1::Event& event, Effects* effects);
  // The status is about an earlier launch of its task's id.
  bool IsOfEarlierLaunch(const model::v1::TaskStatus& status) const;
  void Acknowledge(const model::v1::TaskStatus& status, Effects* effects);
  void NoteEnded(const std::string& task_id, EndedTask::Launch launch, model::v1::TaskState state);
  void Track(const scheduler::v1::AcceptOffersRequest& request);
  // Says of a launch that the master refused, and of which no update tells, that it is dropped.
  void TellIdInUse(const std::string& task_id, uint64_t launch_call, Effects* effects);
  // While stopping: ends the session as soon as nothing is awaited any more.
  void StopIfDone(absl::Time now, Effects* effects);
  void Reconcile(absl::Time now, Effects* effects);
  bool BeingLaunched(const Task& task) const;
  void SendHeldKills(const scheduler::v1::AcceptOffersRequest& launch, Effects* effects);
  void StartReconciling(absl::Time now);
  void SendKill(const std::string& task_id, const Task& task, Effects* effects);
  void Send(Request request, Effects* effects);
  scheduler::v1::Session CurrentSession() const;

  SchedulerConfig config_;
  base::Rng random_;
  rpc::LeaderFinder leader_;
  base::Backoff reconnect_;
  base::Backoff reconcile_;

  State state_ = State::kIdle;
  Stopping stop_;
  uint64_t attempt_ = 0;
  std::string subscription_id_;
  absl::Duration heartbeat_interval_ = absl::Seconds(15);
  // Of the stream: the subscription's or the heartbeats' time-out.
  absl::Time stream_deadline_ = absl::InfiniteFuture();
  absl::Time retry_at_ = absl::InfiniteFuture();
  absl::Time reconcile_at_ = absl::InfiniteFuture();

  std::map<std::string, Task> tasks_;
  // The last update of ended tasks, and the order in which they are forgotten.
  std::map<std::string, EndedTask> ended_;
  std::deque<std::string> ended_order_;
  uint64_t next_call_ = 1;
  std::map<uint64_t, CallInFlight> calls_;
};

}  // namespace tessera::sdk
