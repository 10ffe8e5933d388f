#include "services/agent/isolators/spec_fields.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace tessera::agent {

std::string_view SpecFieldName(SpecField field) {
  switch (field) {
    case SpecField::kRootfs:
      return "rootfs";
    case SpecField::kMounts:
      return "mounts";
    case SpecField::kPrivateTmp:
      return "private_tmp";
    case SpecField::kHostname:
      return "hostname";
    case SpecField::kPidNamespace:
      return "namespaces.pid";
    case SpecField::kIpcNamespace:
      return "namespaces.ipc";
    case SpecField::kUtsNamespace:
      return "namespaces.uts";
    case SpecField::kCgroupNamespace:
      return "namespaces.cgroup";
    case SpecField::kNetNamespace:
      return "namespaces.net";
    case SpecField::kMntNamespace:
      return "namespaces.mnt";
    case SpecField::kCpuLimit:
      return "resources.cpu_limit";
    case SpecField::kPidsLimit:
      return "resources.pids_limit";
  }
  return "unknown";
}

SpecFields UsedFields(const ContainerSpec& spec) {
  SpecFields used;
  const auto add = [&used](SpecField field, bool is_used) {
    if (is_used) used.Add(field);
  };
  add(SpecField::kRootfs, !spec.rootfs.empty());
  add(SpecField::kMounts, !spec.mounts.empty());
  add(SpecField::kPrivateTmp, spec.private_tmp);
  add(SpecField::kHostname, !spec.hostname.empty());
  add(SpecField::kPidNamespace, spec.namespaces.pid.joins());
  add(SpecField::kIpcNamespace, spec.namespaces.ipc.joins());
  add(SpecField::kUtsNamespace, spec.namespaces.uts.joins());
  add(SpecField::kCgroupNamespace, spec.namespaces.cgroup.joins());
  add(SpecField::kNetNamespace, spec.namespaces.net != NamespaceChoice::Host());
  add(SpecField::kMntNamespace, spec.namespaces.mnt.joins());
  used.Add(UsedFields(spec.resources));
  return used;
}

SpecFields UsedFields(const PodSpec& spec) {
  SpecFields used;
  const auto add = [&used](SpecField field, bool is_used) {
    if (is_used) used.Add(field);
  };
  add(SpecField::kHostname, !spec.hostname.empty());
  add(SpecField::kPidNamespace, spec.namespaces.pid);
  add(SpecField::kIpcNamespace, spec.namespaces.ipc);
  add(SpecField::kUtsNamespace, spec.namespaces.uts);
  add(SpecField::kNetNamespace, spec.namespaces.net);
  used.Add(UsedFields(spec.limits));
  return used;
}

SpecFields UsedFields(const ContainerResources& resources) {
  SpecFields used;
  if (resources.cpu_limit_milli.has_value()) used.Add(SpecField::kCpuLimit);
  if (resources.pids_limit.has_value()) used.Add(SpecField::kPidsLimit);
  return used;
}

absl::Status CheckCovered(SpecFields used, SpecFields covered) {
  for (uint32_t i = 0; i < kSpecFieldCount; ++i) {
    const auto field = static_cast<SpecField>(i);
    if (!used.Has(field) || covered.Has(field)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "no isolator in use stands for ", std::string(SpecFieldName(field)), "; see --isolation"));
  }
  return absl::OkStatus();
}

}  // namespace tessera::agent
