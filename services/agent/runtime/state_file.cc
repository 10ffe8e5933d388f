#include "services/agent/runtime/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/isolators/word_code.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {
namespace {

constexpr char kContainerFormat[] = "tessera-container";
constexpr char kPodFormat[] = "tessera-pod";
constexpr uint32_t kFormatNumber = 1;
// Init's lines have at most 160 bytes each, a limitation's at most what is left.
constexpr off_t kReservedBytes = 1024;
constexpr size_t kMaximumMessageBytes = 160;

using Words = std::vector<absl::string_view>;

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

bool ParseExit(const Words& words, ContainerState* state) {
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

bool ParseResources(const Words& words, ContainerResources* r) {
  *r = ContainerResources();
  return words.size() == 6 && absl::SimpleAtoi(words[1], &r->cpus_milli) &&
         ParseOptional(words[2], &r->cpu_limit_milli) &&
         ParseOptional(words[3], &r->memory_limit_bytes) &&
         ParseOptional(words[4], &r->memory_soft_limit_bytes) &&
         ParseOptional(words[5], &r->pids_limit);
}

// `c7`, `p3` or `p3/c7`.
bool ParseCgroup(const Words& words, std::string* cgroup) {
  if (words.size() != 2) return false;
  const std::vector<std::string> names = absl::StrSplit(words[1], '/');
  if (names.size() > 2) return false;
  for (const std::string& name : names) {
    if (name.empty() || name[0] == '.') return false;
  }
  *cgroup = std::string(words[1]);
  return true;
}

bool ParseFlag(const Words& words, bool* flag) {
  if (words.size() != 2 || (words[1] != "0" && words[1] != "1")) return false;
  *flag = words[1] == "1";
  return true;
}

bool ParseUndoLine(absl::string_view line, std::vector<SavedUndo>* undo) {
  line.remove_prefix(sizeof("undo ") - 1);
  absl::StatusOr<SavedUndo> parsed = ParseUndo({line.data(), line.size()});
  if (parsed.ok()) undo->push_back(*std::move(parsed));
  return parsed.ok();
}

bool ParseResource(absl::string_view word, ContainerLimitation::Resource* resource) {
  for (const auto known :
       {ContainerLimitation::Resource::kMemory, ContainerLimitation::Resource::kDisk,
        ContainerLimitation::Resource::kPorts}) {
    const std::string_view name = LimitedResourceName(known);
    if (word != absl::string_view(name.data(), name.size())) continue;
    *resource = known;
    return true;
  }
  return false;
}

bool ParseLimitation(const Words& words, ContainerState* state) {
  ContainerLimitation limitation;
  if (words.size() != 6 || !ParseResource(words[1], &limitation.resource) ||
      !absl::SimpleAtoi(words[2], &limitation.requested_bytes) ||
      !absl::SimpleAtoi(words[3], &limitation.maximum_used_bytes) ||
      !DecodeWord({words[4].data(), words[4].size()}, &limitation.isolator) ||
      !DecodeWord({words[5].data(), words[5].size()}, &limitation.message)) {
    return false;
  }
  state->limitation = std::move(limitation);
  return true;
}

bool ParseLine(absl::string_view line, ContainerState* state) {
  const Words words = absl::StrSplit(line, ' ');
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
  if (word == "cgroup") return ParseCgroup(words, &state->cgroup);
  if (word == "own_pids") return ParseFlag(words, &state->own_pids);
  if (word == "host_network") return ParseFlag(words, &state->host_network);
  if (word == "resources") return ParseResources(words, &state->resources);
  if (word == "undo") return ParseUndoLine(line, &state->undo);
  if (word == "started") {
    int64_t nanoseconds = 0;
    if (words.size() != 2 || !absl::SimpleAtoi(words[1], &nanoseconds)) return false;
    state->started = absl::FromUnixNanos(nanoseconds);
    return true;
  }
  if (word == "exited") return ParseExit(words, state);
  if (word == "limited") return ParseLimitation(words, state);
  if (word == "killed") state->killed = true;
  return true;
}

bool ParsePodLine(absl::string_view line, PodState* state) {
  const Words words = absl::StrSplit(line, ' ');
  const absl::string_view word = words[0];
  if (word == "boot") {
    if (words.size() == 2) state->boot_id = std::string(words[1]);
    return words.size() == 2;
  }
  if (word == "cgroup") return ParseCgroup(words, &state->cgroup);
  if (word == "namespaces") {
    return words.size() == 2 && absl::SimpleAtoi(words[1], &state->namespaces);
  }
  if (word == "resources") return ParseResources(words, &state->limits);
  if (word == "undo") return ParseUndoLine(line, &state->undo);
  if (word == "keeper") {
    ContainerIdentity keeper;
    if (words.size() != 3 || !absl::SimpleAtoi(words[1], &keeper.init_pid) ||
        !absl::SimpleAtoi(words[2], &keeper.init_start_ticks) || keeper.init_pid < 0) {
      return false;
    }
    keeper.boot_id = state->boot_id;
    state->keeper = std::move(keeper);
  }
  return true;
}

absl::Status CheckFormat(absl::string_view line, absl::string_view format) {
  const Words words = absl::StrSplit(line, ' ');
  uint32_t number = 0;
  if (words.size() != 2 || words[0] != format || !absl::SimpleAtoi(words[1], &number) ||
      number == 0) {
    return absl::DataLossError(absl::StrCat("no file of the format ", format));
  }
  if (number <= kFormatNumber) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("written by a newer agent, in ", format, " ",
                                                    number, "; this one knows ", kFormatNumber));
}

// Calls `parse` for each whole line behind the first, which names the format.
template <typename Parse>
absl::Status ParseLines(const std::string& contents, absl::string_view format, Parse parse) {
  bool first = true;
  const absl::string_view whole(contents.data(), contents.rfind('\n') + 1);
  for (const absl::string_view line : absl::StrSplit(whole, '\n', absl::SkipEmpty())) {
    if (first) {
      RETURN_IF_ERROR(CheckFormat(line, format));
    } else if (!parse(line)) {
      return absl::DataLossError(absl::StrCat("malformed line \"", line, "\""));
    }
    first = false;
  }
  return first ? absl::DataLossError("the file is empty") : absl::OkStatus();
}

std::string FormatUndos(const std::vector<SavedUndo>& undo) {
  std::string lines;
  for (const SavedUndo& one : undo) absl::StrAppend(&lines, "undo ", FormatUndo(one), "\n");
  return lines;
}

}  // namespace

std::string FormatStateHead(const ContainerState& state) {
  return absl::StrCat(kContainerFormat, " ", kFormatNumber, "\ninit ", state.identity.init_pid, " ",
                      state.identity.init_start_ticks, "\nboot ", state.identity.boot_id,
                      "\ncgroup ", state.cgroup, "\nown_pids ", state.own_pids ? 1 : 0,
                      "\nhost_network ", state.host_network ? 1 : 0, "\n",
                      FormatResources(state.resources), FormatUndos(state.undo));
}

std::string FormatPodHead(const PodState& state) {
  return absl::StrCat(kPodFormat, " ", kFormatNumber, "\nboot ", state.boot_id, "\ncgroup ",
                      state.cgroup, "\nnamespaces ", state.namespaces, "\n",
                      FormatResources(state.limits), FormatUndos(state.undo));
}

std::string FormatResources(const ContainerResources& resources) {
  return absl::StrCat("resources ", resources.cpus_milli, " ", Optional(resources.cpu_limit_milli),
                      " ", Optional(resources.memory_limit_bytes), " ",
                      Optional(resources.memory_soft_limit_bytes), " ",
                      Optional(resources.pids_limit), "\n");
}

std::string FormatLimitation(const ContainerLimitation& limitation) {
  return absl::StrCat("limited ", std::string(LimitedResourceName(limitation.resource)), " ",
                      limitation.requested_bytes, " ", limitation.maximum_used_bytes, " ",
                      EncodeWord(limitation.isolator), " ",
                      EncodeWord(limitation.message.substr(0, kMaximumMessageBytes)), "\n");
}

std::string FormatKilled() { return "killed\n"; }

std::string FormatKeeper(const ContainerIdentity& keeper) {
  return absl::StrCat("keeper ", keeper.init_pid, " ", keeper.init_start_ticks, "\n");
}

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
  RETURN_IF_ERROR(ParseLines(contents, kContainerFormat,
                             [&state](absl::string_view line) { return ParseLine(line, &state); }));
  if (state.identity.init_pid == 0) return absl::DataLossError("the container's init is not named");
  return state;
}

absl::StatusOr<PodState> ParsePodState(const std::string& contents) {
  PodState state;
  RETURN_IF_ERROR(ParseLines(contents, kPodFormat, [&state](absl::string_view line) {
    return ParsePodLine(line, &state);
  }));
  if (state.cgroup.empty()) return absl::DataLossError("the pod's cgroup is not named");
  return state;
}

}  // namespace tessera::agent
