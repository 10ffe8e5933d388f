// One thread that waits for what containers do: their init ends, the kernel tells of a
// limit, their grace is over. It only reports; the handler hands over to workers.
//
// Thread-safe. Each event of a watch is reported at most once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class ContainerWatcher {
 public:
  enum class Event { kEnded, kLimitReached, kDeadline };
  using Handler = std::function<void(uint64_t serial, Event event)>;

  // The handler runs on the watcher's thread and must not wait.
  explicit ContainerWatcher(Handler handler);
  // After it has returned the handler is not called.
  ~ContainerWatcher();

  // Watches until the descriptors are closed; the caller keeps owning them. `events` may be -1.
  void Watch(uint64_t serial, int pidfd, int events);

  // Reports kDeadline at `time`. An earlier deadline of the same serial stays.
  void SetDeadline(uint64_t serial, absl::Time time);
  void ClearDeadline(uint64_t serial);

 private:
  void Run();
  void Wake();
  // Milliseconds until the next deadline, -1 without; reports those that are due.
  int HandleDeadlines();

  const Handler handler_;
  base::UniqueFd epoll_;
  base::UniqueFd wake_;
  absl::Mutex mutex_;
  std::set<std::pair<absl::Time, uint64_t>> deadlines_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, absl::Time> deadline_of_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera::agent
