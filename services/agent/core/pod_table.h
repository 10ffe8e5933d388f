// The pods of the agent: what containers share, a sandbox, limits and namespaces.
//
// A plain task is a pod of one container with the same id; the runtime knows nothing of such a pod.
// An executor with its tasks is a shared pod, whose containers come and go.
//
// Invariants: ids are made by the agent and never used again; a pod is there from its acceptance
// until nothing of it but its sandbox is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "services/model/incarnation.h"

namespace tessera::agent {

struct Pod {
  std::string id;
  std::string framework_id;
  std::string sandbox;
  bool shared = false;
  // Of a shared pod.
  model::Incarnation executor;
  // Containers that have not ended.
  size_t containers = 0;
  // Something of it was asked of the runtime, so that its sandbox may be there.
  bool touched = false;
};

class PodTable {
 public:
  Pod& Add(Pod pod) {
    const std::string id = pod.id;
    return pods_.insert_or_assign(id, std::move(pod)).first->second;
  }
  void Remove(const std::string& id) { pods_.erase(id); }

  Pod* Find(const std::string& id) {
    auto found = pods_.find(id);
    return found == pods_.end() ? nullptr : &found->second;
  }

  const Pod* Find(const std::string& id) const {
    auto found = pods_.find(id);
    return found == pods_.end() ? nullptr : &found->second;
  }

  std::map<std::string, Pod>& pods() { return pods_; }
  const std::map<std::string, Pod>& pods() const { return pods_; }

 private:
  std::map<std::string, Pod> pods_;
};

}  // namespace tessera::agent
