#include "services/agent/server/machine.h"

#include <errno.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

constexpr int64_t kMib = int64_t{1} << 20;
constexpr int64_t kGib = int64_t{1} << 30;

// Leaves `spare` to the machine itself, or half when there is not twice that much.
int64_t AllBut(int64_t total, int64_t spare) {
  return total >= 2 * spare ? total - spare : total / 2;
}

// Also true of "gpus:0" and "ports:[]", which say that there are none.
bool Names(const std::string& text, const std::string& name) {
  for (const auto part : absl::StrSplit(text, ';')) {
    const std::string trimmed(absl::StripAsciiWhitespace(part));
    const size_t end = trimmed.find_first_of(":(");
    if (absl::StripAsciiWhitespace(trimmed.substr(0, end)) == name) return true;
  }
  return false;
}

}  // namespace

MachineFacts ReadMachineFacts(const std::string& work_dir) {
  MachineFacts facts;
  facts.cpus = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo info {};
  if (::sysinfo(&info) == 0)
    facts.memory_bytes = static_cast<int64_t>(info.totalram) * info.mem_unit;
  struct statvfs disk {};
  if (::statvfs(work_dir.c_str(), &disk) == 0) {
    facts.disk_bytes = static_cast<int64_t>(disk.f_blocks) * static_cast<int64_t>(disk.f_frsize);
  }
  return facts;
}

model::Resources CompleteResources(const model::Resources& stated, const std::string& text,
                                   const MachineFacts& facts) {
  model::Resources all = stated;
  const auto missing = [&](const std::string& name) {
    return stated.Named(name).empty() && !Names(text, name);
  };
  const auto add = [&](const std::string& name, int64_t units) {
    if (missing(name) && units > 0) {
      all += model::Resource::OfScalar(name, model::Scalar::FromUnits(units));
    }
  };
  add("cpus", facts.cpus);
  add("mem", AllBut(facts.memory_bytes, kGib) / kMib);
  add("disk", AllBut(facts.disk_bytes, 5 * kGib) / kMib);
  if (missing("ports")) {
    if (auto ports = model::Ranges::Parse("[31000-32000]"); ports.ok()) {
      all += model::Resource::OfRanges("ports", *ports);
    }
  }
  return all;
}

std::string ReadBootId() {
  const auto id = base::ReadFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? std::string(absl::StripAsciiWhitespace(*id)) : "";
}

absl::StatusOr<std::string> ReadHostName() {
  char name[256];
  if (::gethostname(name, sizeof name) != 0) {
    return base::ErrnoStatus(errno, "cannot read", "the host name");
  }
  name[sizeof name - 1] = '\0';
  return std::string(name);
}

}  // namespace tessera::agent
