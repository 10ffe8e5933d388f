#include "services/agent/launcher/init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "services/agent/launcher/init_operations.h"
#include "services/agent/launcher/socket_frames.h"
#include "services/agent/launcher/start_request.h"
#include "services/agent/launcher/wire.h"

namespace tessera::agent {
namespace {

constexpr int kControl = 3;
constexpr size_t kDetailBytes = 512;

struct Started {
  StartRequest request;
  int descriptors[wire::kMaximumFiles];
  size_t descriptor_count = 0;

  int file(wire::StartFile role) const { return descriptors[request.files[role]]; }
};

uint64_t WallNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// One line of the state file, written at once. Small on purpose: stdio would add to every init.
class Line {
 public:
  explicit Line(const char* word) {
    while (*word != '\0') bytes_[size_++] = *word++;
  }
  void Add(uint64_t number) {
    char digits[20];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    bytes_[size_++] = ' ';
    while (count > 0) bytes_[size_++] = digits[--count];
  }
  // errno, or 0 when all of it is in the file.
  int AppendTo(int file) {
    bytes_[size_++] = '\n';
    for (size_t at = 0; at < size_;) {
      const ssize_t written = write(file, bytes_ + at, size_ - at);
      if (written < 0 && errno != EINTR) return errno;
      if (written > 0) at += static_cast<size_t>(written);
    }
    return 0;
  }

 private:
  char bytes_[160];
  size_t size_ = 0;
};

void Report(wire::InitStep step, int error, const char* detail) {
  char frame[sizeof(wire::FrameHeader) + 4 + 4 + 4 + kDetailBytes + 8];
  char* at = frame + sizeof(wire::FrameHeader);
  const auto add = [&at](const void* bytes, size_t size) {
    memcpy(at, bytes, size);
    at += size;
  };
  const auto step_number = static_cast<uint32_t>(step);
  const auto error_number = static_cast<uint32_t>(error);
  const auto length = static_cast<uint32_t>(strnlen(detail, kDetailBytes - 1));
  const uint64_t now = WallNanoseconds();
  add(&step_number, sizeof(step_number));
  add(&error_number, sizeof(error_number));
  add(&length, sizeof(length));
  add(detail, length);
  add("", 1);
  add(&now, sizeof(now));
  wire::FrameHeader header{static_cast<uint32_t>(wire::FrameType::kReport),
                           static_cast<uint32_t>(at - frame - sizeof(wire::FrameHeader))};
  memcpy(frame, &header, sizeof(header));
  wire::SendAll(kControl, frame, static_cast<size_t>(at - frame), nullptr, 0);
}

[[noreturn]] void Fail(wire::InitStep step, int error, const char* detail) {
  Report(step, error, detail);
  _exit(1);
}

// A single-threaded task that writes 0 to `tasks` moves itself without waiting for other cpus.
void JoinCgroups(const InitConfig& config) {
  for (uint32_t i = 0; i < config.task_count; ++i) {
    // Relative, so that it starts at the host's root.
    const char* path = config.tasks[i] + strspn(config.tasks[i], "/");
    const int file = openat(config.host_root, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) Fail(wire::InitStep::kJoinCgroup, errno, config.tasks[i]);
    if (write(file, "0", 1) != 1) Fail(wire::InitStep::kJoinCgroup, errno, config.tasks[i]);
    close(file);
  }
}

const char* NamespaceName(uint32_t bit) {
  switch (static_cast<wire::NamespaceBit>(bit)) {
    case wire::kPid:
      return "join the pid namespace";
    case wire::kIpc:
      return "join the ipc namespace";
    case wire::kUts:
      return "join the uts namespace";
    case wire::kNet:
      return "join the network namespace";
    case wire::kCgroup:
      return "join the cgroup namespace";
    case wire::kMount:
      return "join the mount namespace";
  }
  return "join a namespace";
}

// The pid namespace was joined before the clone: it is chosen for children only.
void PrepareNamespaces(const InitConfig& config) {
  const int* file = config.join;
  for (uint32_t bit = 1; bit <= wire::kAllNamespaces; bit <<= 1) {
    if ((config.joined & bit) == 0) continue;
    if (bit != wire::kPid && setns(*file, 0) != 0) {
      Fail(wire::InitStep::kNamespace, errno, NamespaceName(bit));
    }
    close(*file++);
  }
  // After joining cgroups: the cgroup namespace's root is where its maker is.
  if ((config.made & wire::kCgroup) != 0 && unshare(CLONE_NEWCGROUP) != 0) {
    Fail(wire::InitStep::kNamespace, errno, "unshare the cgroup namespace");
  }
}

void RefuseStart(int error, uint32_t unknown) {
  char detail[64] = "read the start request";
  if (error == ENOTSUP) {
    strcpy(detail, "read the start request, which asks for unknown ");
    char digits[12];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + unknown % 10);
      unknown /= 10;
    } while (unknown != 0);
    char* end = detail + strlen(detail);
    while (count > 0) *end++ = digits[--count];
    *end = '\0';
  }
  Fail(wire::InitStep::kProtocol, error, detail);
}

void ReceiveStart(Started* started) {
  wire::FrameHeader header;
  const int error =
      wire::ReceiveExactly(kControl, reinterpret_cast<char*>(&header), sizeof(header),
                           started->descriptors, wire::kMaximumFiles, &started->descriptor_count);
  // The agent let go of a parked init.
  if (error == EPIPE) _exit(0);
  if (error != 0) Fail(wire::InitStep::kProtocol, error, "receive the start request");
  if (header.type != static_cast<uint32_t>(wire::FrameType::kStart) ||
      header.bytes > wire::kMaximumStartBytes) {
    Fail(wire::InitStep::kProtocol, EBADMSG, "receive the start request");
  }
  char* body = static_cast<char*>(malloc(header.bytes + size_t{1}));
  if (body == nullptr) Fail(wire::InitStep::kProtocol, ENOMEM, "receive the start request");
  size_t no_files = 0;
  const int body_error = wire::ReceiveExactly(kControl, body, header.bytes, nullptr, 0, &no_files);
  if (body_error == EPIPE) _exit(0);
  if (body_error != 0) Fail(wire::InitStep::kProtocol, body_error, "receive the start request");
  uint32_t unknown = 0;
  const int parse_error =
      ParseStartRequest(body, header.bytes, started->descriptor_count, &started->request, &unknown);
  if (parse_error != 0) RefuseStart(parse_error, unknown);
}

struct CommandFailure {
  wire::InitStep step = wire::InitStep::kRunning;
  int error = 0;
};

// As execvpe, with the working directory before PATH, and the container's PATH.
int ExecuteProgram(const StartRequest& request) {
  const char* program = request.program;
  if (strchr(program, '/') != nullptr) {
    execve(program, request.arguments, request.environment);
    return errno;
  }
  const char* path = FindVariable(request.environment, "PATH");
  if (path == nullptr) path = wire::kDefaultPath;
  const size_t program_length = strlen(program);
  execve(program, request.arguments, request.environment);
  bool denied = errno == EACCES;
  if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
  char candidate[4096];
  for (const char* entry = path;; ++entry) {
    const size_t length = strcspn(entry, ":");
    if (length > 0 && length + program_length + 2 <= sizeof(candidate)) {
      memcpy(candidate, entry, length);
      candidate[length] = '/';
      memcpy(candidate + length + 1, program, program_length + 1);
      execve(candidate, request.arguments, request.environment);
      if (errno == EACCES) {
        denied = true;
      } else if (errno != ENOENT && errno != ENOTDIR) {
        return errno;
      }
    }
    entry += length;
    if (*entry == '\0') return denied ? EACCES : ENOENT;
  }
}

// glibc's wrappers would tell other threads; there are none, and the parent's memory is borrowed.
int SwitchUser(const StartRequest& request) {
  if (!request.switch_user) return 0;
  if (syscall(SYS_setgroups, request.group_count, request.groups) != 0) return errno;
  if (syscall(SYS_setresgid, request.gid, request.gid, request.gid) != 0) return errno;
  if (syscall(SYS_setresuid, request.uid, request.uid, request.uid) != 0) return errno;
  return 0;
}

CommandFailure BecomeCommand(const Started& started) {
  const StartRequest& request = started.request;
  setsid();
  umask(022);
  int target = 0;
  for (const wire::StartFile file :
       {wire::kStandardInput, wire::kStandardOutput, wire::kStandardError}) {
    if (dup2(started.file(file), target++) < 0) return {wire::InitStep::kProtocol, errno};
  }
  if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0) return {wire::InitStep::kProtocol, errno};
  if (chdir(request.working_directory) != 0) return {wire::InitStep::kDirectory, errno};
  const int error = SwitchUser(request);
  if (error != 0) return {wire::InitStep::kUserSwitch, error};
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  return {wire::InitStep::kExec, ExecuteProgram(request)};
}

// The child borrows init's memory until it execs or ends: what it says in `failure` is seen here.
pid_t StartCommand(const Started& started, CommandFailure* failure) {
  volatile CommandFailure* const said = failure;
  const pid_t child = vfork();
  if (child == 0) {
    const CommandFailure result = BecomeCommand(started);
    said->step = result.step;
    said->error = result.error;
    _exit(127);
  }
  if (child < 0) {
    failure->step = wire::InitStep::kExec;
    failure->error = errno;
  }
  return child;
}

void ReportCommandFailure(const StartRequest& request, const CommandFailure& failure) {
  char detail[kDetailBytes];
  const char* verb = "start ";
  const char* object = request.program;
  if (failure.step == wire::InitStep::kDirectory) {
    verb = "chdir ";
    object = request.working_directory;
  } else if (failure.step == wire::InitStep::kExec) {
    verb = "exec ";
  } else if (failure.step == wire::InitStep::kUserSwitch) {
    verb = "switch the user of ";
  }
  strcpy(detail, verb);
  strncat(detail, object, sizeof(detail) - strlen(detail) - 1);
  Report(failure.step, failure.error, detail);
}

bool EndsContainers(int signal_number) {
  return signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGHUP ||
         signal_number == SIGQUIT;
}

void Forward(int signal_number, pid_t command, bool own_pids) {
  if (!EndsContainers(signal_number)) {
    kill(command, signal_number);
  } else if (own_pids) {
    kill(-1, signal_number);
  } else {
    kill(-command, signal_number);
  }
}

// Reaps all that ended. True, with its status and usage, when the command was among them.
bool Reap(pid_t command, int* wait_status, rusage* usage) {
  bool ended = false;
  for (;;) {
    int status;
    rusage of_child;
    const pid_t pid = wait4(-1, &status, WNOHANG, &of_child);
    if (pid == 0 || (pid < 0 && errno != EINTR)) return ended;
    if (pid == command) {
      *wait_status = status;
      *usage = of_child;
      ended = true;
    }
  }
}

uint64_t Microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1000000u + static_cast<uint64_t>(time.tv_usec);
}

[[noreturn]] void Supervise(pid_t command, int state_file, bool own_pids) {
  sigset_t all;
  sigfillset(&all);
  int wait_status = 0;
  rusage usage;
  for (;;) {
    siginfo_t info;
    const int signal_number = sigwaitinfo(&all, &info);
    if (signal_number < 0) continue;
    if (signal_number != SIGCHLD) {
      Forward(signal_number, command, own_pids);
      continue;
    }
    if (!Reap(command, &wait_status, &usage)) continue;
    Line line("exited");
    line.Add(static_cast<uint64_t>(wait_status));
    line.Add(WallNanoseconds());
    line.Add(Microseconds(usage.ru_utime));
    line.Add(Microseconds(usage.ru_stime));
    line.Add(static_cast<uint64_t>(usage.ru_maxrss));
    // Room for it was kept. Where the disk fails nevertheless, there is nobody to tell.
    line.AppendTo(state_file);
    _exit(0);
  }
}

// Nothing but its end ends a keeper: SIGKILL from outside its pid namespace.
[[noreturn]] void Keep() {
  signal(SIGCHLD, SIG_IGN);
  Report(wire::InitStep::kRunning, 0, "");
  close(kControl);
  sigset_t all;
  sigfillset(&all);
  siginfo_t info;
  for (;;) sigwaitinfo(&all, &info);
}

}  // namespace

void RunInit(const InitConfig& config) {
  signal(SIGCHLD, SIG_DFL);
  if (config.control != kControl) dup3(config.control, kControl, O_CLOEXEC);
  JoinCgroups(config);
  PrepareNamespaces(config);
  syscall(SYS_close_range, kControl + 1u, ~0u, 0u);
  prctl(PR_SET_NAME, "tessera-init");
  const bool own_pids = (config.made & wire::kPid) != 0;
  if (!own_pids) prctl(PR_SET_CHILD_SUBREAPER, 1);

  Started started;
  ReceiveStart(&started);
  const StartRequest& request = started.request;

  uint32_t failed = 0;
  const MountTrees trees{started.descriptors + request.first_tree, request.tree_count};
  const int error = RunOperations(request.operations, request.operation_count, trees, &failed);
  if (error != 0) {
    char detail[kDetailBytes];
    DescribeOperation(request.operations[failed], detail, sizeof(detail));
    const wire::OperationKind kind = request.operations[failed].kind;
    const bool of_namespace =
        kind == wire::OperationKind::kSetHostname || kind == wire::OperationKind::kRaiseLoopback;
    Fail(of_namespace ? wire::InitStep::kNamespace : wire::InitStep::kFilesystem, error, detail);
  }
  if (request.keeper) Keep();

  CommandFailure failure;
  const pid_t command = StartCommand(started, &failure);
  if (failure.step != wire::InitStep::kRunning) {
    ReportCommandFailure(request, failure);
    _exit(1);
  }
  Line line("started");
  line.Add(WallNanoseconds());
  if (const int unwritten = line.AppendTo(started.file(wire::kStateFile)); unwritten != 0) {
    // Without the line the next agent would take the launch for one that was cut short.
    kill(command, SIGKILL);
    Fail(wire::InitStep::kState, unwritten, "write to the container's state file");
  }
  Report(wire::InitStep::kRunning, 0, "");
  close(kControl);
  const int state_file = started.file(wire::kStateFile);
  for (size_t i = 0; i < started.descriptor_count; ++i) {
    if (started.descriptors[i] != state_file) close(started.descriptors[i]);
  }
  Supervise(command, state_file, own_pids);
}

}  // namespace tessera::agent
