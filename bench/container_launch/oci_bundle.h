// The same container for OCI runtimes as the benchmark gives to ours: busybox's /bin/true, five
// namespaces, the same mounts and limits.
#pragma once

#include <cstdint>
#include <string>

namespace tessera::bench {

struct ContainerShape {
  int64_t cpu_shares = 102;
  int64_t memory_bytes = int64_t{64} << 20;
  int64_t pids = 100;
};

// Makes `<directory>/rootfs` with busybox and /bin/true. False when busybox is not installed.
bool MakeRootfs(const std::string& directory);

// Writes `<directory>/config.json` for that root, with `<directory>/sandbox` bound into it.
void WriteBundle(const std::string& directory, const ContainerShape& shape);

}  // namespace tessera::bench
