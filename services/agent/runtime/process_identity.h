// What tells one process of this machine from all others, also after its pid was reused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "services/agent/container/container_runtime.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

// Random, new with every boot. Empty when the kernel does not say.
std::string BootId();

// Field 22 of /proc/<pid>/stat. NOT_FOUND when there is no such process.
absl::StatusOr<uint64_t> StartTicks(pid_t pid);

// Field 22 of a line of that file. DATA_LOSS when it has none. Pure: a process's name may hold
// spaces and brackets.
absl::StatusOr<uint64_t> ParseStartTicks(const std::string& stat);

// A pidfd of the very process. NOT_FOUND when it is gone, or its pid belongs to another one.
absl::StatusOr<base::UniqueFd> OpenProcess(const ContainerIdentity& identity,
                                           const std::string& boot_id);

// Keeps the process's mount namespace alive while open. Invalid when the process is gone.
base::UniqueFd OpenMountNamespace(pid_t pid);

// True when the process has ended within `timeout_milliseconds`.
bool WaitForEnd(int pidfd, int timeout_milliseconds);

// pidfd_send_signal. Returns 0 or the errno.
int SendSignal(int pidfd, int signal_number);

}  // namespace tessera::agent
