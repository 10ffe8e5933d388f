// Sandboxes of ended containers, and when each is to be deleted.
//
// A sandbox is kept for gc_delay when the disk is empty, shorter as it fills:
// gc_delay * max(0, 1 - headroom - fraction used), but at least a minute (if gc_delay is as long),
// so that who follows a task's output reads its end.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
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
  };

  SandboxGc(absl::Duration delay, double headroom)
      : delay_(delay), headroom_(headroom), age_max_(delay) {}

  void Add(const std::string& container_id, std::string path, absl::Time ended) {
    Remove(container_id);
    sandboxes_[container_id] = {std::move(path), ended};
    order_.emplace(ended, container_id);
  }

  // It was deleted.
  void Remove(const std::string& container_id) {
    auto found = sandboxes_.find(container_id);
    if (found == sandboxes_.end()) return;
    order_.erase({found->second.ended, container_id});
    sandboxes_.erase(found);
  }

  // Deleting failed: try again in an hour's time.
  void Postpone(const std::string& container_id, absl::Time now) {
    if (sandboxes_.count(container_id) > 0)
      order_.emplace(now + absl::Hours(1) - age_max_, container_id);
  }

  void SetDiskUsed(double fraction) {
    const absl::Duration age =
        delay_ * std::max(0.0, 1.0 - headroom_ - std::clamp(fraction, 0.0, 1.0));
    age_max_ = std::max(age, std::min(delay_, absl::Minutes(1)));
  }

  absl::Time NextDeadline() const {
    return order_.empty() ? absl::InfiniteFuture() : order_.begin()->first + age_max_;
  }

  // Those to be deleted now; each is handed out once, until Postpone.
  std::vector<std::pair<std::string, std::string>> TakeDue(absl::Time now) {
    std::vector<std::pair<std::string, std::string>> due;
    while (!order_.empty() && order_.begin()->first + age_max_ <= now) {
      const std::string id = order_.begin()->second;
      order_.erase(order_.begin());
      due.emplace_back(id, sandboxes_[id].path);
    }
    return due;
  }

  const std::map<std::string, Sandbox>& sandboxes() const { return sandboxes_; }
  size_t size() const { return sandboxes_.size(); }
  absl::Duration age_max() const { return age_max_; }

 private:
  const absl::Duration delay_;
  const double headroom_;
  absl::Duration age_max_;
  std::map<std::string, Sandbox> sandboxes_;
  // By the time from which the age counts. Those that are being deleted are not in it.
  std::set<std::pair<absl::Time, std::string>> order_;
};

}  // namespace tessera::agent
