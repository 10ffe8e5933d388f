// What a simulated framework wants, what it makes of offers, and what it knows of its tasks.
//
// Pure: offers and statuses in, requests out.
// Threads: none; FrameworkFleet guards each framework by a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/scheduler/v1/scheduler_service.pb.h"

namespace tessera::bench {

// What all frameworks of a fleet want.
struct FrameworkDemand {
  // Each task's resources, in thousandths.
  int64_t cpus_milli = 100;
  int64_t mem_milli = 5'000;
  // Live tasks that a framework wants on every agent; 0: as many as fit.
  int tasks_per_agent = 0;
  // Most tasks that are launched on one offer.
  int tasks_per_offer_max = 1000;
  // Most live tasks of a framework; 0: no bound. Offers beyond it are kept until tasks have ended.
  int live_max = 0;
  // Labels on every task: key0=value0 …
  int labels = 0;
};

struct TaskCounts {
  uint64_t launched = 0;
  // Tasks of which RUNNING was heard, those of which the end was heard, and those lost.
  uint64_t running_heard = 0;
  uint64_t ended = 0;
  uint64_t lost = 0;
  // Tasks that run as far as the framework knows.
  uint64_t running_now = 0;
};

class SimulatedFramework {
 public:
  // `info` is without an id; `demand` must outlive the framework.
  SimulatedFramework(model::v1::FrameworkInfo info, const FrameworkDemand* demand);

  const model::v1::FrameworkInfo& info() const { return info_; }
  const scheduler::v1::Session& session() const { return session_; }
  bool subscribed() const { return !session_.subscription_id().empty(); }
  void Subscribed(const scheduler::v1::Event::Subscribed& subscribed);
  void Closed();

  // What to do with an offer: kAccept fills `accept`, kDecline fills `decline`, kKeep neither.
  enum class Answer { kAccept, kDecline, kKeep };
  Answer Use(absl::Time now, const model::v1::Offer& offer,
             scheduler::v1::AcceptOffersRequest* accept,
             scheduler::v1::DeclineOffersRequest* decline);
  // The next offer that was kept and can be used now; nullopt when there is none.
  std::optional<model::v1::Offer> TakeKept();
  // These offers are void.
  void Rescind(const scheduler::v1::Event::Rescind& rescind);

  // Takes note of a status; appends to `acknowledge` if it asks for that. Returns true when a task
  // was lost, so that offers which were refused for long are wanted again.
  bool Note(absl::Time now, const model::v1::TaskStatus& status,
            scheduler::v1::AcknowledgeRequest* acknowledge);

  // Forgets which tasks run, until statuses tell it again.
  void ForgetStates();

  const TaskCounts& counts() const { return counts_; }
  // Moves out the times from accepting an offer to hearing RUNNING, in seconds.
  std::vector<float> TakeLatencies() { return std::exchange(latencies_, {}); }
  // Live tasks by agent id.
  std::unordered_map<std::string, int> TasksByAgent() const;

 private:
  enum class State : uint8_t { kLaunched, kRunning, kOver };
  struct Task {
    float launched_at = 0;  // seconds since origin_
    State state = State::kLaunched;
    bool running_heard = false;
    uint32_t agent = 0;  // index into agents_
  };
  struct Agent {
    std::string id;
    int live = 0;
  };

  model::v1::TaskInfo MakeTask(uint64_t number, const model::v1::Offer& offer) const;
  uint32_t AgentIndex(const std::string& id);
  bool Full() const;
  // The task of this id; null when it is not of ours.
  Task* Find(const std::string& task_id);

  model::v1::FrameworkInfo info_;
  const FrameworkDemand* demand_;
  scheduler::v1::Session session_;
  absl::Time origin_ = absl::InfinitePast();
  // By number, which ends the task's id.
  std::vector<Task> tasks_;
  std::vector<Agent> agents_;
  std::unordered_map<std::string, uint32_t> agent_index_;
  std::deque<model::v1::Offer> kept_;
  int live_ = 0;
  TaskCounts counts_;
  std::vector<float> latencies_;
};

}  // namespace tessera::bench
