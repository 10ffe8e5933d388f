// Simulated frameworks in one process, each with a subscription of its own and unary calls over
// real gRPC. Statuses are acknowledged a batch at a time, as they come.
//
// Threads: calls from any thread. Events are handled on gRPC's threads under the lock of their
// framework; one thread of the fleet subscribes anew.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bench/cluster/channel_pool.h"
#include "bench/cluster/simulated_framework.h"

namespace tessera::bench {

struct FrameworkFleetOptions {
  std::vector<std::string> masters;
  int frameworks = 1;
  // Each has a role of its own, `role-<number>`; otherwise all share `*`.
  bool own_roles = false;
  FrameworkDemand demand;
  int connections = 2;
};

struct FrameworkFleetCounts {
  int subscribed = 0;
  TaskCounts tasks;
  uint64_t calls = 0;
  uint64_t offers = 0;
  uint64_t subscriptions = 0;
  // Refused calls by what the status says, first 100 kinds.
  std::map<std::string, uint64_t> refusals;
};

// A framework as the generator made it.
struct FrameworkTruth {
  model::v1::FrameworkInfo info;
  std::unordered_map<std::string, int> tasks_by_agent;
};

class FrameworkFleet {
 public:
  explicit FrameworkFleet(FrameworkFleetOptions options);
  ~FrameworkFleet();
  FrameworkFleet(const FrameworkFleet&) = delete;
  FrameworkFleet& operator=(const FrameworkFleet&) = delete;

  void Start();
  // Ends all subscriptions; with `teardown`, the frameworks and their tasks, too.
  void Stop(bool teardown);

  FrameworkFleetCounts Count() const;
  // Times from accepting an offer to hearing RUNNING since the last call, in seconds.
  std::vector<float> TakeLatencies();
  std::vector<FrameworkTruth> Truth() const;

  // Forgets which tasks run and asks the master for all of them.
  void Reconcile();

 private:
  struct Seat;

  void RunSubscriptions();
  void Subscribe(int framework);
  void OnEvents(int framework, uint64_t stream, const scheduler::v1::SubscribeResponse& response);
  void OnDone(int framework, uint64_t stream, const absl::Status& status);
  void NoteRefusal(const std::string& call, const absl::Status& status);
  // Sends what events led to.
  struct Calls;
  void Send(Calls calls);
  // Under the lock of the seat.
  void Use(Seat& seat, absl::Time now, const model::v1::Offer& offer, Calls& calls);

  const FrameworkFleetOptions options_;
  ChannelPool channels_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> offers_{0};
  std::atomic<uint64_t> subscriptions_{0};
  // Streams and calls that have not told their end yet.
  std::atomic<int> open_{0};
  mutable absl::Mutex refusals_mu_;
  std::map<std::string, uint64_t> refusals_ ABSL_GUARDED_BY(refusals_mu_);
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace tessera::bench
