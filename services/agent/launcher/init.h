// A container's init: process 1 of its pid namespace, a clone of the launcher that never returns.
//
// It joins its cgroups and namespaces, waits for the start request, carries the operations out,
// starts the command, and from then on reaps every process, forwards signals and, when the command
// ends, appends the exit record to the state file that it has held open since before its mounts
// changed. Its own end takes the rest of the pid namespace with it.
//
// A keeper has no command: it is there for its namespaces, which others join, and reaps what falls
// to it, until it is killed.
//
// The state file gets these lines, in room that was kept for them. A command whose start cannot be
// written down is ended at once, and the launch fails.
//   started <nanoseconds of the wall clock>
//   exited <wait status> <nanoseconds of the wall clock> <user us> <system us> <maximum rss KiB>
//
// Signals: TERM, INT, HUP and QUIT go to every process of the container, others to the command.
#pragma once

#include <stdint.h>

#include "services/agent/launcher/wire.h"

namespace tessera::agent {

struct InitConfig {
  uint32_t made = 0;                     // wire::NamespaceBit of its new namespaces
  uint32_t joined = 0;                   // and of those that it joins
  int join[wire::kNamespaceKinds] = {};  // descriptors of these, in the order of the bits
  const char** tasks = nullptr;          // v1 `tasks` files to join
  uint32_t task_count = 0;
  int host_root = -1;  // the host's root directory, which is not the launcher's
  int control = -1;    // socket to the agent
};

// All signals must be blocked. When the agent goes before it has sent a start request, so does
// init.
[[noreturn]] void RunInit(const InitConfig& config);

}  // namespace tessera::agent
