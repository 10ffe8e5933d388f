// The containers of the agent that have not ended.
//
// Invariants: a container is found by its serial number, which grows and is never used twice in one
// process, and by its id, which is never used twice at all; it is in a pod that is in PodTable.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "services/agent/container/container_spec.h"
#include "services/agent/core/launch_stages.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

struct Container {
  enum class Phase { kLaunching, kRunning };

  uint64_t serial = 0;
  std::string id;
  std::string pod_id;
  std::string sandbox;
  // Whose it is.
  model::Incarnation task;

  Phase phase = Phase::kLaunching;
  LaunchStage stage = LaunchStage::kRecord;  // while launching
  // After a restart: how far the launch had come at least, as the log knows.
  std::optional<LaunchStage> came_to;
  // What the runtime will be asked for; gone when it was.
  std::unique_ptr<ContainerSpec> spec;
  // Asked to end, by force from then on.
  std::optional<absl::Time> kill_deadline;
};

class ContainerTable {
 public:
  // Gives it its serial number.
  Container& Add(Container container) {
    container.serial = ++last_serial_;
    by_id_[container.id] = container.serial;
    const uint64_t serial = container.serial;
    return containers_.emplace(serial, std::move(container)).first->second;
  }
  void Remove(uint64_t serial) {
    auto found = containers_.find(serial);
    if (found == containers_.end()) return;
    by_id_.erase(found->second.id);
    containers_.erase(found);
  }

  Container* Find(uint64_t serial) {
    auto found = containers_.find(serial);
    return found == containers_.end() ? nullptr : &found->second;
  }
  Container* Find(const std::string& id) {
    auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : Find(found->second);
  }

  std::map<uint64_t, Container>& containers() { return containers_; }
  const std::map<uint64_t, Container>& containers() const { return containers_; }

 private:
  std::map<uint64_t, Container> containers_;
  // Looked up only, never walked.
  absl::flat_hash_map<std::string, uint64_t> by_id_;
  uint64_t last_serial_ = 0;
};

}  // namespace tessera::agent
