// The way a service learns that it shall end: SIGTERM, SIGINT or a request of its own parts.
//
// main() makes one before any thread starts, so that every thread inherits the blocked signals, and
// waits on it once all is running. After the first signal the usual meaning comes back: a second
// Ctrl-C ends a stop that hangs. SIGPIPE is ignored from construction on.
#pragma once

#include "services/base/unique_fd.h"

namespace tessera::base {

class ShutdownSignal {
 public:
  ShutdownSignal();
  ~ShutdownSignal();

  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // Blocks until a signal (returns its number) or Request() (returns 0). One thread may wait.
  int Wait();

  // Makes Wait() return. Any thread, any number of times.
  void Request();

 private:
  UniqueFd signals_;
  UniqueFd requests_;
};

}  // namespace tessera::base
