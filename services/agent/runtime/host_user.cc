#include "services/agent/runtime/host_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tessera::agent {
namespace {

constexpr size_t kMaximumEntryBytes = 1 << 20;

// Calls `look_up(passwd*, buffer, size, passwd**)` with a buffer that is large enough.
template <typename LookUp>
int WithBuffer(std::vector<char>* buffer, passwd* entry, passwd** found, LookUp look_up) {
  for (buffer->resize(4096);; buffer->resize(buffer->size() * 4)) {
    const int error = look_up(entry, buffer->data(), buffer->size(), found);
    if (error != ERANGE || buffer->size() >= kMaximumEntryBytes) return error;
  }
}

}  // namespace

absl::StatusOr<HostUser> ResolveHostUser(const std::string& name) {
  HostUser user;
  if (name.empty()) {
    user.uid = geteuid();
    user.gid = getegid();
    return user;
  }
  std::vector<char> buffer;
  passwd entry;
  passwd* found = nullptr;
  int error = WithBuffer(&buffer, &entry, &found, [&name](auto... arguments) {
    return getpwnam_r(name.c_str(), arguments...);
  });
  uid_t number = 0;
  if (found == nullptr && absl::SimpleAtoi(name, &number)) {
    error = WithBuffer(&buffer, &entry, &found,
                       [number](auto... arguments) { return getpwuid_r(number, arguments...); });
  }
  if (found == nullptr) {
    // glibc reports a missing user by any of these.
    const bool missing = error == 0 || error == ENOENT || error == ESRCH || error == EBADF;
    if (missing) return absl::NotFoundError(absl::StrCat("user \"", name, "\" not found"));
    return absl::InternalError(
        absl::StrCat("cannot look user \"", name, "\" up: ", strerror(error)));
  }
  user.name = found->pw_name;
  user.uid = found->pw_uid;
  user.gid = found->pw_gid;
  user.switches = user.uid != geteuid() || user.gid != getegid();
  if (!user.switches) return user;
  int count = 64;
  user.groups.resize(count);
  while (getgrouplist(found->pw_name, user.gid, user.groups.data(), &count) < 0) {
    user.groups.resize(count);
  }
  user.groups.resize(count);
  return user;
}

}  // namespace tessera::agent
