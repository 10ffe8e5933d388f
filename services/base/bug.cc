#include "services/base/bug.h"

#include <atomic>
#include <cstdlib>

#include <glog/logging.h>

namespace tessera::base {
namespace {

#ifdef NDEBUG
std::atomic<bool> bugs_are_fatal{false};
#else
std::atomic<bool> bugs_are_fatal{true};
#endif
std::atomic<int64_t> bug_count{0};

constexpr int64_t kLoggedAlways = 100;

}  // namespace

void SetBugsAreFatal(bool fatal) { bugs_are_fatal.store(fatal); }

int64_t BugCount() { return bug_count.load(); }

void ReportBug(const char* file, int line, const std::string& message) {
  const int64_t count = bug_count.fetch_add(1) + 1;
  const bool fatal = bugs_are_fatal.load();
  if (fatal || count <= kLoggedAlways || (count & (count - 1)) == 0) {
    google::LogMessage(file, line, google::GLOG_ERROR).stream()
        << "bug " << count << ": " << message;
  }
  if (fatal) std::abort();
}

}  // namespace tessera::base
