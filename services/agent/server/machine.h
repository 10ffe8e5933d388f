// What this machine has, for an operator who does not say it: cpus, memory, disk, name, boot.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "services/model/resources.h"

namespace tessera::agent {

struct MachineFacts {
  int64_t cpus = 1;
  int64_t memory_bytes = 0;
  // Of the file system that holds the work directory.
  int64_t disk_bytes = 0;
};

MachineFacts ReadMachineFacts(const std::string& work_dir);

// Adds what `stated` does not name: cpus; mem: all but 1 GiB of at least 2 GiB, else half; disk:
// all but 5 GiB of at least 10 GiB, else half; ports 31000-32000. An explicit `gpus` or any other
// name stays as it is. Pure.
model::Resources CompleteResources(const model::Resources& stated, const std::string& text,
                                   const MachineFacts& facts);

// Changes with every boot. Empty when the kernel does not tell.
std::string ReadBootId();

absl::StatusOr<std::string> ReadHostName();

}  // namespace tessera::agent
