#include "services/agent/runtime/container_watcher.h"

#include <glog/logging.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"

namespace tessera::agent {
namespace {

constexpr uint64_t kWakeTag = ~uint64_t{0};
constexpr int kEventsAtOnce = 64;

}  // namespace

ContainerWatcher::ContainerWatcher(Handler handler)
    : handler_(std::move(handler)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  PCHECK(epoll_.valid() && wake_.valid()) << "no descriptors left to watch containers with";
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeTag}};
  PCHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
  thread_ = std::thread([this] { Run(); });
}

ContainerWatcher::~ContainerWatcher() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  Wake();
  thread_.join();
}

void ContainerWatcher::Watch(uint64_t serial, int pidfd, int events) {
  epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = serial * 2 + 1}};
  if (events >= 0 && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, events, &event) != 0) {
    PLOG(ERROR) << "cannot watch a container's limits";
  }
  // Last: an end that is told at once closes both descriptors.
  event.data.u64 = serial * 2;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pidfd, &event) != 0) {
    PLOG(ERROR) << "cannot watch a container";
  }
}

void ContainerWatcher::SetDeadline(uint64_t serial, absl::Time time) {
  {
    absl::MutexLock lock(&mutex_);
    const auto [found, inserted] = deadline_of_.try_emplace(serial, time);
    if (!inserted) {
      if (found->second <= time) return;
      deadlines_.erase({found->second, serial});
      found->second = time;
    }
    deadlines_.insert({time, serial});
  }
  Wake();
}

void ContainerWatcher::ClearDeadline(uint64_t serial) {
  absl::MutexLock lock(&mutex_);
  const auto found = deadline_of_.find(serial);
  if (found == deadline_of_.end()) return;
  deadlines_.erase({found->second, serial});
  deadline_of_.erase(found);
}

void ContainerWatcher::Wake() {
  const uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof(one)) < 0) return;  // full: it will wake anyway
}

int ContainerWatcher::HandleDeadlines() {
  std::vector<uint64_t> due;
  int wait = -1;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = absl::Now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      due.push_back(deadlines_.begin()->second);
      deadline_of_.erase(deadlines_.begin()->second);
      deadlines_.erase(deadlines_.begin());
    }
    if (!deadlines_.empty()) {
      const int64_t milliseconds = absl::ToInt64Milliseconds(deadlines_.begin()->first - now) + 1;
      wait = static_cast<int>(std::min<int64_t>(milliseconds, 60'000));
    }
  }
  for (const uint64_t serial : due) handler_(serial, Event::kDeadline);
  return wait;
}

void ContainerWatcher::Run() {
  epoll_event events[kEventsAtOnce];
  for (;;) {
    const int wait = HandleDeadlines();
    const int count = epoll_wait(epoll_.get(), events, kEventsAtOnce, wait);
    {
      absl::MutexLock lock(&mutex_);
      if (ending_) return;
    }
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = events[i].data.u64;
      if (tag == kWakeTag) {
        uint64_t ignored;
        if (read(wake_.get(), &ignored, sizeof(ignored)) < 0) continue;
      } else {
        handler_(tag / 2, tag % 2 == 0 ? Event::kEnded : Event::kLimitReached);
      }
    }
  }
}

}  // namespace tessera::agent
