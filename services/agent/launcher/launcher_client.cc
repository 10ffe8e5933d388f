#include "services/agent/launcher/launcher_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/socket_frames.h"
#include "services/agent/launcher/wire.h"

namespace tessera::agent {
namespace {

constexpr int kLauncherSocket = 3;

absl::Status CloneError(int error) {
  const std::string message = absl::StrCat("clone a container's init: ", strerror(error));
  if (error == EAGAIN || error == ENOMEM || error == ENOSPC) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::InternalError(message);
}

}  // namespace

LauncherClient::~LauncherClient() {
  absl::MutexLock lock(&mutex_);
  StopLocked();
}

absl::Status LauncherClient::Start() {
  absl::MutexLock lock(&mutex_);
  return StartLocked();
}

pid_t LauncherClient::pid() const {
  absl::MutexLock lock(&mutex_);
  return pid_;
}

uint64_t LauncherClient::restarts() const {
  absl::MutexLock lock(&mutex_);
  return restarts_;
}

absl::Status LauncherClient::StartLocked() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::InternalError(absl::StrCat("socketpair for the launcher: ", strerror(errno)));
  }
  base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  // dup2 onto itself would keep close-on-exec.
  if (theirs.get() == kLauncherSocket) theirs.reset(fcntl(ends[1], F_DUPFD_CLOEXEC, 10));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), kLauncherSocket);
  char* arguments[] = {const_cast<char*>(program_.c_str()), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program_.c_str(), &actions, nullptr, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    const std::string message =
        absl::StrCat("cannot start the launcher ", program_, ": ", strerror(error));
    return error == ENOENT ? absl::NotFoundError(message) : absl::InternalError(message);
  }
  socket_ = std::move(ours);
  pid_ = pid;
  return absl::OkStatus();
}

void LauncherClient::StopLocked() {
  if (pid_ == 0) return;
  // It ends by itself once its socket is closed; one that does not is of no use either.
  socket_.reset();
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = 0;
      return;
    }
    usleep(1000);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

absl::StatusOr<ClonedInit> LauncherClient::Clone(const CloneRequest& request) {
  wire::Writer namespaces;
  namespaces.U32(request.made);
  namespaces.U32(request.joined);
  wire::Writer cgroups;
  cgroups.Text(request.v2_directory);
  cgroups.U32(static_cast<uint32_t>(request.tasks.size()));
  for (const std::string& tasks : request.tasks) cgroups.Text(tasks);
  wire::SectionWriter writer;
  writer.Add(wire::CloneSection::kNamespaces, namespaces);
  writer.Add(wire::CloneSection::kCgroups, cgroups);
  if (writer.size() + sizeof(wire::FrameHeader) > wire::kMaximumCloneBytes) {
    return absl::InvalidArgumentError("the cgroup paths are too long for the launcher");
  }
  const std::string frame = writer.Frame(wire::FrameType::kClone);

  absl::MutexLock lock(&mutex_);
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<ClonedInit> init = CloneOnce(frame, request.join);
    if (init.ok() || !absl::IsUnavailable(init.status()) || attempt == 1) return init;
    StopLocked();
    ++restarts_;
    const absl::Status started = StartLocked();
    if (!started.ok()) return started;
  }
}

absl::StatusOr<ClonedInit> LauncherClient::CloneOnce(const std::string& frame,
                                                     const std::vector<int>& join) {
  if (!socket_.valid()) return absl::UnavailableError("the launcher does not run");
  if (wire::SendAll(socket_.get(), frame.data(), frame.size(), join.data(), join.size()) != 0) {
    return absl::UnavailableError("the launcher is gone");
  }
  char packet[sizeof(wire::FrameHeader) + 8];
  int files[2] = {-1, -1};
  size_t file_count = 0;
  const long size =
      wire::ReceivePacket(socket_.get(), packet, sizeof(packet), files, 2, &file_count);
  ClonedInit init;
  if (file_count > 0) init.pidfd.reset(files[0]);
  if (file_count > 1) init.control.reset(files[1]);
  if (size <= 0) return absl::UnavailableError("the launcher is gone");
  wire::FrameHeader header;
  if (size != sizeof(packet)) return absl::InternalError("the launcher's answer is malformed");
  memcpy(&header, packet, sizeof(header));
  wire::Reader reader(packet + sizeof(header), sizeof(packet) - sizeof(header));
  const int error = static_cast<int>(reader.U32());
  init.pid = static_cast<pid_t>(reader.U32());
  if (header.type != static_cast<uint32_t>(wire::FrameType::kCloned)) {
    return absl::InternalError("the launcher's answer is malformed");
  }
  if (error != 0) return CloneError(error);
  if (file_count != 2)
    return absl::ResourceExhaustedError("no file descriptors left for a container");
  return init;
}

}  // namespace tessera::agent
