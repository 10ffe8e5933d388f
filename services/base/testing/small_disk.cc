#include "services/base/testing/small_disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "services/base/unique_fd.h"

namespace tessera::base {
namespace {

bool Run(const std::string& command) {
  return ::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

}  // namespace

SmallDisk::SmallDisk(const std::string& mount_point, int mebibytes) : mount_point_(mount_point) {
  std::string pattern = "/tmp/tessera-small-disk-XXXXXX";
  const UniqueFd image(::mkstemp(pattern.data()));
  image_ = pattern;
  if (!image.valid() || ::ftruncate(image.get(), int64_t{mebibytes} << 20) != 0) {
    why_not_ = "no file for a disk can be made in /tmp";
  } else if (!Run(absl::StrCat("PATH=/usr/sbin:/sbin:$PATH mkfs.ext4 -q -F -b 1024 -m 0 ",
                               image_))) {
    why_not_ = "mkfs.ext4 does not work here";
  } else if (!Run(absl::StrCat("PATH=/usr/sbin:/sbin:/usr/bin:/bin mount -o loop ", image_, " ",
                               mount_point_))) {
    why_not_ = "no loop device can be mounted here";
  }
}

SmallDisk::~SmallDisk() {
  if (why_not_.empty()) ::umount2(mount_point_.c_str(), MNT_DETACH);
  ::unlink(image_.c_str());
}

bool SmallDisk::Fill() {
  const UniqueFd ballast(
      ::open((mount_point_ + "/ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string bytes(64 << 10, 'x');
  // Blocks that are on their way to being free come back late: as long as anything fits.
  for (size_t piece = bytes.size(); piece > 0;) {
    if (::write(ballast.get(), bytes.data(), piece) <= 0) piece /= 2;
  }
  ::fsync(ballast.get());
  return FreeBytes() == 0;
}

void SmallDisk::Free() {
  ::unlink((mount_point_ + "/ballast").c_str());
  const UniqueFd folder(::open(mount_point_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ::syncfs(folder.get());
}

uint64_t SmallDisk::FreeBytes() const {
  struct statvfs found {};
  if (::statvfs(mount_point_.c_str(), &found) != 0) return ~uint64_t{0};
  return found.f_bavail * found.f_frsize;
}

}  // namespace tessera::base
