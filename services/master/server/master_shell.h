// Around the core: takes events to its strand and carries its effects out. Knows the streams and
// calls that are open here, and the clients of registry and allocator.
//
// Threads: every public function from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/base/rng.h"
#include "services/feed/server/feed_publisher.h"
#include "services/master/core/master_core.h"
#include "services/master/server/call_table.h"
#include "services/master/server/stream_table.h"
#include "services/rpc/kind_counts.h"
#include "services/rpc/shell.h"
#include "services/rpc/stream.h"

namespace grpc {
class Channel;
}

namespace tessera::master {

struct ShellOptions {
  // `host:port` of each registry that may act, and of the allocator.
  std::vector<std::string> registries;
  std::string allocator;
  // What may wait for the core has a bound by number and one by bytes, as they come over the wire.
  // Agents and callers have bounds of their own, so that a flood of calls ends no agent's stream.
  size_t agent_events_max = 1 << 18;
  size_t agent_events_bytes_max = size_t{1} << 30;
  // Of frameworks, and as many of operators.
  size_t calls_max = 1 << 16;
  size_t calls_bytes_max = 256 << 20;
  // Bytes of one call. The port takes larger messages, for the inventories of agents.
  size_t call_bytes_max = 16 << 20;
  // Answers of the registry are waited for this long.
  absl::Duration registry_timeout = absl::Seconds(5);
  // An explanation of the allocator is waited for this long.
  absl::Duration explain_timeout = absl::Seconds(3);
};

// A question to the allocator. The answer comes once, on a thread of gRPC: UNAVAILABLE or
// DEADLINE_EXCEEDED when the allocator is away. May be asked after the shell has gone.
using AskAllocator =
    std::function<void(alloc::ExplainAllocationRequest,
                       std::function<void(absl::StatusOr<alloc::ExplainAllocationResponse>)>)>;

class MasterShell {
 public:
  MasterShell(const ShellOptions& options, feed::FeedPublisher* feed);
  ~MasterShell();
  MasterShell(const MasterShell&) = delete;
  MasterShell& operator=(const MasterShell&) = delete;

  // Makes the core and begins to strive for leadership. Events before that are refused.
  void Start(MasterConfig config, base::Rng rng);
  // Resigns and closes everything; no event is taken afterwards.
  void Stop();

  using FrameworkStreams = StreamTable<StreamId, sched::SubscribeResponse>;
  using AgentStreams = StreamTable<AgentStreamId, link::ConnectResponse>;
  FrameworkStreams& framework_streams() { return framework_streams_; }
  AgentStreams& agent_streams() { return agent_streams_; }
  CallTable<SchedulerAnswer>& scheduler_calls() { return scheduler_calls_; }
  CallTable<OperatorAnswer>& operator_calls() { return operator_calls_; }

  // Take an event from outside, of so many bytes on the wire. OVERLOADED when too much waits.
  absl::Status PushOfAgent(Event event, size_t bytes = 0);
  // A call or subscription. MESSAGE_TOO_LARGE when no call may have so many bytes.
  absl::Status PushCall(Event event, size_t bytes);
  // Takes an event that must not be lost.
  void PushReserved(Event event);

  // Runs `look` on the strand and waits for it; does nothing before Start and after Stop.
  void Inspect(absl::FunctionRef<void(const MasterCore&)> look);
  AskAllocator allocator_questions() const;

  // A copy of the core's numbers, at most a second old.
  std::shared_ptr<const MasterMetrics> Metrics();
  const rpc::StrandMetrics& strand_metrics() const;
  std::vector<rpc::KindCount> StepCounts() const;
  std::vector<rpc::KindCount> EffectCounts() const;

 private:
  class Carrier;
  struct Clients;
  using CoreShell = rpc::Shell<MasterCore, Event, Effect, Carrier>;

  static constexpr size_t kAgentLane = 0;
  static constexpr size_t kCallLane = 1;

  const ShellOptions options_;
  feed::FeedPublisher* const feed_;
  FrameworkStreams framework_streams_;
  AgentStreams agent_streams_;
  CallTable<SchedulerAnswer> scheduler_calls_;
  CallTable<OperatorAnswer> operator_calls_;
  const std::unique_ptr<Carrier> carrier_;
  const std::unique_ptr<CoreShell> core_;
  const std::shared_ptr<Clients> clients_;

  absl::Mutex metrics_mu_;
  std::shared_ptr<const MasterMetrics> metrics_ ABSL_GUARDED_BY(metrics_mu_);
  absl::Time metrics_time_ ABSL_GUARDED_BY(metrics_mu_) = absl::InfinitePast();
};

}  // namespace tessera::master
