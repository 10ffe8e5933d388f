#include "services/agent/checkpoint/log_writer.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/base/backoff.h"

namespace tessera::agent {
namespace {

constexpr base::BackoffOptions kRetry = {absl::Milliseconds(100), absl::Seconds(5)};
// While the disk gives no space, it is asked this often.
constexpr absl::Duration kSpaceRetry = absl::Seconds(1);

}  // namespace

LogWriter::LogWriter(RecordLog* log, std::function<void(uint64_t)> on_durable,
                     std::function<void(bool)> on_space)
    : log_(log), on_durable_(std::move(on_durable)), on_space_(std::move(on_space)) {
  counters_.bytes = log_->size();
  thread_ = std::thread([this] { Run(); });
}

LogWriter::~LogWriter() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void LogWriter::Write(uint64_t id, std::vector<checkpoint::Record> records, bool replace) {
  absl::MutexLock lock(&mu_);
  queue_.push_back({id, std::move(records), replace});
}

void LogWriter::Run() {
  pthread_setname_np(pthread_self(), "agent-log");
  while (true) {
    KeepSpace();
    Entry group{0, {}, false};
    {
      absl::MutexLock lock(&mu_);
      const bool woken = mu_.AwaitWithTimeout(absl::Condition(this, &LogWriter::HasWork),
                                              low_ ? kSpaceRetry : absl::InfiniteDuration());
      if (!woken) continue;
      if (queue_.empty()) return;
      // A replacement makes what gathered before it superfluous.
      while (!queue_.empty()) {
        Entry& next = queue_.front();
        if (next.replace) {
          group.records.clear();
          group.replace = true;
        }
        group.id = next.id;
        std::move(next.records.begin(), next.records.end(), std::back_inserter(group.records));
        queue_.pop_front();
      }
    }
    if (!Store(group)) return;
    on_durable_(group.id);
  }
}

void LogWriter::KeepSpace() {
  const absl::Status kept = log_->KeepSpace();
  const bool low = !kept.ok();
  if (low == low_) return;
  low_ = low;
  counters_.out_of_space = low ? 1 : 0;
  LOG_IF(ERROR, low) << "The agent's log gets no more space: " << kept.ToString()
                     << "; new tasks are refused, what is left serves the ends of those that run";
  LOG_IF(WARNING, !low) << "The agent's log gets space again";
  on_space_(low);
}

// False: the writer stops and the disk still refuses.
bool LogWriter::Store(const Entry& entry) {
  base::Backoff retry(kRetry);
  while (true) {
    const int64_t began = absl::GetCurrentTimeNanos();
    const absl::Status status =
        entry.replace ? log_->Replace(entry.records) : log_->Append(entry.records);
    counters_.write_ns += static_cast<uint64_t>(absl::GetCurrentTimeNanos() - began);
    if (status.ok()) {
      counters_.records += entry.records.size();
      ++counters_.syncs;
      counters_.bytes = log_->size();
      return true;
    }
    ++counters_.failures;
    LOG_EVERY_N(ERROR, 20) << "The agent's log cannot be written: " << status.ToString()
                           << "; nothing new is started or told until it can be";
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(this, &LogWriter::Stopping), retry.Next());
    if (stopping_) return false;
  }
}

}  // namespace tessera::agent
