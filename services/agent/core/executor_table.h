// The executors that live on the agent: what of a framework's tasks belongs together in one pod.
//
// Invariants: an executor is named by its incarnation; it begins with a launch that says so, and
// its resources are booked once, from then until it has ended. Of one name there may be two for a
// while, one that ends and one that begins.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "services/agent/core/resource_book.h"
#include "services/model/description.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

struct Executor {
  model::Incarnation incarnation;
  std::string framework_id;
  std::string executor_id;
  // A serialised model.v1.ExecutorInfo, without data.
  model::Description info;
  Holding holding;
  std::string pod_id;
  // Unset: the agent's own.
  std::optional<absl::Duration> shutdown_grace;
  // Those that have not ended.
  std::set<model::Incarnation> tasks;
  // The last task has ended: the pod is being taken away, and no task begins any more.
  bool ending = false;
};

class ExecutorTable {
 public:
  Executor& Add(Executor executor) {
    const model::Incarnation incarnation = executor.incarnation;
    return executors_.insert_or_assign(incarnation, std::move(executor)).first->second;
  }
  void Remove(model::Incarnation incarnation) { executors_.erase(incarnation); }

  Executor* Find(model::Incarnation incarnation) {
    auto found = executors_.find(incarnation);
    return found == executors_.end() ? nullptr : &found->second;
  }

  std::map<model::Incarnation, Executor>& executors() { return executors_; }
  const std::map<model::Incarnation, Executor>& executors() const { return executors_; }

 private:
  std::map<model::Incarnation, Executor> executors_;
};

}  // namespace tessera::agent
