#include "services/agent/runtime/cgroup_reaper.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace tessera::agent {
namespace {

constexpr int kThreads = 4;
constexpr absl::Duration kLongestPause = absl::Seconds(5);
constexpr absl::Duration kPauseWorthALogLine = absl::Seconds(2);
constexpr absl::Duration kEndingPatience = absl::Seconds(2);

}  // namespace

CgroupReaper::CgroupReaper(StepExecutor* executor) : executor_(executor) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Run(); });
}

CgroupReaper::~CgroupReaper() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void CgroupReaper::Remove(std::string cgroup, base::UniqueFd mount_namespace) {
  absl::MutexLock lock(&mutex_);
  items_.emplace(absl::InfinitePast(), Item{std::move(cgroup), std::move(mount_namespace)});
  changed_.Signal();
}

size_t CgroupReaper::waiting() const {
  absl::MutexLock lock(&mutex_);
  return items_.size() + busy_;
}

void CgroupReaper::Run() {
  absl::Time give_up = absl::InfiniteFuture();
  absl::MutexLock lock(&mutex_);
  for (;;) {
    if (ending_ && give_up == absl::InfiniteFuture()) give_up = absl::Now() + kEndingPatience;
    if (ending_ && (items_.empty() || absl::Now() > give_up)) return;
    if (items_.empty()) {
      changed_.Wait(&mutex_);
      continue;
    }
    if (items_.begin()->first > absl::Now()) {
      changed_.WaitWithDeadline(&mutex_, items_.begin()->first);
      if (items_.empty() || items_.begin()->first > absl::Now()) continue;
    }
    Item item = std::move(items_.begin()->second);
    items_.erase(items_.begin());
    ++busy_;
    mutex_.Unlock();
    item.mount_namespace.reset();
    const absl::Status status = executor_->RemoveCgroup(item.cgroup);
    mutex_.Lock();
    --busy_;
    if (status.ok()) continue;
    retries_.fetch_add(1, std::memory_order_relaxed);
    LOG_IF(WARNING, item.pause >= kPauseWorthALogLine)
        << "cgroup " << item.cgroup << " cannot be removed yet: " << status.message();
    const absl::Duration pause = item.pause;
    item.pause = std::min(pause * 2, kLongestPause);
    items_.emplace(absl::Now() + pause, std::move(item));
  }
}

}  // namespace tessera::agent
