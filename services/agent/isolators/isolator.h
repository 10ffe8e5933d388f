// One way of setting a container apart: a resource limit, a namespace, a file system.
//
// An isolator plans, judges and reads; it never acts. Planning is pure: what it yields depends on
// the spec, the user and the host's facts alone, so every plan can be tested without root. The
// runtime carries the steps out and takes them back (runtime/step_executor.h), asking isolators in
// the order of IsolatorNames().
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
#include "services/agent/isolators/spec_fields.h"
#include "services/agent/isolators/step.h"
#include "services/agent/isolators/undo.h"

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

// What can be read of one container or pod.
class ContainerFiles {
 public:
  virtual ~ContainerFiles() = default;
  // The whole file. NOT_FOUND when there is no such file or no such cgroup.
  virtual absl::StatusOr<std::string> Read(CgroupController controller,
                                           const std::string& file) const = 0;
  // As Read, of the pod that it is in. NOT_FOUND, too, when it is in none.
  virtual absl::StatusOr<std::string> ReadOfPod(CgroupController controller,
                                                const std::string& file) const = 0;
  // /proc/net/dev as its processes see it. NOT_FOUND when it uses the host's network.
  virtual absl::StatusOr<std::string> ReadNetworkDevices() const = 0;
};

// The limits that hold for a container.
struct Limits {
  ContainerResources own;
  // Of all containers of its pod together, when it is in one.
  std::optional<ContainerResources> pod;
};

// A file of the cgroup (v1) by which the kernel tells of a limit that was reached.
struct CgroupEvent {
  CgroupController controller = CgroupController::kMemory;
  std::string file;
};

class Isolator {
 public:
  virtual ~Isolator() = default;

  // The name as in `--isolation`.
  virtual std::string_view Name() const = 0;

  // What of a spec it stands for. The runtime refuses a spec with a field that no isolator covers.
  virtual SpecFields Covers() const = 0;

  // Controllers whose cgroups the container must be in.
  virtual std::vector<CgroupController> Controllers() const { return {}; }

  // FAILED_PRECONDITION naming what this machine lacks.
  virtual absl::Status CheckHost(const HostFacts&) const { return absl::OkStatus(); }

  // Adds its steps to the plan of a launch. INVALID_ARGUMENT when the spec asks for what cannot be.
  virtual absl::Status Plan(const ContainerSpec& spec, const HostUser& user, const HostFacts& facts,
                            IsolationPlan* plan) const = 0;

  // Adds a new pod's steps: those of its limits, in its cgroup, and what its keeper does in the
  // namespaces that it makes.
  virtual void PlanPod(const PodSpec&, const HostFacts&, IsolationPlan*) const {}

  // Adds the steps that lead a running container, or a pod, from one set of resources to another.
  virtual void PlanUpdate(const ContainerResources& /*before*/, const ContainerResources& /*after*/,
                          const HostFacts&, IsolationPlan*) const {}

  // After a restart: adds what has to be done once more to a container that was found running. Its
  // `saved` undos are carried out at its end, whoever has planned them.
  virtual void Adopt(const std::vector<SavedUndo>& /*saved*/, const HostFacts&,
                     IsolationPlan*) const {}

  // Where the kernel is to tell of a reached limit. Without, it ends the container by itself.
  virtual std::optional<CgroupEvent> Watch(const HostFacts&) const { return std::nullopt; }

  // The limit that a container has reached, if it has; it is ended for it. `told`: the kernel has
  // told of Watch's event; it may have found nothing to kill.
  virtual std::optional<ContainerLimitation> Judge(const Limits&, const HostFacts&,
                                                   const ContainerFiles&, bool /*told*/) const {
    return std::nullopt;
  }

  // Fills in what it measures; what cannot be read stays absent.
  virtual void ReadUsage(const ContainerFiles&, const HostFacts&, ContainerUsage*) const {}
};

// Every isolator there is, in the order in which they plan.
std::vector<std::string> IsolatorNames();

// The isolators of a comma-separated list such as `cgroups/cpu,cgroups/mem`, in planning order.
// INVALID_ARGUMENT naming an unknown, empty or doubled entry.
absl::StatusOr<std::vector<std::unique_ptr<Isolator>>> MakeIsolators(const std::string& names);

// What an agent uses when it is told nothing.
inline constexpr char kDefaultIsolation[] =
    "filesystem/linux,namespaces/pid,namespaces/ipc,namespaces/uts,namespaces/net,"
    "namespaces/cgroup,cgroups/cpu,cgroups/mem,cgroups/pids";

std::unique_ptr<Isolator> MakeCgroupCpuIsolator();
std::unique_ptr<Isolator> MakeCgroupMemIsolator();
std::unique_ptr<Isolator> MakeCgroupPidsIsolator();
std::unique_ptr<Isolator> MakeFilesystemLinuxIsolator();
// `kind` is one of pid, ipc, uts, net, cgroup.
std::unique_ptr<Isolator> MakeNamespaceIsolator(std::string_view kind);

// The resources that hold after an update. The memory limit is only ever raised: lowering it below
// what is in use would make the kernel kill. The one place with this rule.
ContainerResources AfterUpdate(const ContainerResources& before, const ContainerResources& asked);

}  // namespace tessera::agent
