// The pods of the agent: what containers share, a sandbox, limits and namespaces.
//
// A plain task is a pod of one container with the same id; the runtime knows nothing of such a pod.
// An executor with its tasks is a shared pod, whose containers come and go.
//
// Invariants: ids are made by the agent and never used again; serial numbers grow and are never
// used twice in one process; a pod is there from its acceptance until nothing of it but its sandbox
// is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/agent/container/container_spec.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

struct Pod {
  // Of a shared pod.
  enum class Phase {
    kPlanned,   // nothing was asked of the runtime, or nothing came of it
    kCreating,  // the runtime makes it
    kReady,     // containers can be launched into it
    kEnding,    // the runtime takes it away
  };

  uint64_t serial = 0;
  std::string id;
  std::string framework_id;
  std::string sandbox;
  bool shared = false;
  // Containers that have not ended.
  size_t containers = 0;
  // Something of it was asked of the runtime, so that its sandbox may be there.
  bool touched = false;

  // Of a shared pod:
  model::Incarnation executor;
  Phase phase = Phase::kPlanned;
  // Its last container has ended, and it is to go as soon as it can.
  bool to_end = false;
  // Serial numbers of containers whose launches wait for it.
  std::vector<uint64_t> waiting;
  // What the runtime is asked for; its limits are counted when it is asked. Null after a restart,
  // when the pod is there or never will be.
  std::unique_ptr<PodSpec> spec;
};

class PodTable {
 public:
  // Gives it its serial number.
  Pod& Add(Pod pod) {
    pod.serial = ++last_serial_;
    by_serial_[pod.serial] = pod.id;
    const std::string id = pod.id;
    return pods_.insert_or_assign(id, std::move(pod)).first->second;
  }
  void Remove(const std::string& id) {
    auto found = pods_.find(id);
    if (found == pods_.end()) return;
    by_serial_.erase(found->second.serial);
    pods_.erase(found);
  }

  Pod* Find(const std::string& id) {
    auto found = pods_.find(id);
    return found == pods_.end() ? nullptr : &found->second;
  }
  const Pod* Find(const std::string& id) const {
    auto found = pods_.find(id);
    return found == pods_.end() ? nullptr : &found->second;
  }
  Pod* Find(uint64_t serial) {
    auto found = by_serial_.find(serial);
    return found == by_serial_.end() ? nullptr : Find(found->second);
  }

  std::map<std::string, Pod>& pods() { return pods_; }
  const std::map<std::string, Pod>& pods() const { return pods_; }

 private:
  std::map<std::string, Pod> pods_;
  std::map<uint64_t, std::string> by_serial_;
  uint64_t last_serial_ = 0;
};

}  // namespace tessera::agent
