#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Isolator> (*make)();
};

constexpr std::array kEntries = {
    Entry{"namespaces/pid", [] { return MakeNamespaceIsolator("pid"); }},
    Entry{"namespaces/ipc", [] { return MakeNamespaceIsolator("ipc"); }},
    Entry{"namespaces/uts", [] { return MakeNamespaceIsolator("uts"); }},
    Entry{"namespaces/net", [] { return MakeNamespaceIsolator("net"); }},
    Entry{"namespaces/cgroup", [] { return MakeNamespaceIsolator("cgroup"); }},
    Entry{"filesystem/linux", [] { return MakeFilesystemLinuxIsolator(); }},
    Entry{"cgroups/cpu", [] { return MakeCgroupCpuIsolator(); }},
    Entry{"cgroups/mem", [] { return MakeCgroupMemIsolator(); }},
    Entry{"cgroups/pids", [] { return MakeCgroupPidsIsolator(); }},
};

}  // namespace

std::vector<std::string> IsolatorNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

absl::StatusOr<std::vector<std::unique_ptr<Isolator>>> MakeIsolators(const std::string& names) {
  std::set<std::string> wanted;
  for (const absl::string_view name : absl::StrSplit(names, ',', absl::SkipEmpty())) {
    const std::string text(name);
    const bool known = std::any_of(kEntries.begin(), kEntries.end(),
                                   [&text](const Entry& entry) { return text == entry.name; });
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat("unknown isolator \"", text, "\"; there are ",
                                                     absl::StrJoin(IsolatorNames(), ", ")));
    }
    if (!wanted.insert(text).second) {
      return absl::InvalidArgumentError(absl::StrCat("isolator \"", text, "\" is named twice"));
    }
  }
  std::vector<std::unique_ptr<Isolator>> isolators;
  for (const Entry& entry : kEntries) {
    if (wanted.count(entry.name) > 0) isolators.push_back(entry.make());
  }
  return isolators;
}

}  // namespace tessera::agent
