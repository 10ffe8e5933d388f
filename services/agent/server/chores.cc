#include "services/agent/server/chores.h"

#include <pthread.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tessera::agent {

Chores::Chores(std::string sandbox_root, absl::Duration disk_watch_interval,
               std::function<void(double)> on_disk_used)
    : sandbox_root_(std::move(sandbox_root)),
      disk_watch_interval_(disk_watch_interval),
      on_disk_used_(std::move(on_disk_used)),
      thread_([this] { Run(); }) {}

Chores::~Chores() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void Chores::DeleteTree(const std::string& path, bool with_empty_parents,
                        std::function<void(absl::Status)> done) {
  absl::MutexLock lock(&mu_);
  orders_.push_back({path, with_empty_parents, std::move(done)});
}

void Chores::Run() {
  pthread_setname_np(pthread_self(), "agent-chores");
  absl::Time next_look = absl::InfinitePast();
  while (true) {
    if (absl::Now() >= next_look) {
      LookAtDisk();
      next_look = absl::Now() + disk_watch_interval_;
    }
    Order order;
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithDeadline(absl::Condition(this, &Chores::HasWork), next_look);
      if (stopping_) return;
      if (orders_.empty()) continue;
      order = std::move(orders_.front());
      orders_.pop_front();
    }
    order.done(Delete(order.path, order.with_empty_parents));
  }
}

absl::Status Chores::Delete(const std::string& path, bool with_empty_parents) const {
  if (path.rfind(sandbox_root_ + "/", 0) != 0 || path.find("/../") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no sandbox"));
  }
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot delete ", path, ": ", error.message()));
  if (!with_empty_parents) return absl::OkStatus();
  for (std::string parent = path.substr(0, path.rfind('/')); parent.size() > sandbox_root_.size();
       parent = parent.substr(0, parent.rfind('/'))) {
    if (::rmdir(parent.c_str()) != 0) break;
  }
  return absl::OkStatus();
}

void Chores::LookAtDisk() const {
  struct statvfs facts {};
  if (::statvfs(sandbox_root_.c_str(), &facts) != 0 || facts.f_blocks == 0) return;
  on_disk_used_(1.0 - static_cast<double>(facts.f_bavail) / static_cast<double>(facts.f_blocks));
}

}  // namespace tessera::agent
