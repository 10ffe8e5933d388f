// Reads files of a task's sandbox from its agent, over restarts of the agent.
//
// Threads: one reader per thread; Cancel from any.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tessera::agent::v1 {
class ReadFileResponse;
}

namespace tessera::cli {

struct SandboxFile {
  // AgentService of the agent.
  std::string agent_address;
  std::string framework_id;
  std::string task_id;
  // `stdout`, `stderr` or another path below the sandbox.
  std::string path;
};

class SandboxReader {
 public:
  SandboxReader();
  ~SandboxReader();

  // Hands the file's bytes from `offset` on to `take`, in order, each once; with `follow` also what
  // is written later, until the task has ended. A negative offset counts from the end. An agent
  // that does not answer is tried again for `patience` after its last answer; then UNAVAILABLE.
  // CANCELLED after Cancel. NOT_FOUND when agent, task or file are not known.
  absl::Status Read(const SandboxFile& file, int64_t offset, bool follow, absl::Duration patience,
                    const std::function<void(const std::string& bytes)>& take);

  // The file's size in bytes, now. Errors and patience as of Read.
  absl::StatusOr<int64_t> Size(const SandboxFile& file, absl::Duration patience);

  // Ends Read early.
  void Cancel();

 private:
  absl::Status Receive(const SandboxFile& file, int64_t offset, bool follow,
                       absl::Duration patience,
                       const std::function<void(const agent::v1::ReadFileResponse&)>& take);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::cli
