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

uint32_t CloneFlags(const NewNamespaces& namespaces) {
  return (namespaces.pid ? wire::kNewPid : 0u) | (namespaces.ipc ? wire::kNewIpc : 0u) |
         (namespaces.uts ? wire::kNewUts : 0u) | (namespaces.cgroup ? wire::kNewCgroup : 0u);
}

}  // namespace

void AbandonInit(PreparedInit* init) {
  init->control.reset();
  SendSignal(init->pidfd.get(), SIGKILL);
  WaitForEnd(init->pidfd.get(), kAbandonMilliseconds);
}

InitPark::InitPark(const CgroupTree* tree, LauncherClient* launcher, NewNamespaces usual,
                   size_t stock)
    : tree_(tree), launcher_(launcher), usual_(usual), stock_limit_(stock) {}

InitPark::~InitPark() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mutex_);
  for (PreparedInit& init : stock_) {
    AbandonInit(&init);
    for (int attempt = 0; attempt < 100 && !tree_->Remove(init.cgroup).ok(); ++attempt) {
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
}

void InitPark::Start(uint64_t first_number) {
  absl::MutexLock lock(&mutex_);
  next_number_ = first_number;
  if (stock_limit_ > 0 && !thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

size_t InitPark::in_stock() const {
  absl::MutexLock lock(&mutex_);
  return stock_.size();
}

absl::StatusOr<PreparedInit> InitPark::Take(const NewNamespaces& namespaces) {
  if (CloneFlags(namespaces) == CloneFlags(usual_)) {
    absl::MutexLock lock(&mutex_);
    if (!stock_.empty()) {
      PreparedInit init = std::move(stock_.front());
      stock_.pop_front();
      changed_.Signal();
      return init;
    }
  }
  return Make(namespaces);
}

absl::StatusOr<PreparedInit> InitPark::Make(const NewNamespaces& namespaces) {
  PreparedInit prepared;
  {
    absl::MutexLock lock(&mutex_);
    prepared.cgroup = absl::StrCat("c", next_number_++);
  }
  RETURN_IF_ERROR(tree_->Make(prepared.cgroup));
  absl::StatusOr<ClonedInit> init =
      launcher_->Clone({.flags = CloneFlags(namespaces),
                        .v2_directory = tree_->V2Directory(prepared.cgroup),
                        .tasks = tree_->TasksFiles(prepared.cgroup)});
  if (!init.ok()) {
    tree_->Remove(prepared.cgroup).IgnoreError();
    return init.status();
  }
  prepared.pid = init->pid;
  prepared.pidfd = std::move(init->pidfd);
  prepared.control = std::move(init->control);
  prepared.oom = tree_->WatchOom(prepared.cgroup);
  const absl::StatusOr<uint64_t> ticks = StartTicks(prepared.pid);
  if (!ticks.ok()) {
    AbandonInit(&prepared);
    tree_->Remove(prepared.cgroup).IgnoreError();
    return absl::InternalError("a container's init ended at once");
  }
  prepared.start_ticks = *ticks;
  prepared.mount_namespace = OpenMountNamespace(prepared.pid);
  return prepared;
}

void InitPark::Run() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      while (!ending_ && stock_.size() >= stock_limit_) changed_.Wait(&mutex_);
      if (ending_) return;
    }
    absl::StatusOr<PreparedInit> init = Make(usual_);
    absl::MutexLock lock(&mutex_);
    if (init.ok()) {
      stock_.push_back(*std::move(init));
      continue;
    }
    LOG(WARNING) << "cannot prepare a container ahead: " << init.status().message();
    const absl::Time until = absl::Now() + kPauseAfterFailure;
    while (!ending_ && absl::Now() < until) changed_.WaitWithDeadline(&mutex_, until);
  }
}

}  // namespace tessera::agent
