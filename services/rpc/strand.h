// One queue and one thread around a core: the only place where a core is touched.
//
// Any thread pushes events. The strand takes what has gathered, steps the core through it with one
// reading of the clock, and hands all effects of the batch to the sink at once, so that the sink
// can write each stream once. When the core's deadline passes with nothing to do, it gets `wake`.
//
// Invariants: events are stepped in the order in which they were accepted, but urgent ones, in
// their own order, at the beginning of the next batch; a batch ends after so many events or so much
// time, whichever comes first; the sink runs on the strand's thread, after the steps of its batch
// and before those of the next one; it is never called with no effects.
//
// Threads: every Push, Inspect and metrics from any thread; Start and Stop from the owner.
// The core belongs to the strand from Start() to the end of Stop().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/rpc/clock.h"

namespace tessera::rpc {

// A part of the queue for one kind of senders.
struct Lane {
  // Events that may wait.
  size_t events_max = 65536;
  // Their bytes, as whoever pushes them counts. Events that have been taken out of the queue count
  // until their batch is over, because they are in memory until then.
  size_t bytes_max = std::numeric_limits<size_t>::max();
};

struct StrandOptions {
  // Shown as the thread's name (the kernel keeps 15 characters).
  std::string name = "strand";
  // Push() refuses beyond the bounds of a lane, whatever waits in others: a flood of one kind keeps
  // no other out. All lanes are one queue; their events keep the order in which they came.
  std::vector<Lane> lanes = {Lane()};
  // Events that are stepped before the sink runs, so that a long queue does not hold answers back.
  size_t batch_max = 4096;
  // No event is begun in a batch that has been stepped for this long: what is urgent waits at most
  // for this, one event and one call of the sink.
  absl::Duration batch_time_max = absl::Milliseconds(50);
};

// Plain counters, written by the strand, read by whoever publishes metrics.
struct StrandMetrics {
  std::atomic<uint64_t> queue_length{0};
  std::atomic<uint64_t> events_total{0};
  std::atomic<uint64_t> refused_total{0};
  std::atomic<uint64_t> batches_total{0};
  std::atomic<uint64_t> last_batch_size{0};
  // Time spent in the core and in the sink since the start, in nanoseconds.
  std::atomic<uint64_t> step_ns_total{0};
  std::atomic<uint64_t> sink_ns_total{0};
  // The longest batch so far, core and sink together, in nanoseconds.
  std::atomic<uint64_t> longest_batch_ns{0};
};

namespace strand_internal {
// The part that needs no types: thread name and the nanoseconds of the monotonic clock.
void NameThisThread(const std::string& name);
uint64_t MonotonicNanos();
void RaiseTo(std::atomic<uint64_t>* highest, uint64_t value);
}  // namespace strand_internal

// Core must have Step(absl::Time, const Event&, std::vector<Effect>*) and NextDeadline() const.
template <typename Core, typename Event, typename Effect>
class Strand {
 public:
  // Carries out the effects of one batch, in their order. It must not block for long: what takes
  // time is handed on, and its answer comes back as an event by PushReserved().
  using Sink = std::function<void(absl::Time now, std::vector<Effect> effects)>;
  // Runs on the strand after each batch (with or without effects), e.g. to publish a snapshot.
  using AfterBatch = std::function<void(absl::Time now, const Core& core)>;

  // `core` must outlive the strand. `wake` is the event sent when the core's deadline has passed.
  Strand(StrandOptions options, Core* core, Clock clock, Event wake, Sink sink,
         AfterBatch after_batch = nullptr)
      : options_(std::move(options)),
        core_(core),
        clock_(std::move(clock)),
        wake_(std::move(wake)),
        sink_(std::move(sink)),
        after_batch_(std::move(after_batch)),
        waiting_(options_.lanes.size()) {}

  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;
  ~Strand() { Stop(); }

  // Starts the thread. Events pushed before are stepped first.
  void Start() {
    {
      absl::MutexLock lock(&mu_);
      running_ = true;
    }
    thread_ = std::thread([this] { Run(); });
  }

  // Steps what has been accepted so far, runs the sink for it, and joins the thread. Pushes are
  // refused from here on. May be repeated.
  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  // Accepts an event from outside. False when its lane is full or the strand stops: the caller
  // refuses with RESOURCE_EXHAUSTED (or UNAVAILABLE when stopping) and says so.
  [[nodiscard]] bool Push(Event event, size_t lane = 0, size_t bytes = 0) {
    const Lane& bounds = options_.lanes[lane];
    absl::MutexLock lock(&mu_);
    Waiting& waiting = waiting_[lane];
    const size_t held = waiting.bytes + waiting.bytes_in_batch;
    if (stopping_ || waiting.events >= bounds.events_max ||
        (bytes > 0 && held > 0 && held + bytes > bounds.bytes_max)) {
      metrics_.refused_total.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    ++waiting.events;
    waiting.bytes += bytes;
    Enqueue(std::move(event));
    return true;
  }

  // Accepts an event that must not be lost: the answer to an effect, or the end of a session. Not
  // subject to a bound, because each one answers something that was bounded before. False only
  // when the strand stops.
  bool PushReserved(Event event) {
    absl::MutexLock lock(&mu_);
    if (stopping_) return false;
    Enqueue(std::move(event));
    return true;
  }

  // Like PushReserved, for the few events that must not wait behind a long queue, such as the
  // renewal of a lease. They overtake what was accepted before.
  bool PushUrgent(Event event) {
    absl::MutexLock lock(&mu_);
    if (stopping_) return false;
    urgent_.push_back(std::move(event));
    return true;
  }

  // Runs `look` on the strand between two batches and waits for it; before Start() and after Stop()
  // on the calling thread. For tests and for rare operator requests, not for hot paths. Must not be
  // called from the sink.
  void Inspect(absl::FunctionRef<void(const Core&)> look) {
    absl::Mutex done_mu;
    bool done = false;
    {
      absl::MutexLock lock(&mu_);
      if (running_) {
        inspections_.push_back([&] {
          look(*core_);
          absl::MutexLock done_lock(&done_mu);
          done = true;
        });
      } else {
        look(*core_);
        return;
      }
    }
    absl::MutexLock lock(&done_mu);
    done_mu.Await(absl::Condition(&done));
  }

  const StrandMetrics& metrics() const { return metrics_; }

 private:
  struct Waiting {
    size_t events = 0;
    size_t bytes = 0;
    // Of the events that are being stepped through.
    size_t bytes_in_batch = 0;
  };

  void Enqueue(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    queue_.push_back(std::move(event));
    metrics_.queue_length.store(queue_.size(), std::memory_order_relaxed);
  }

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !queue_.empty() || !urgent_.empty() || !inspections_.empty() || stopping_;
  }

  void Run() {
    strand_internal::NameThisThread(options_.name);
    std::vector<Event> batch;
    std::vector<std::function<void()>> inspections;
    bool last_round = false;
    while (!last_round) {
      inspections.clear();
      const absl::Duration wait = core_->NextDeadline() - clock_();
      {
        absl::MutexLock lock(&mu_);
        if (wait > absl::ZeroDuration()) {
          mu_.AwaitWithTimeout(absl::Condition(this, &Strand::HasWork), wait);
        }
        batch.swap(queue_);
        for (Waiting& waiting : waiting_) waiting = {0, 0, waiting.bytes};
        inspections.swap(inspections_);
        metrics_.queue_length.store(0, std::memory_order_relaxed);
        last_round = stopping_;
      }
      StepThrough(batch, last_round);
      ForgetBatch(&batch);
      for (auto& inspection : inspections) inspection();
    }
    // Until here the core was this thread's: who looked during the last batch has waited.
    {
      absl::MutexLock lock(&mu_);
      running_ = false;
      inspections = std::exchange(inspections_, {});
    }
    for (auto& inspection : inspections) inspection();
  }

  // The batch is over: its events go now, not when the next one comes, and with them what they
  // counted for.
  void ForgetBatch(std::vector<Event>* batch) {
    batch->clear();
    absl::MutexLock lock(&mu_);
    for (Waiting& waiting : waiting_) waiting.bytes_in_batch = 0;
  }

  std::vector<Event> TakeUrgent() {
    absl::MutexLock lock(&mu_);
    return std::exchange(urgent_, {});
  }

  void StepThrough(const std::vector<Event>& batch, bool last_round) {
    const uint64_t longest = absl::ToInt64Nanoseconds(options_.batch_time_max);
    size_t next = 0;
    do {
      const size_t first = next;
      const size_t end = std::min(batch.size(), next + options_.batch_max);
      const std::vector<Event> urgent = TakeUrgent();
      const absl::Time now = clock_();
      const bool due = !last_round && core_->NextDeadline() <= now;
      if (next == end && urgent.empty() && !due) return;
      const uint64_t began = strand_internal::MonotonicNanos();
      std::vector<Effect> effects;
      for (const Event& event : urgent) core_->Step(now, event, &effects);
      while (next < end) {
        core_->Step(now, batch[next++], &effects);
        if (strand_internal::MonotonicNanos() - began >= longest) break;
      }
      const size_t size = urgent.size() + next - first;
      if (due && core_->NextDeadline() <= now) core_->Step(now, wake_, &effects);
      const uint64_t stepped = strand_internal::MonotonicNanos();
      if (!effects.empty()) sink_(now, std::move(effects));
      if (after_batch_) after_batch_(now, *core_);
      const uint64_t ended = strand_internal::MonotonicNanos();
      metrics_.events_total.fetch_add(size, std::memory_order_relaxed);
      metrics_.batches_total.fetch_add(1, std::memory_order_relaxed);
      metrics_.last_batch_size.store(size, std::memory_order_relaxed);
      metrics_.step_ns_total.fetch_add(stepped - began, std::memory_order_relaxed);
      metrics_.sink_ns_total.fetch_add(ended - stepped, std::memory_order_relaxed);
      strand_internal::RaiseTo(&metrics_.longest_batch_ns, ended - began);
    } while (next < batch.size());
  }

  const StrandOptions options_;
  Core* const core_;
  const Clock clock_;
  const Event wake_;
  const Sink sink_;
  const AfterBatch after_batch_;
  StrandMetrics metrics_;

  absl::Mutex mu_;
  std::vector<Event> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<Event> urgent_ ABSL_GUARDED_BY(mu_);
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void()>> inspections_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::rpc
