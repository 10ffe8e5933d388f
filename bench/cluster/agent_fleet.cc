#include "bench/cluster/agent_fleet.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "protos/tessera/agentlink/v1/agent_link_service.grpc.pb.h"
#include "services/base/version.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"
#include "services/rpc/leader_finder.h"

namespace tessera::bench {

using agentlink::v1::AgentLinkService;
using agentlink::v1::ConnectRequest;
using agentlink::v1::ConnectResponse;

// One agent and its stream.
struct AgentFleet::Seat {
  Seat(SimulatedAgent agent, const FleetOptions& options, uint64_t seed)
      : agent(std::move(agent)), leader(options.masters), backoff(options.backoff), random(seed) {}

  mutable absl::Mutex mu;
  SimulatedAgent agent ABSL_GUARDED_BY(mu);
  rpc::LeaderFinder leader ABSL_GUARDED_BY(mu);
  base::Backoff backoff ABSL_GUARDED_BY(mu);
  base::Rng random ABSL_GUARDED_BY(mu);
  // Numbers the streams; callbacks of an older one are void.
  uint64_t stream_number ABSL_GUARDED_BY(mu) = 0;
  rpc::StreamPtr<ConnectRequest> stream ABSL_GUARDED_BY(mu);
  absl::Time dial_at ABSL_GUARDED_BY(mu) = absl::InfiniteFuture();
};

std::string AgentFleet::HostnameOf(int number) { return absl::StrFormat("sim-%06d", number); }

model::v1::AgentInfo AgentFleet::InfoOf(const FleetOptions& options, int number) {
  model::v1::AgentInfo info;
  info.set_hostname(HostnameOf(number));
  // Nobody calls these addresses; they only have to differ.
  info.set_address(absl::StrFormat("127.%d.%d.%d:5051", 1 + number / 62'500, number / 250 % 250,
                                   1 + number % 250));
  info.set_http_address(absl::StrFormat("127.%d.%d.%d:5061", 1 + number / 62'500,
                                        number / 250 % 250, 1 + number % 250));
  info.set_version(base::kVersion);
  const std::pair<const char*, int64_t> amounts[] = {
      {"cpus", options.cpus_milli}, {"mem", options.mem_milli}, {"disk", options.disk_milli}};
  for (const auto& [name, milli] : amounts) {
    auto* resource = info.add_resources();
    resource->set_name(name);
    resource->mutable_scalar()->set_milli(milli);
  }
  return info;
}

AgentFleet::AgentFleet(FleetOptions options)
    : options_(std::move(options)), channels_(options_.connections) {
  for (int i = 0; i < options_.agents; ++i) {
    const uint64_t seed = options_.seed * 1'000'003 + i;
    seats_.push_back(std::make_unique<Seat>(
        SimulatedAgent(InfoOf(options_, i), &options_.behaviour, seed), options_, seed));
  }
}

AgentFleet::~AgentFleet() { Stop(); }

void AgentFleet::Start() {
  const absl::Time now = absl::Now();
  const absl::Duration step =
      options_.start_rate > 0 ? absl::Seconds(1) / options_.start_rate : absl::ZeroDuration();
  for (int i = 0; i < options_.agents; ++i) {
    {
      absl::MutexLock lock(&seats_[i]->mu);
      seats_[i]->dial_at = now + step * i;
    }
    At(now + step * i, i);
  }
  timer_thread_ = std::thread([this] { RunTimers(); });
}

void AgentFleet::Stop() {
  if (stopping_.exchange(true)) return;
  {
    absl::MutexLock lock(&timers_mu_);
    timers_changed_ = true;
  }
  if (timer_thread_.joinable()) timer_thread_.join();
  for (auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    if (seat->stream != nullptr) seat->stream->Cancel(absl::CancelledError("the fleet stops"));
  }
  // Callbacks touch the seats until each stream has told its end.
  while (open_streams_.load() > 0) absl::SleepFor(absl::Milliseconds(5));
}

void AgentFleet::At(absl::Time time, int agent) {
  if (time == absl::InfiniteFuture()) return;
  absl::MutexLock lock(&timers_mu_);
  timers_changed_ = timers_changed_ || timers_.empty() || time < timers_.top().time;
  timers_.push({time, agent});
}

void AgentFleet::RunTimers() {
  while (!stopping_) {
    int due = -1;
    {
      absl::MutexLock lock(&timers_mu_);
      const absl::Duration wait =
          timers_.empty() ? absl::Seconds(1) : timers_.top().time - absl::Now();
      if (wait > absl::ZeroDuration()) {
        timers_mu_.AwaitWithTimeout(absl::Condition(&timers_changed_),
                                    std::min(wait, absl::Seconds(1)));
        timers_changed_ = false;
        continue;
      }
      due = timers_.top().agent;
      timers_.pop();
    }
    Attend(due);
  }
}

void AgentFleet::Attend(int agent) {
  Seat& seat = *seats_[agent];
  bool dial = false;
  {
    absl::MutexLock lock(&seat.mu);
    const absl::Time now = absl::Now();
    if (seat.stream == nullptr) {
      dial = seat.dial_at <= now;
    } else if (now - seat.agent.last_heard() > seat.agent.ping_timeout()) {
      seat.stream->Cancel(absl::DeadlineExceededError("the master is silent"));
    } else {
      ConnectRequest out;
      seat.agent.Wake(now, &out);
      if (!out.messages().empty()) seat.stream->Send(std::move(out));
      At(seat.agent.NextDeadline(), agent);
    }
  }
  if (dial) Dial(agent);
}

void AgentFleet::Dial(int agent) {
  Seat& seat = *seats_[agent];
  absl::MutexLock lock(&seat.mu);
  const uint64_t number = ++seat.stream_number;
  seat.dial_at = absl::InfiniteFuture();
  auto stub = std::make_shared<AgentLinkService::Stub>(
      channels_.Get(seat.leader.address(), static_cast<size_t>(agent)));
  rpc::StreamHandlers<ConnectResponse> handlers;
  handlers.on_message = [this, agent, number](ConnectResponse batch) {
    return OnMessage(agent, number, std::move(batch));
  };
  // Keeps the stub for as long as the call lives.
  handlers.on_done = [this, agent, number, stub](const absl::Status& status) {
    OnDone(agent, number, status);
  };
  open_streams_.fetch_add(1);
  seat.stream = rpc::OpenBidi<ConnectRequest, ConnectResponse>(
      {}, std::move(handlers),
      [&](grpc::ClientContext* context,
          grpc::ClientBidiReactor<ConnectRequest, ConnectResponse>* reactor) {
        stub->async()->Connect(context, reactor);
      });
  ConnectRequest first;
  seat.agent.Open(&first);
  seat.stream->Send(std::move(first));
}

absl::Status AgentFleet::OnMessage(int agent, uint64_t stream, ConnectResponse batch) {
  Seat& seat = *seats_[agent];
  absl::MutexLock lock(&seat.mu);
  if (stream != seat.stream_number) return absl::CancelledError("an older stream");
  const absl::Time now = absl::Now();
  const bool was_registered = seat.agent.registered();
  const absl::Time deadline_before = seat.agent.NextDeadline();
  ConnectRequest out;
  const absl::Status obeyed = seat.agent.Handle(now, batch, &out);
  if (seat.agent.registered() && !was_registered) {
    seat.leader.Succeeded();
    seat.backoff.Reset();
    NoteRegistered();
    // Looks after a master that falls silent.
    At(now + seat.agent.ping_timeout(), agent);
  }
  if (!out.messages().empty()) seat.stream->Send(std::move(out));
  if (seat.agent.NextDeadline() < deadline_before) At(seat.agent.NextDeadline(), agent);
  return obeyed;
}

void AgentFleet::OnDone(int agent, uint64_t stream, const absl::Status& status) {
  Seat& seat = *seats_[agent];
  {
    absl::MutexLock lock(&seat.mu);
    if (stream == seat.stream_number) {
      if (seat.agent.registered()) {
        registered_.fetch_sub(1);
        streams_lost_.fetch_add(1);
      } else {
        absl::MutexLock wave_lock(&wave_mu_);
        ++wave_.refused;
      }
      seat.agent.Closed();
      seat.stream = nullptr;
      absl::Duration wait = seat.backoff.Next(seat.random);
      if (seat.leader.Failed(status)) wait = absl::ZeroDuration();
      if (const auto detail = rpc::DetailOf(status); detail && detail->has_retry_after()) {
        const absl::Duration asked = absl::Seconds(detail->retry_after().seconds()) +
                                     absl::Nanoseconds(detail->retry_after().nanos());
        wait = std::max(wait, asked);
      }
      seat.dial_at = absl::Now() + wait;
      LOG_EVERY_N(INFO, 1000) << AgentFleet::HostnameOf(agent) << ": " << status.ToString()
                              << "; dials " << seat.leader.address() << " in " << wait;
      if (!stopping_) At(seat.dial_at, agent);
    }
  }
  open_streams_.fetch_sub(1);
}

void AgentFleet::NoteRegistered() {
  registered_.fetch_add(1);
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&wave_mu_);
  ++registrations_;
  ++wave_.registrations;
  wave_.first = std::min(wave_.first, now);
  wave_.last = now;
}

bool AgentFleet::AwaitRegistered(absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  while (registered() < options_.agents) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

AgentFleet::Wave AgentFleet::TakeWave() {
  absl::MutexLock lock(&wave_mu_);
  return std::exchange(wave_, Wave());
}

FleetCounters AgentFleet::Count() const {
  FleetCounters sum;
  sum.registered = registered();
  sum.streams_lost = streams_lost_;
  {
    absl::MutexLock lock(&wave_mu_);
    sum.registrations = registrations_;
  }
  for (const auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    sum.live_tasks += seat->agent.live_tasks();
    sum.unacknowledged += seat->agent.unacknowledged();
    const AgentCounters& counters = seat->agent.counters();
    sum.tasks.tasks_started += counters.tasks_started;
    sum.tasks.tasks_ended += counters.tasks_ended;
    sum.tasks.statuses_sent += counters.statuses_sent;
    sum.tasks.statuses_repeated += counters.statuses_repeated;
    sum.tasks.stale_epochs += counters.stale_epochs;
  }
  return sum;
}

std::vector<std::pair<std::string, std::string>> AgentFleet::Ids() const {
  std::vector<std::pair<std::string, std::string>> ids;
  for (size_t i = 0; i < seats_.size(); ++i) {
    absl::MutexLock lock(&seats_[i]->mu);
    ids.emplace_back(HostnameOf(static_cast<int>(i)), seats_[i]->agent.id());
  }
  return ids;
}

}  // namespace tessera::bench
