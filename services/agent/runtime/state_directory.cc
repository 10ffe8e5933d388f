#include "services/agent/runtime/state_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

absl::StatusOr<base::UniqueFd> LockDirectory(const std::string& directory) {
  const std::string path = directory + "/lock";
  base::UniqueFd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return base::ErrnoStatus(errno, "open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another agent uses ", directory, "; give each agent a runtime directory of its own"));
  }
  return lock;
}

std::vector<ContainerId> IdsIn(const std::string& path) {
  std::vector<ContainerId> ids;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return ids;
  while (const dirent* entry = readdir(directory)) {
    if (ContainerId(entry->d_name).Validate().ok()) ids.emplace_back(entry->d_name);
  }
  closedir(directory);
  std::sort(ids.begin(), ids.end());
  return ids;
}

absl::StatusOr<base::UniqueFd> WriteNew(const std::string& path, const std::string& head) {
  base::UniqueFd file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return base::ErrnoStatus(errno, "make", path);
  absl::Status written = base::WriteAll(file.get(), head, path);
  if (written.ok()) written = ReserveLines(file.get(), path);
  if (written.ok()) return file;
  unlink(path.c_str());
  return written;
}

}  // namespace

absl::StatusOr<StateDirectory> StateDirectory::Open(const std::string& directory) {
  RETURN_IF_ERROR(base::MakeDirectories(directory + "/containers", 0700));
  RETURN_IF_ERROR(base::MakeDirectories(directory + "/pods", 0700));
  ASSIGN_OR_RETURN(base::UniqueFd lock, LockDirectory(directory));
  return StateDirectory(directory, std::move(lock));
}

std::string StateDirectory::ContainerPath(const ContainerId& id) const {
  return absl::StrCat(directory_, "/containers/", id.text());
}

std::string StateDirectory::PodPath(const ContainerId& id) const {
  return absl::StrCat(directory_, "/pods/", id.text());
}

absl::StatusOr<base::UniqueFd> StateDirectory::Write(const ContainerId& id,
                                                     const ContainerState& state) const {
  return WriteNew(ContainerPath(id), FormatStateHead(state));
}

absl::StatusOr<ContainerState> StateDirectory::Read(const ContainerId& id) const {
  ASSIGN_OR_RETURN(const std::string contents, base::ReadFile(ContainerPath(id)));
  return ParseState(contents);
}

absl::Status StateDirectory::AppendResources(const ContainerId& id,
                                             const ContainerResources& resources) const {
  const std::string path = ContainerPath(id);
  const std::string line = FormatResources(resources);
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  RETURN_IF_ERROR(ReserveLines(file.get(), path, line.size()));
  return base::WriteAll(file.get(), line, path);
}

absl::Status StateDirectory::Append(const ContainerId& id, const std::string& line) const {
  return AppendLine(ContainerPath(id), line);
}

void StateDirectory::Remove(const ContainerId& id) const { unlink(ContainerPath(id).c_str()); }

std::vector<ContainerId> StateDirectory::Containers() const {
  return IdsIn(directory_ + "/containers");
}

absl::Status StateDirectory::WritePod(const ContainerId& id, const PodState& state) const {
  return WriteNew(PodPath(id), FormatPodHead(state)).status();
}

absl::StatusOr<PodState> StateDirectory::ReadPod(const ContainerId& id) const {
  ASSIGN_OR_RETURN(const std::string contents, base::ReadFile(PodPath(id)));
  return ParsePodState(contents);
}

absl::Status StateDirectory::AppendToPod(const ContainerId& id, const std::string& line) const {
  return AppendLine(PodPath(id), line);
}

void StateDirectory::RemovePod(const ContainerId& id) const { unlink(PodPath(id).c_str()); }

std::vector<ContainerId> StateDirectory::Pods() const { return IdsIn(directory_ + "/pods"); }

absl::Status StateDirectory::RefuseNewer() const {
  for (const ContainerId& id : Containers()) {
    const absl::Status read = Read(id).status();
    if (absl::IsFailedPrecondition(read)) return base::Annotate(read, "container " + id.text());
  }
  for (const ContainerId& id : Pods()) {
    const absl::Status read = ReadPod(id).status();
    if (absl::IsFailedPrecondition(read)) return base::Annotate(read, "pod " + id.text());
  }
  return absl::OkStatus();
}

}  // namespace tessera::agent
