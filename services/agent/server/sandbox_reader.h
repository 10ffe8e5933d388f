// Reads files of sandboxes, which hold what tasks put there: links that lead out, pipes, devices,
// endless folders. Nothing outside of the sandbox is ever opened, and nothing that blocks.
//
// Threads: any. Blocking only as reading a file is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/core/agent_view.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

// Where the sandbox of a container, or of a task's newest container, is. NOT_FOUND with
// UNKNOWN_CONTAINER or UNKNOWN_TASK; INVALID_ARGUMENT for ids that cannot be.
absl::StatusOr<std::string> FindSandbox(const AgentView& view, const std::string& sandbox_root,
                                        const std::string& container_id,
                                        const std::string& framework_id,
                                        const std::string& task_id);

// Opens a regular file below the sandbox. INVALID_ARGUMENT when the path leads out of it or is no
// regular file; NOT_FOUND.
absl::StatusOr<base::UniqueFd> OpenSandboxFile(const std::string& sandbox, const std::string& path);

struct SandboxEntry {
  std::string path;  // relative to the sandbox
  uint64_t size = 0;
  uint32_t mode = 0;
  std::string user;
  std::string group;
  absl::Time modified;
  uint32_t links = 0;
};

// A folder's entries, by name, at most `limit` of those after `after`. A folder with more than
// 100,000 entries is refused (RESOURCE_EXHAUSTED). `path` empty: the sandbox itself.
absl::StatusOr<std::vector<SandboxEntry>> ListSandboxFolder(const std::string& sandbox,
                                                            const std::string& path,
                                                            const std::string& after, size_t limit);

}  // namespace tessera::agent
