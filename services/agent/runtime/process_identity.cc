#include "services/agent/runtime/process_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

// Fields after the name, which starts with field 3.
constexpr size_t kStartTicksAfterName = 22 - 3;

}  // namespace

std::string BootId() {
  const absl::StatusOr<std::string> id = base::ReadFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? std::string(absl::StripSuffix(*id, "\n")) : "";
}

absl::StatusOr<uint64_t> ParseStartTicks(const std::string& stat) {
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return absl::DataLossError("no process name in its stat file");
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(name_end + 2), ' ');
  uint64_t ticks = 0;
  if (fields.size() <= kStartTicksAfterName ||
      !absl::SimpleAtoi(fields[kStartTicksAfterName], &ticks)) {
    return absl::DataLossError("no start time in a process's stat file");
  }
  return ticks;
}

absl::StatusOr<uint64_t> StartTicks(pid_t pid) {
  base::UniqueFd file(open(absl::StrCat("/proc/", pid, "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char line[1024];
  const ssize_t size = file.valid() ? read(file.get(), line, sizeof(line)) : -1;
  if (size <= 0) return absl::NotFoundError(absl::StrCat("no process ", pid));
  return ParseStartTicks(std::string(line, static_cast<size_t>(size)));
}

absl::StatusOr<base::UniqueFd> OpenProcess(const ContainerIdentity& identity,
                                           const std::string& boot_id) {
  const pid_t pid = static_cast<pid_t>(identity.init_pid);
  if (identity.boot_id != boot_id) return absl::NotFoundError("the machine was rebooted");
  base::UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) return absl::NotFoundError(absl::StrCat("no process ", pid));
  // The pidfd is taken first: it then names the process whose start time is read, or a dead one.
  ASSIGN_OR_RETURN(const uint64_t ticks, StartTicks(pid));
  if (ticks != identity.init_start_ticks || WaitForEnd(pidfd.get(), 0)) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
  }
  return pidfd;
}

base::UniqueFd OpenMountNamespace(pid_t pid) {
  return base::UniqueFd(open(absl::StrCat("/proc/", pid, "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
}

bool WaitForEnd(int pidfd, int timeout_milliseconds) {
  pollfd waiting{.fd = pidfd, .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready = poll(&waiting, 1, timeout_milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

int SendSignal(int pidfd, int signal_number) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal_number, nullptr, 0) == 0 ? 0 : errno;
}

}  // namespace tessera::agent
