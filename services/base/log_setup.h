// Where a binary's log goes: glog lines on stderr, which systemd's journal and the local cluster
// collect. main() calls this once, before any thread starts.
#pragma once

#include "services/base/note.h"

namespace tessera::base {

// Reads the flags --log_level and --log_verbosity; call it after they are parsed.
void StartLogging(const char* program);

// Writes what a core has to say to the log. Any thread.
void Log(const Note& note);

}  // namespace tessera::base
