// Thousands of simulated agents in one process, each with a stream of its own to the leading master
// over real gRPC; the streams share a few connections.
//
// A lost or refused stream is dialled again after a back-off with jitter, at the leader that the
// refusal names, and not before the time that it asks for.
//
// Threads: calls from any thread. Messages are handled on gRPC's threads under the lock of their
// agent; one thread of the fleet dials, ends tasks and repeats statuses.
#pragma once

#include <atomic>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bench/cluster/channel_pool.h"
#include "bench/cluster/simulated_agent.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "services/base/backoff.h"

namespace tessera::bench {

struct FleetOptions {
  std::vector<std::string> masters;
  int agents = 100;
  // Connections to one master; a server takes 4,096 streams on each.
  int connections = 8;
  // What each agent has, in thousandths.
  int64_t cpus_milli = 20'000;
  int64_t mem_milli = 10'240'000;
  int64_t disk_milli = 10'240'000;
  AgentBehaviour behaviour;
  base::BackoffOptions backoff = {absl::Milliseconds(250), absl::Seconds(10), 2.0};
  // New agents that are dialled in a second while the fleet starts; 0: all at once.
  int start_rate = 0;
  uint64_t seed = 1;
};

// Sums over all agents.
struct FleetCounters {
  int registered = 0;
  // Admissions since the start: of new agents and of those that came back.
  uint64_t registrations = 0;
  uint64_t streams_lost = 0;
  size_t live_tasks = 0;
  size_t unacknowledged = 0;
  AgentCounters tasks;
};

class AgentFleet {
 public:
  explicit AgentFleet(FleetOptions options);
  ~AgentFleet();
  AgentFleet(const AgentFleet&) = delete;
  AgentFleet& operator=(const AgentFleet&) = delete;

  void Start();
  // Ends all streams; agents look dead to the master.
  void Stop();

  int registered() const { return registered_.load(std::memory_order_relaxed); }
  // Waits until all agents are admitted; false when they were not in time.
  bool AwaitRegistered(absl::Duration timeout) const;
  // Admissions since the last call of this, the first of them, and how many streams were refused.
  struct Wave {
    uint64_t registrations = 0;
    absl::Time first = absl::InfiniteFuture();
    absl::Time last = absl::InfinitePast();
    uint64_t refused = 0;
  };
  Wave TakeWave();

  FleetCounters Count() const;
  // Hostname and id of each agent, by number.
  std::vector<std::pair<std::string, std::string>> Ids() const;
  const FleetOptions& options() const { return options_; }

  // The hostname of the agent with this number.
  static std::string HostnameOf(int number);
  // What every agent of the fleet tells about itself.
  static model::v1::AgentInfo InfoOf(const FleetOptions& options, int number);

 private:
  struct Seat;
  struct Timer {
    absl::Time time;
    int agent;
    bool operator>(const Timer& other) const { return time > other.time; }
  };

  void RunTimers();
  void At(absl::Time time, int agent);
  // Does what is due for one agent: dials, or wakes it.
  void Attend(int agent);
  void Dial(int agent);
  absl::Status OnMessage(int agent, uint64_t stream, agentlink::v1::ConnectResponse batch);
  void OnDone(int agent, uint64_t stream, const absl::Status& status);
  void NoteRegistered();

  const FleetOptions options_;
  ChannelPool channels_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::atomic<int> registered_{0};
  std::atomic<uint64_t> streams_lost_{0};
  std::atomic<int> open_streams_{0};

  mutable absl::Mutex wave_mu_;
  uint64_t registrations_ ABSL_GUARDED_BY(wave_mu_) = 0;
  Wave wave_ ABSL_GUARDED_BY(wave_mu_);

  absl::Mutex timers_mu_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_
      ABSL_GUARDED_BY(timers_mu_);
  bool timers_changed_ ABSL_GUARDED_BY(timers_mu_) = false;
  std::atomic<bool> stopping_{false};
  std::thread timer_thread_;
};

}  // namespace tessera::bench
