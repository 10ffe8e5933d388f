// Where the machine's cgroup controllers are. Found once at start (runtime/cgroup_discovery.h),
// plain data afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::agent {

// Controllers that isolators use. kCpuacct is part of kCpu on v2.
enum class CgroupController { kCpu, kCpuacct, kMemory, kPids };

inline constexpr CgroupController kCgroupControllers[] = {
    CgroupController::kCpu, CgroupController::kCpuacct, CgroupController::kMemory,
    CgroupController::kPids};

// The kernel's v1 name.
constexpr std::string_view CgroupControllerName(CgroupController controller) {
  switch (controller) {
    case CgroupController::kCpu:
      return "cpu";
    case CgroupController::kCpuacct:
      return "cpuacct";
    case CgroupController::kMemory:
      return "memory";
    case CgroupController::kPids:
      return "pids";
  }
  return "";
}

struct CgroupHierarchy {
  std::string mount_point;
  bool v2 = false;
  // Those of ours that live here; v1 hierarchies may carry several.
  std::vector<CgroupController> controllers;
};

struct CgroupLayout {
  std::vector<CgroupHierarchy> hierarchies;

  std::optional<size_t> HierarchyOf(CgroupController controller) const {
    for (size_t i = 0; i < hierarchies.size(); ++i) {
      for (const CgroupController c : hierarchies[i].controllers) {
        if (c == controller) return i;
      }
    }
    return std::nullopt;
  }
  bool IsV2(CgroupController controller) const {
    const std::optional<size_t> hierarchy = HierarchyOf(controller);
    return hierarchy.has_value() && hierarchies[*hierarchy].v2;
  }
};

}  // namespace tessera::agent
