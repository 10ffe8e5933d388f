#include "services/agent/runtime/init_park.h"

#include <glog/logging.h>
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr absl::Duration kPauseAfterFailure = absl::Seconds(1);
constexpr int kAbandonMilliseconds = 2000;

}  // namespace

void AbandonInit(StepExecutor* executor, PreparedInit* init) {
  init->control.reset();
  executor->Signal(init->pidfd.get(), SIGKILL);
  WaitForEnd(init->pidfd.get(), kAbandonMilliseconds);
}

std::optional<Shape> ShapeOf(const PlannedNamespaces& n) {
  Shape shape;
  for (const auto& [bit, choice] :
       {std::pair(wire::kPid, &n.pid), std::pair(wire::kIpc, &n.ipc), std::pair(wire::kUts, &n.uts),
        std::pair(wire::kNet, &n.net), std::pair(wire::kCgroup, &n.cgroup),
        std::pair(wire::kMount, &n.mnt)}) {
    if (choice->joins()) return std::nullopt;
    if (!choice->own()) continue;
    if (bit == wire::kNet) {
      shape.network = NetworkClass::kEmpty;
    } else {
      shape.namespaces |= bit;
    }
  }
  return shape;
}

InitPark::InitPark(StepExecutor* executor, std::vector<CgroupEvent> events,
                   std::map<Shape, size_t> stock)
    : executor_(executor), events_(std::move(events)), wanted_(std::move(stock)) {}

InitPark::~InitPark() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mutex_);
  for (auto& [shape, inits] : stock_) {
    for (PreparedInit& init : inits) {
      AbandonInit(executor_, &init);
      for (int attempt = 0; attempt < 100 && !executor_->RemoveCgroup(init.cgroup).ok();
           ++attempt) {
        absl::SleepFor(absl::Milliseconds(2));
      }
    }
  }
}

void InitPark::Start(uint64_t first_number) {
  absl::MutexLock lock(&mutex_);
  next_number_ = first_number;
  if (Wanted().has_value() && !thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

size_t InitPark::in_stock() const {
  absl::MutexLock lock(&mutex_);
  size_t count = 0;
  for (const auto& [shape, inits] : stock_) count += inits.size();
  return count;
}

uint64_t InitPark::NextNumber() {
  absl::MutexLock lock(&mutex_);
  return next_number_++;
}

std::optional<Shape> InitPark::Wanted() const {
  for (const auto& [shape, count] : wanted_) {
    const auto found = stock_.find(shape);
    if ((found == stock_.end() ? 0 : found->second.size()) < count) return shape;
  }
  return std::nullopt;
}

absl::StatusOr<PreparedInit> InitPark::Take(const Shape& shape) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = stock_.find(shape);
    if (found != stock_.end() && !found->second.empty()) {
      PreparedInit init = std::move(found->second.front());
      found->second.pop_front();
      changed_.Signal();
      // It may have been killed while it waited.
      if (!WaitForEnd(init.pidfd.get(), 0)) return init;
      executor_->RemoveCgroup(init.cgroup).IgnoreError();
    }
  }
  return MakeShape(shape);
}

absl::StatusOr<PreparedInit> InitPark::MakeShape(const Shape& shape) {
  CloneOrder order;
  order.made = shape.namespaces;
  switch (shape.network) {
    case NetworkClass::kHost:
      break;
    case NetworkClass::kEmpty:
      order.made |= wire::kNet;
      break;
  }
  return Make("", std::move(order));
}

absl::StatusOr<PreparedInit> InitPark::Make(const std::string& parent, CloneOrder order) {
  PreparedInit prepared;
  prepared.cgroup = absl::StrCat(parent, parent.empty() ? "c" : "/c", NextNumber());
  RETURN_IF_ERROR(executor_->MakeCgroup(prepared.cgroup));
  order.cgroup = prepared.cgroup;
  absl::StatusOr<OrderedInit> init = executor_->Clone(order);
  if (!init.ok()) {
    executor_->RemoveCgroup(prepared.cgroup).IgnoreError();
    return init.status();
  }
  prepared.pid = init->cloned.pid;
  prepared.pidfd = std::move(init->cloned.pidfd);
  prepared.control = std::move(init->cloned.control);
  prepared.mount_namespace = std::move(init->mount_namespace);
  prepared.events = executor_->WatchCgroup(prepared.cgroup, events_);
  const absl::StatusOr<uint64_t> ticks = StartTicks(prepared.pid);
  if (!ticks.ok()) {
    AbandonInit(executor_, &prepared);
    executor_->RemoveCgroup(prepared.cgroup).IgnoreError();
    return absl::InternalError("a container's init ended at once");
  }
  prepared.start_ticks = *ticks;
  return prepared;
}

void InitPark::Run() {
  for (;;) {
    Shape shape;
    {
      absl::MutexLock lock(&mutex_);
      std::optional<Shape> wanted;
      while (!ending_ && !(wanted = Wanted()).has_value()) changed_.Wait(&mutex_);
      if (ending_) return;
      shape = *wanted;
    }
    absl::StatusOr<PreparedInit> init = MakeShape(shape);
    absl::MutexLock lock(&mutex_);
    if (init.ok()) {
      stock_[shape].push_back(*std::move(init));
      continue;
    }
    LOG(WARNING) << "cannot prepare a container ahead: " << init.status().message();
    const absl::Time until = absl::Now() + kPauseAfterFailure;
    while (!ending_ && absl::Now() < until) changed_.WaitWithDeadline(&mutex_, until);
  }
}

}  // namespace tessera::agent
