// One way of setting a container apart: a resource limit, a namespace, a file system.
//
// An isolator plans and reads; it never acts. Planning is pure: what it yields depends on the spec,
// the user and the host's facts alone, so every plan can be tested without root. The runtime
// carries plans out (runtime/plan_executor.h), calling isolators in the order of IsolatorNames().
//
// Threads: isolators have no state; any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/container/container_spec.h"
#include "services/agent/isolators/cgroup_layout.h"
#include "services/agent/isolators/operations.h"

namespace tessera::agent {

// A user as the kernel knows him, resolved on the host.
struct HostUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
  // False: processes keep the runtime's own identity.
  bool switches = false;
};

// What plans may know of the machine. Found once at start.
struct HostFacts {
  CgroupLayout layout;
  int64_t clock_ticks_per_second = 100;
  int64_t page_bytes = 4096;
};

// Reads one container's cgroup files.
class CgroupFiles {
 public:
  virtual ~CgroupFiles() = default;
  // The whole file. NOT_FOUND when there is no such file or no such cgroup.
  virtual absl::StatusOr<std::string> Read(CgroupController controller,
                                           const std::string& file) const = 0;
};

class Isolator {
 public:
  virtual ~Isolator() = default;

  // The name as in `--isolation`.
  virtual std::string_view Name() const = 0;

  // Controllers whose cgroups the container must be in.
  virtual std::vector<CgroupController> Controllers() const { return {}; }

  // FAILED_PRECONDITION naming what this machine lacks.
  virtual absl::Status CheckHost(const HostFacts&) const { return absl::OkStatus(); }

  // Adds its operations to the plan of a launch. INVALID_ARGUMENT when the spec asks for what
  // cannot be.
  virtual absl::Status Plan(const ContainerSpec& spec, const HostUser& user, const HostFacts& facts,
                            IsolationPlan* plan) const = 0;

  // Adds the operations that lead a running container from one set of resources to another.
  virtual void PlanUpdate(const ContainerResources& /*before*/, const ContainerResources& /*after*/,
                          const HostFacts&, IsolationPlan*) const {}

  // Fills in what it measures; what cannot be read stays absent.
  virtual void ReadUsage(const CgroupFiles&, const HostFacts&, ContainerUsage*) const {}

  // The limit which the ended container ran into, if it did. `out_of_memory`: the kernel has told
  // of it; it may have found nothing left to kill.
  virtual std::optional<ContainerLimitation> FindLimitation(const ContainerResources&,
                                                            const HostFacts&, const CgroupFiles&,
                                                            bool /*out_of_memory*/) const {
    return std::nullopt;
  }
};

// Every isolator there is, in the order in which they plan.
std::vector<std::string> IsolatorNames();

// The isolators of a comma-separated list such as `cgroups/cpu,cgroups/mem`, in planning order.
// INVALID_ARGUMENT naming an unknown, empty or doubled entry.
absl::StatusOr<std::vector<std::unique_ptr<Isolator>>> MakeIsolators(const std::string& names);

// What an agent uses when it is told nothing.
inline constexpr char kDefaultIsolation[] =
    "filesystem/linux,namespaces/pid,namespaces/ipc,namespaces/uts,namespaces/cgroup,cgroups/cpu,"
    "cgroups/mem,cgroups/pids";

std::unique_ptr<Isolator> MakeCgroupCpuIsolator();
std::unique_ptr<Isolator> MakeCgroupMemIsolator();
std::unique_ptr<Isolator> MakeCgroupPidsIsolator();
std::unique_ptr<Isolator> MakeFilesystemLinuxIsolator();
// `kind` is one of pid, ipc, uts, cgroup.
std::unique_ptr<Isolator> MakeNamespaceIsolator(std::string_view kind);

}  // namespace tessera::agent
