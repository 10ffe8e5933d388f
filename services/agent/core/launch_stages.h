// The stages through which the launch of a container goes, in order, and what is known of each: its
// name, how long it may take, and what a kill means meanwhile.
//
//   record      the records of the task are on their way to the disk
//   room        resources that it was promised are still being given back by others
//   pod         the runtime makes the pod that it is to be in; passed over when there is one
//               already, and by containers that are in none
//   container   the runtime makes the container and starts its command
//
// A stage that prepares something between room and container (an image, a network) is one more
// entry here, an effect that asks for it, and an event that answers; PodFlow needs to know which
// effect to emit, and nothing else of it.
//
// Threads: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "services/agent/core/agent_config.h"

namespace tessera::agent {

enum class LaunchStage : uint8_t { kRecord, kRoom, kPod, kContainer };

inline constexpr std::array<LaunchStage, 4> kLaunchStages = {
    LaunchStage::kRecord, LaunchStage::kRoom, LaunchStage::kPod, LaunchStage::kContainer};

// In records and messages: never changed.
constexpr std::string_view NameOf(LaunchStage stage) {
  switch (stage) {
    case LaunchStage::kRecord:
      return "record";
    case LaunchStage::kRoom:
      return "room";
    case LaunchStage::kPod:
      return "pod";
    case LaunchStage::kContainer:
      return "container";
  }
  return "";
}

inline std::optional<LaunchStage> LaunchStageNamed(std::string_view name) {
  for (const LaunchStage stage : kLaunchStages) {
    if (NameOf(stage) == name) return stage;
  }
  return std::nullopt;
}

// The runtime is at work on the container: a kill asks it to stop, and its answer ends the launch.
// Otherwise nothing of the container exists, and a kill ends the launch at once.
constexpr bool IsAtRuntime(LaunchStage stage) { return stage == LaunchStage::kContainer; }

// After this long the launch is given up. Infinite: what it waits for is not the runtime's to do,
// and is waited for as long as it takes.
inline absl::Duration TimeFor(LaunchStage stage, const AgentConfig& config) {
  switch (stage) {
    case LaunchStage::kRecord:
    case LaunchStage::kRoom:
      return absl::InfiniteDuration();
    case LaunchStage::kPod:
    case LaunchStage::kContainer:
      return config.container_launch_timeout;
  }
  return absl::InfiniteDuration();
}

}  // namespace tessera::agent
