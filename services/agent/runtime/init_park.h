// Inits made ahead of the containers that will use them: cloned, in fresh cgroups and namespaces,
// waiting for a start request. A launch that finds one in stock saves the making.
//
// The stock is keyed by shape: what about an init cannot be changed once it exists. An init that
// joins another's namespaces, or lives in a pod's cgroup, is made in line, as is any shape of which
// nothing is in stock. Every init serves one container. Thread-safe.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/runtime/step_executor.h"

namespace tessera::agent {

// What kind of network an init has from its clone on.
enum class NetworkClass {
  kHost,
  kEmpty,  // a namespace of its own, with nothing in it
};

struct Shape {
  uint32_t namespaces = 0;  // wire::NamespaceBit of those that are its own, without the network
  NetworkClass network = NetworkClass::kHost;

  friend auto operator<=>(const Shape&, const Shape&) = default;
};

// Nothing when it joins a namespace: then its shape is that of no other.
std::optional<Shape> ShapeOf(const PlannedNamespaces& namespaces);

struct PreparedInit {
  std::string cgroup;
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  base::UniqueFd pidfd;
  base::UniqueFd control;
  base::UniqueFd events;  // StepExecutor::WatchCgroup
  // Keeps the mount namespace, so that its end is not a part of init's.
  base::UniqueFd mount_namespace;
};

class InitPark {
 public:
  // `executor` must outlive the park. `events`: watched in each cgroup. `stock`: how many of each
  // shape to keep ready.
  InitPark(StepExecutor* executor, std::vector<CgroupEvent> events, std::map<Shape, size_t> stock);
  // Ends those in stock and removes their cgroups.
  ~InitPark();

  // Begins to fill the stock; cgroups are numbered from `first_number`.
  void Start(uint64_t first_number);

  // From stock, or made now, for a container that is in no pod. INTERNAL or RESOURCE_EXHAUSTED with
  // the step that failed.
  absl::StatusOr<PreparedInit> Take(const Shape& shape);

  // Made now, in a new cgroup below `parent`, a pod's cgroup or "". `order` says the namespaces.
  absl::StatusOr<PreparedInit> Make(const std::string& parent, CloneOrder order);

  // Another number of a cgroup, for a pod.
  uint64_t NextNumber();

  size_t in_stock() const;

 private:
  void Run();
  // A shape of which there are too few.
  std::optional<Shape> Wanted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<PreparedInit> MakeShape(const Shape& shape);

  StepExecutor* const executor_;
  const std::vector<CgroupEvent> events_;
  const std::map<Shape, size_t> wanted_;
  mutable absl::Mutex mutex_;
  std::map<Shape, std::deque<PreparedInit>> stock_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar changed_;
  std::thread thread_;
};

// Ends an init that has started nothing.
void AbandonInit(StepExecutor* executor, PreparedInit* init);

}  // namespace tessera::agent
