// Where a binary's log goes: glog lines on stderr, which systemd's journal and the local cluster
// collect. main() calls this once, before any thread starts.
#pragma once

namespace tessera::base {

// Reads the flags --log_level and --log_verbosity; call it after they are parsed.
void StartLogging(const char* program);

}  // namespace tessera::base
