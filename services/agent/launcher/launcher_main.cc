// agent-launcher: the small process that makes containers' inits for the agent.
//
// Started by the agent with one end of a SOCK_SEQPACKET as file 3. Each kClone request makes one
// init (init.h) by clone3 and is answered with its pid, a pidfd and a socket to it. Cloning costs
// what the cloner's memory costs, so this process stays small: no threads, static, libc only.
//
// Its own root is an empty file system: inits get a mount namespace with that alone, which is quick
// to copy and holds nothing to hide. What a container is to see comes from the agent as mount
// trees.
//
// It ends when the agent's end of the socket closes; inits are no part of its life. Its own
// children are never waited for: their exit statuses are in their state files.
//
// It runs from a sealed copy of its program in memory, so that a container's root cannot reach the
// program on the host through /proc/1/exe.

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "services/agent/launcher/init.h"
#include "services/agent/launcher/socket_frames.h"
#include "services/agent/launcher/wire.h"

// <sys/mount.h> and <linux/mount.h> define the same names; these two calls are all that is needed.
extern "C" int mount(const char*, const char*, const char*, unsigned long, const void*) noexcept;
extern "C" int umount2(const char*, int) noexcept;

namespace tessera::agent {
namespace {

constexpr int kAgent = 3;
constexpr int kHostRoot = 4;
constexpr int kOwnPids = 5;
constexpr unsigned long kPrivateTree = (1ul << 18) | 0x4000;  // MS_PRIVATE | MS_REC
constexpr int kDetach = 2;                                    // MNT_DETACH
constexpr char kUsage[] =
    "agent-launcher is started by agent-svc, which talks to it over a socket.\n"
    "It has no flags and does nothing when run by hand.\n";
constexpr char kSealedName[] = "tessera-launcher";
constexpr uint32_t kMaximumTasksFiles = 64;

// Becomes a sealed copy of itself. Returns only when the kernel refuses, which is no reason not to
// work.
void RunSealed() {
  const int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  const int copy = memfd_create(kSealedName, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  struct stat size;
  if (program < 0 || copy < 0 || fstat(program, &size) != 0) return;
  off_t left = size.st_size;
  while (left > 0) {
    const ssize_t sent = sendfile(copy, program, nullptr, static_cast<size_t>(left));
    if (sent <= 0) return;
    left -= sent;
  }
  close(program);
  fchmod(copy, 0500);
  if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return;
  char name[] = "tessera-launcher";
  char* arguments[] = {name, nullptr};
  char* environment[] = {nullptr};
  syscall(SYS_execveat, copy, "", arguments, environment, AT_EMPTY_PATH);
}

// What protects the agent from the OOM killer is not for containers.
void BecomeKillable() {
  const int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  char sign = '0';
  if (file >= 0 && read(file, &sign, 1) == 1 && sign == '-' && pwrite(file, "0", 1, 0) < 0)
    _exit(1);
  if (file >= 0) close(file);
}

void LeaveAgentBehind() {
  BecomeKillable();
  setsid();
  if (chdir("/") != 0) _exit(1);
  umask(0);
  prctl(PR_SET_NAME, kSealedName);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int file = 0; file < 3; ++file) dup2(null, file);
  if (null > 2) close(null);
  fcntl(kAgent, F_SETFD, FD_CLOEXEC);
  for (int signal_number = 1; signal_number < NSIG; ++signal_number) {
    signal(signal_number, SIG_DFL);
  }
  // Nobody waits here: the kernel reaps.
  signal(SIGCHLD, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

// A file system with nothing in it but a place to attach a container's root to.
int MakeEmptyFilesystem() {
  const int context = static_cast<int>(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
  syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "555", 0);
  syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "4k", 0);
  syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  const int files = static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
  close(context);
  if (files >= 0 && mkdirat(files, "root", 0555) != 0) return -1;
  return files;
}

// Leaves the host's files for an empty root; kHostRoot stays a way to them.
bool EnterEmptyRoot() {
  const int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (host < 0) return false;
  if (host != kHostRoot) {
    if (dup3(host, kHostRoot, O_CLOEXEC) < 0) return false;
    close(host);
  }
  // The way back from the pid namespaces of others, see Clone.
  const int pids = openat(kHostRoot, "proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (pids < 0) return false;
  if (pids != kOwnPids) {
    if (dup3(pids, kOwnPids, O_CLOEXEC) < 0) return false;
    close(pids);
  }
  if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, kPrivateTree, nullptr) != 0)
    return false;
  const int empty = MakeEmptyFilesystem();
  if (empty < 0) return false;
  // Any directory will do: the host's tree goes from this namespace at once.
  if (syscall(SYS_move_mount, empty, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) != 0 ||
      fchdir(empty) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", kDetach) != 0 ||
      chdir("/") != 0) {
    return false;
  }
  close(empty);
  mount_attr attributes{};
  attributes.attr_set =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof(attributes)) == 0;
}

// Answers with errno and pid; the descriptors come along when a clone succeeded.
void Answer(int error, pid_t pid, const int* files, size_t file_count) {
  char packet[sizeof(wire::FrameHeader) + 8];
  const wire::FrameHeader header{static_cast<uint32_t>(wire::FrameType::kCloned), 8};
  const auto error_number = static_cast<uint32_t>(error);
  const auto pid_number = static_cast<uint32_t>(pid);
  memcpy(packet, &header, sizeof(header));
  memcpy(packet + sizeof(header), &error_number, sizeof(error_number));
  memcpy(packet + sizeof(header) + 4, &pid_number, sizeof(pid_number));
  wire::SendAll(kAgent, packet, sizeof(packet), files, file_count);
}

// The cgroup namespace is not among them: init makes it when it is in its cgroups.
uint64_t CloneFlags(uint32_t made) {
  uint64_t flags = CLONE_PIDFD;
  if ((made & wire::kMount) != 0) flags |= CLONE_NEWNS;
  if ((made & wire::kPid) != 0) flags |= CLONE_NEWPID;
  if ((made & wire::kIpc) != 0) flags |= CLONE_NEWIPC;
  if ((made & wire::kUts) != 0) flags |= CLONE_NEWUTS;
  if ((made & wire::kNet) != 0) flags |= CLONE_NEWNET;
  return flags;
}

void Clone(const InitConfig& request, const char* v2_directory) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Answer(errno, 0, nullptr, 0);
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CloneFlags(request.made);
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  int cgroup = -1;
  if (v2_directory[0] != '\0') {
    cgroup = openat(kHostRoot, v2_directory + strspn(v2_directory, "/"),
                    O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cgroup < 0) {
      const int error = errno;
      close(ends[0]);
      close(ends[1]);
      return Answer(error, 0, nullptr, 0);
    }
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(cgroup);
  }
  // Chooses the pid namespace of children; this process stays in its own. Its descriptor, if there
  // is one, is the first, as its bit is.
  const bool join_pids = (request.joined & wire::kPid) != 0;
  if (join_pids && setns(request.join[0], CLONE_NEWPID) != 0) {
    const int error = errno;
    if (cgroup >= 0) close(cgroup);
    close(ends[0]);
    close(ends[1]);
    return Answer(error, 0, nullptr, 0);
  }
  const pid_t pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (pid == 0) {
    InitConfig config = request;
    config.host_root = kHostRoot;
    config.control = ends[1];
    RunInit(config);
  }
  const int error = pid < 0 ? errno : 0;
  // Not to be back would put the next container into a namespace of others.
  if (join_pids && setns(kOwnPids, CLONE_NEWPID) != 0) _exit(1);
  if (cgroup >= 0) close(cgroup);
  close(ends[1]);
  const int files[] = {pidfd, ends[0]};
  Answer(error, pid, files, pid < 0 ? 0 : 2);
  if (pidfd >= 0) close(pidfd);
  close(ends[0]);
}

// 0, or the errno of the answer.
int ReadNamespaces(wire::Reader* section, size_t descriptors, InitConfig* config) {
  config->made = section->U32();
  config->joined = section->U32();
  const uint32_t both = config->made | config->joined;
  if (!section->AtEnd() || (both & ~wire::kAllNamespaces) != 0 ||
      (config->made & config->joined) != 0 || (both & wire::kMount) == 0) {
    return EBADMSG;
  }
  return static_cast<size_t>(__builtin_popcount(config->joined)) == descriptors ? 0 : EBADMSG;
}

int ReadCgroups(wire::Reader* section, const char** tasks, const char** v2_directory,
                InitConfig* config) {
  *v2_directory = section->Text();
  config->task_count = section->Count(5);
  if (config->task_count > kMaximumTasksFiles) return EBADMSG;
  for (uint32_t i = 0; i < config->task_count; ++i) tasks[i] = section->Text();
  config->tasks = tasks;
  return section->AtEnd() ? 0 : EBADMSG;
}

void Handle(const char* packet, size_t size, InitConfig* config, size_t descriptors) {
  wire::FrameHeader header;
  memcpy(&header, packet, sizeof(header));
  if (header.type != static_cast<uint32_t>(wire::FrameType::kClone) ||
      header.bytes != size - sizeof(header)) {
    return Answer(EBADMSG, 0, nullptr, 0);
  }
  wire::SectionReader sections(packet + sizeof(header), header.bytes);
  const char* tasks[kMaximumTasksFiles];
  const char* v2_directory = "";
  bool has_namespaces = false;
  uint32_t type = 0;
  wire::Reader section(packet, 0);
  while (sections.Next(&type, &section)) {
    int error = ENOTSUP;
    switch (static_cast<wire::CloneSection>(type)) {
      case wire::CloneSection::kNamespaces:
        error = ReadNamespaces(&section, descriptors, config);
        has_namespaces = true;
        break;
      case wire::CloneSection::kCgroups:
        error = ReadCgroups(&section, tasks, &v2_directory, config);
        break;
    }
    if (error != 0) return Answer(error, 0, nullptr, 0);
  }
  if (!sections.ok() || !has_namespaces) return Answer(EBADMSG, 0, nullptr, 0);
  Clone(*config, v2_directory);
}

void Serve() {
  static char packet[wire::kMaximumCloneBytes];
  for (;;) {
    InitConfig config;
    size_t descriptors = 0;
    const long size = wire::ReceivePacket(kAgent, packet, sizeof(packet), config.join,
                                          wire::kNamespaceKinds, &descriptors);
    if (size <= 0) _exit(size == 0 ? 0 : 1);
    if (static_cast<size_t>(size) < sizeof(wire::FrameHeader)) _exit(1);
    Handle(packet, static_cast<size_t>(size), &config, descriptors);
    for (size_t i = 0; i < descriptors; ++i) close(config.join[i]);
  }
}

}  // namespace
}  // namespace tessera::agent

int main(int, char** arguments) {
  using namespace tessera::agent;
  int type = 0;
  socklen_t length = sizeof(type);
  if (getsockopt(kAgent, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET) {
    if (write(2, kUsage, sizeof(kUsage) - 1) < 0) return 2;
    return 2;
  }
  if (arguments[0] == nullptr || strcmp(arguments[0], kSealedName) != 0) RunSealed();
  LeaveAgentBehind();
  if (!EnterEmptyRoot()) return 1;
  Serve();
}
