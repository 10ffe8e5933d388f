#include "services/agent/launcher/init_operations.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// <sys/mount.h> and <linux/mount.h> define the same names; these two calls are all that is needed.
extern "C" int mount(const char*, const char*, const char*, unsigned long, const void*) noexcept;
extern "C" int umount2(const char*, int) noexcept;

namespace tessera::agent {
namespace {

constexpr int kDetach = 2;  // MNT_DETACH
// In the launcher's own root, see launcher_main.cc.
constexpr char kRootPlace[] = "/root";
constexpr uint64_t kTreeCopy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

int MakeParents(const char* path) {
  char prefix[4096];
  const size_t length = strlen(path);
  if (length >= sizeof(prefix)) return ENAMETOOLONG;
  memcpy(prefix, path, length + 1);
  for (size_t i = 1; i < length; ++i) {
    if (prefix[i] != '/') continue;
    prefix[i] = '\0';
    if (mkdir(prefix, 0755) != 0 && errno != EEXIST) return errno;
    prefix[i] = '/';
  }
  return 0;
}

int MakeDirectory(const char* path, mode_t mode) {
  if (mkdir(path, mode) == 0 || errno == EEXIST) return 0;
  if (errno != ENOENT) return errno;
  const int error = MakeParents(path);
  if (error != 0) return error;
  return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : errno;
}

int MakeFile(const char* path, mode_t mode) {
  constexpr int kFlags = O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  int file = open(path, kFlags, mode);
  if (file < 0 && errno == ENOENT) {
    const int error = MakeParents(path);
    if (error != 0) return error;
    file = open(path, kFlags, mode);
  }
  if (file < 0) {
    struct stat there;
    return stat(path, &there) == 0 ? 0 : errno;
  }
  close(file);
  return 0;
}

int AttachTree(uint64_t number, const char* target, const MountTrees& trees) {
  if (number >= trees.count) return EBADF;
  return syscall(SYS_move_mount, trees.files[number], "", AT_FDCWD, target,
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) == 0
             ? 0
             : errno;
}

int MakeTargetLikeTree(uint64_t number, const char* target, const MountTrees& trees) {
  if (number >= trees.count) return EBADF;
  struct stat root;
  if (fstat(trees.files[number], &root) != 0) return errno;
  return S_ISDIR(root.st_mode) ? MakeDirectory(target, 0755) : MakeFile(target, 0644);
}

int ProtectPath(const char* path) {
  const int tree = static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path, kTreeCopy));
  if (tree < 0) return errno == ENOENT ? 0 : errno;
  mount_attr attributes{};
  attributes.attr_set =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  int error = 0;
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0 ||
      syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    error = errno;
  }
  close(tree);
  return error;
}

int RefuseSymlinks(const char* path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const int file = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
  if (file < 0) return errno;
  close(file);
  return 0;
}

int EnterRoot(uint64_t flags, const MountTrees& trees) {
  if (trees.count == 0) return EBADF;
  const int root = trees.files[0];
  if (syscall(SYS_move_mount, root, "", AT_FDCWD, kRootPlace, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return errno;
  }
  if (fchdir(root) != 0) return errno;
  if ((flags & wire::kHideOldRoot) != 0) {
    if (mkdir("proc", 0555) != 0 && errno != EEXIST) return errno;
    const int error = RefuseSymlinks("proc");
    if (error != 0) return error;
    if (syscall(SYS_pivot_root, ".", "proc") != 0) return errno;
  } else {
    if (syscall(SYS_pivot_root, ".", ".") != 0) return errno;
    if (umount2(".", kDetach) != 0) return errno;
  }
  return chdir("/") == 0 ? 0 : errno;
}

int Mount(const StartOperation& o) {
  if ((o.mode & wire::kRefuseSymlinks) != 0) {
    const int error = RefuseSymlinks(o.second);
    if (error != 0) return error;
  }
  return mount(o.first, o.second, o.third, o.number, o.fourth[0] == '\0' ? nullptr : o.fourth) == 0
             ? 0
             : errno;
}

int RaiseLoopback() {
  const int socket_file = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_file < 0) return errno;
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  const int error = ioctl(socket_file, SIOCSIFFLAGS, &request) == 0 ? 0 : errno;
  close(socket_file);
  return error;
}

int RunOperation(const StartOperation& o, const MountTrees& trees) {
  switch (o.kind) {
    case wire::OperationKind::kEnterRoot:
      return EnterRoot(o.number, trees);
    case wire::OperationKind::kMount:
      return Mount(o);
    case wire::OperationKind::kAttachTree:
      return AttachTree(o.number, o.second, trees);
    case wire::OperationKind::kMakeDirectory:
      return MakeDirectory(o.second, o.mode);
    case wire::OperationKind::kRaiseLoopback:
      return RaiseLoopback();
    case wire::OperationKind::kMakeNode:
      return mknod(o.second, o.mode, o.number) == 0 || errno == EEXIST ? 0 : errno;
    case wire::OperationKind::kMakeSymlink:
      return symlink(o.first, o.second) == 0 || errno == EEXIST ? 0 : errno;
    case wire::OperationKind::kSetHostname:
      return sethostname(o.first, strlen(o.first)) == 0 ? 0 : errno;
    case wire::OperationKind::kMakeTargetLikeTree:
      return MakeTargetLikeTree(o.number, o.second, trees);
    case wire::OperationKind::kProtectPath:
      return ProtectPath(o.second);
  }
  return EINVAL;
}

void Append(char* text, size_t size, const char* more) {
  const size_t used = strlen(text);
  size_t i = 0;
  for (; more[i] != '\0' && used + i + 1 < size; ++i) text[used + i] = more[i];
  text[used + i] = '\0';
}

}  // namespace

int RunOperations(const StartOperation* operations, uint32_t count, const MountTrees& trees,
                  uint32_t* failed) {
  int error = 0;
  for (uint32_t i = 0; i < count && error == 0; ++i) {
    error = RunOperation(operations[i], trees);
    *failed = i;
  }
  return error;
}

void DescribeOperation(const StartOperation& o, char* text, size_t size) {
  text[0] = '\0';
  switch (o.kind) {
    case wire::OperationKind::kEnterRoot:
      Append(text, size, "enter the root");
      return;
    case wire::OperationKind::kMount:
      Append(text, size, "mount ");
      Append(text, size, o.third[0] != '\0' ? o.third : o.first);
      Append(text, size, " on ");
      break;
    case wire::OperationKind::kAttachTree:
      Append(text, size, "bind on ");
      break;
    case wire::OperationKind::kMakeTargetLikeTree:
    case wire::OperationKind::kMakeDirectory:
      Append(text, size, "mkdir ");
      break;
    case wire::OperationKind::kProtectPath:
      Append(text, size, "protect ");
      break;
    case wire::OperationKind::kRaiseLoopback:
      Append(text, size, "bring the loopback interface up");
      return;
    case wire::OperationKind::kMakeNode:
      Append(text, size, "mknod ");
      break;
    case wire::OperationKind::kMakeSymlink:
      Append(text, size, "symlink ");
      break;
    case wire::OperationKind::kSetHostname:
      Append(text, size, "sethostname ");
      Append(text, size, o.first);
      return;
  }
  Append(text, size, o.second);
}

}  // namespace tessera::agent
