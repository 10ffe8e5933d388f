#include "services/base/log_setup.h"

#include <cstdint>
#include <string>

#include <glog/logging.h>

#include "absl/flags/flag.h"

ABSL_FLAG(int32_t, log_level, 0,
          "least severe line that is logged: 0 information, 1 warnings, 2 errors");
ABSL_FLAG(int32_t, log_verbosity, 0, "detail of the log, 0 (for operators) to 3 (every message)");

namespace tessera::base {

void StartLogging(const char* program) {
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = absl::GetFlag(FLAGS_log_level);
  FLAGS_v = absl::GetFlag(FLAGS_log_verbosity);
  google::InitGoogleLogging(program);
}

void Log(const Note& note) {
  switch (note.severity) {
    case Severity::kDetail:
      VLOG(1) << note.text;
      return;
    case Severity::kInfo:
      LOG(INFO) << note.text;
      return;
    case Severity::kWarning:
      LOG(WARNING) << note.text;
      return;
    case Severity::kError:
      LOG(ERROR) << note.text;
      return;
  }
}

}  // namespace tessera::base
