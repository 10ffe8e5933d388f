// The middle step of the error ladder: a state that our own logic should never reach, but that
// corrupts nothing. It is counted and logged in production, and aborts in debug builds and in the
// simulator. What the network, the disk, the kernel or a user can cause is never a bug: it is an
// error with a status.
//
//   if (TESSERA_BUG_IF(task == nullptr, "update for a task that is not in the table")) return;
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace tessera::base {

// Whether a bug ends the process. The default is yes in debug builds, no otherwise; the simulator
// and tests that look for bugs say yes.
void SetBugsAreFatal(bool fatal);

// Bugs reported since the process started; exported as a metric by every service.
int64_t BugCount();

// Counts the bug, logs it (each of the first hundred, then each power of two), aborts when fatal.
void ReportBug(const char* file, int line, const std::string& message);

namespace internal {
inline bool BugIf(bool is_bug, const char* file, int line, const char* message) {
  if (__builtin_expect(is_bug, false)) ReportBug(file, line, message);
  return is_bug;
}
}  // namespace internal
}  // namespace tessera::base

#define TESSERA_BUG(message) ::tessera::base::ReportBug(__FILE__, __LINE__, (message))

// True when `condition` holds, after reporting it. `message` is a C string.
#define TESSERA_BUG_IF(condition, message) \
  ::tessera::base::internal::BugIf((condition), __FILE__, __LINE__, (message))
