// Sandboxes of ended containers and pods, and when each is to be deleted.
//
// A sandbox is kept for gc_delay when the disk is empty, shorter as it fills:
// gc_delay * max(0, 1 - headroom - fraction used), but at least a minute (if gc_delay is as long),
// so that who follows a task's output reads its end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tessera::agent {

class SandboxGc {
 public:
  struct Sandbox {
    std::string path;
    absl::Time ended;
    // It lies in the sandbox of a pod, which may live.
    bool in_pod = false;
  };

  SandboxGc(absl::Duration delay, double headroom)
      : delay_(delay), headroom_(headroom), age_max_(delay) {}

  // `id` is that of the container or pod.
  void Add(const std::string& id, Sandbox sandbox) {
    Remove(id);
    order_.emplace(sandbox.ended, id);
    sandboxes_[id] = std::move(sandbox);
    ++changes_;
  }

  // It was deleted.
  void Remove(const std::string& id) {
    auto found = sandboxes_.find(id);
    if (found == sandboxes_.end()) return;
    order_.erase({found->second.ended, id});
    sandboxes_.erase(found);
    ++changes_;
  }

  // Deleting failed: try again in an hour's time.
  void Postpone(const std::string& id, absl::Time now) {
    if (sandboxes_.count(id) > 0) order_.emplace(now + absl::Hours(1) - age_max_, id);
  }

  void SetDiskUsed(double fraction) {
    const absl::Duration age =
        delay_ * std::max(0.0, 1.0 - headroom_ - std::clamp(fraction, 0.0, 1.0));
    age_max_ = std::max(age, std::min(delay_, absl::Minutes(1)));
  }

  absl::Time NextDeadline() const {
    return order_.empty() ? absl::InfiniteFuture() : order_.begin()->first + age_max_;
  }

  // Those to be deleted now, with their ids; each is handed out once, until Postpone.
  std::vector<std::pair<std::string, Sandbox>> TakeDue(absl::Time now) {
    std::vector<std::pair<std::string, Sandbox>> due;
    while (!order_.empty() && order_.begin()->first + age_max_ <= now) {
      const std::string id = order_.begin()->second;
      order_.erase(order_.begin());
      due.emplace_back(id, sandboxes_[id]);
    }
    return due;
  }

  const std::map<std::string, Sandbox>& sandboxes() const { return sandboxes_; }
  size_t size() const { return sandboxes_.size(); }
  absl::Duration age_max() const { return age_max_; }
  uint64_t changes() const { return changes_; }

 private:
  const absl::Duration delay_;
  const double headroom_;
  absl::Duration age_max_;
  std::map<std::string, Sandbox> sandboxes_;
  // By the time from which the age counts. Those that are being deleted are not in it.
  std::set<std::pair<absl::Time, std::string>> order_;
  uint64_t changes_ = 0;
};

}  // namespace tessera::agent
