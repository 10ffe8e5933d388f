// The thread that makes Persist effects durable: all that has gathered while one sync ran is
// written as one frame with one sync.
//
// It tries a failed write again until it succeeds (the disk may fail for a while): the core is told
// nothing that is not so, and meanwhile holds back what depends on it. It keeps space ahead in the
// log, so that a full disk does not fail writes at once, and says when it gets no more: what is
// left is for the ends of what runs, and nothing new should be begun.
//
// Threads: Write and counters from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/checkpoint/record_log.h"

namespace tessera::agent {

struct LogWriterCounters {
  std::atomic<uint64_t> records{0};
  std::atomic<uint64_t> syncs{0};
  std::atomic<uint64_t> failures{0};
  std::atomic<uint64_t> bytes{0};  // gauge
  // Gauge: 1 while the disk gives no more space.
  std::atomic<uint64_t> out_of_space{0};
  // Time spent in writes and syncs, in nanoseconds.
  std::atomic<uint64_t> write_ns{0};
};

class LogWriter {
 public:
  // `log` must outlive the writer and be recovered. `on_durable(id)`: everything up to `id` is.
  // `on_space(low)`: the disk gives no more space, or gives some again. Both on the writer's
  // thread.
  LogWriter(RecordLog* log, std::function<void(uint64_t id)> on_durable,
            std::function<void(bool low)> on_space);
  // Writes what was accepted, unless the disk refuses it.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Ids must grow.
  void Write(uint64_t id, std::vector<checkpoint::Record> records, bool replace);

  const LogWriterCounters& counters() const { return counters_; }

 private:
  struct Entry {
    uint64_t id;
    std::vector<checkpoint::Record> records;
    bool replace;
  };

  void Run();
  bool Store(const Entry& entry);
  void KeepSpace();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }
  bool Stopping() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_; }

  RecordLog* const log_;
  const std::function<void(uint64_t)> on_durable_;
  const std::function<void(bool)> on_space_;
  bool low_ = false;  // the writer's thread only
  LogWriterCounters counters_;
  absl::Mutex mu_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::agent
