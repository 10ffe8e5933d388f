#include "services/agent/runtime/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/base/file_io.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {
namespace {

constexpr char kFirstLine[] = "tessera-container 1";
// Each of the lines that are still to come has at most 160 bytes.
constexpr off_t kReservedBytes = 1024;

std::string Optional(const std::optional<int64_t>& number) {
  return number.has_value() ? absl::StrCat(*number) : "-";
}

bool ParseOptional(absl::string_view text, std::optional<int64_t>* number) {
  if (text == "-") return true;
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) return false;
  *number = value;
  return true;
}

bool ParseExit(const std::vector<absl::string_view>& words, ContainerState* state) {
  int64_t ended = 0;
  int64_t user = 0;
  int64_t system = 0;
  int64_t rss = 0;
  ContainerState::Exit exit;
  if (words.size() != 6 || !absl::SimpleAtoi(words[1], &exit.wait_status) ||
      !absl::SimpleAtoi(words[2], &ended) || !absl::SimpleAtoi(words[3], &user) ||
      !absl::SimpleAtoi(words[4], &system) || !absl::SimpleAtoi(words[5], &rss)) {
    return false;
  }
  exit.ended = absl::FromUnixNanos(ended);
  exit.user_time = absl::Microseconds(user);
  exit.system_time = absl::Microseconds(system);
  exit.maximum_rss_bytes = rss * 1024;
  state->exit = exit;
  return true;
}

bool ParseLine(const std::vector<absl::string_view>& words, ContainerState* state) {
  const absl::string_view word = words[0];
  if (word == "init") {
    return words.size() == 3 && absl::SimpleAtoi(words[1], &state->identity.init_pid) &&
           absl::SimpleAtoi(words[2], &state->identity.init_start_ticks) &&
           state->identity.init_pid > 0;
  }
  if (word == "boot") {
    if (words.size() == 2) state->identity.boot_id = std::string(words[1]);
    return words.size() == 2;
  }
  if (word == "cgroup") {
    if (words.size() == 2) state->cgroup = std::string(words[1]);
    return words.size() == 2 && state->cgroup.find('/') == std::string::npos &&
           state->cgroup != "..";
  }
  if (word == "own_pids") {
    if (words.size() == 2) state->own_pids = words[1] == "1";
    return words.size() == 2;
  }
  if (word == "resources") {
    ContainerResources& r = state->resources;
    r = ContainerResources();
    return words.size() == 6 && absl::SimpleAtoi(words[1], &r.cpus_milli) &&
           ParseOptional(words[2], &r.cpu_limit_milli) &&
           ParseOptional(words[3], &r.memory_limit_bytes) &&
           ParseOptional(words[4], &r.memory_soft_limit_bytes) &&
           ParseOptional(words[5], &r.pids_limit);
  }
  if (word == "started") {
    int64_t nanoseconds = 0;
    if (words.size() != 2 || !absl::SimpleAtoi(words[1], &nanoseconds)) return false;
    state->started = absl::FromUnixNanos(nanoseconds);
    return true;
  }
  if (word == "exited") return ParseExit(words, state);
  if (word == "killed") {
    state->killed = true;
    return true;
  }
  if (word == "memory_exceeded") {
    ContainerState::MemoryExceeded exceeded;
    if (words.size() != 3 || !absl::SimpleAtoi(words[1], &exceeded.requested_bytes) ||
        !absl::SimpleAtoi(words[2], &exceeded.maximum_used_bytes)) {
      return false;
    }
    state->memory_exceeded = exceeded;
  }
  return true;
}

}  // namespace

std::string FormatStateHead(const ContainerState& state) {
  return absl::StrCat(kFirstLine, "\ninit ", state.identity.init_pid, " ",
                      state.identity.init_start_ticks, "\nboot ", state.identity.boot_id,
                      "\ncgroup ", state.cgroup, "\nown_pids ", state.own_pids ? 1 : 0, "\n",
                      FormatResources(state.resources));
}

std::string FormatResources(const ContainerResources& resources) {
  return absl::StrCat("resources ", resources.cpus_milli, " ", Optional(resources.cpu_limit_milli),
                      " ", Optional(resources.memory_limit_bytes), " ",
                      Optional(resources.memory_soft_limit_bytes), " ",
                      Optional(resources.pids_limit), "\n");
}

std::string FormatMemoryExceeded(const ContainerState::MemoryExceeded& exceeded) {
  return absl::StrCat("memory_exceeded ", exceeded.requested_bytes, " ",
                      exceeded.maximum_used_bytes, "\n");
}

std::string FormatKilled() { return "killed\n"; }

absl::Status ReserveLines(int file, const std::string& path, size_t more) {
  struct stat info {};
  if (fstat(file, &info) != 0) return base::ErrnoStatus(errno, "look at", path);
  // Behind its end, so that what appends to it finds the end where the text ends.
  while (fallocate(file, FALLOC_FL_KEEP_SIZE, info.st_size,
                   kReservedBytes + static_cast<off_t>(more)) != 0) {
    if (errno == EINTR) continue;
    // A file system that cannot: the first block, taken with the head, has to do.
    if (errno == EOPNOTSUPP || errno == ENOSYS) return absl::OkStatus();
    return base::ErrnoStatus(errno, "keep room in", path);
  }
  return absl::OkStatus();
}

absl::Status AppendLine(const std::string& path, const std::string& line) {
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  return base::WriteAll(file.get(), line, path);
}

absl::StatusOr<ContainerState> ParseState(const std::string& contents) {
  ContainerState state;
  bool first = true;
  const absl::string_view whole(contents.data(), contents.rfind('\n') + 1);
  for (const absl::string_view line : absl::StrSplit(whole, '\n', absl::SkipEmpty())) {
    if (first && line != kFirstLine) {
      return absl::DataLossError("not a container's state file, or of an unknown version");
    }
    if (!first && !ParseLine(absl::StrSplit(line, ' '), &state)) {
      return absl::DataLossError(absl::StrCat("malformed line \"", line, "\""));
    }
    first = false;
  }
  if (state.identity.init_pid == 0) return absl::DataLossError("the container's init is not named");
  return state;
}

}  // namespace tessera::agent
