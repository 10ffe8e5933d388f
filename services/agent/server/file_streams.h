// Sends files to readers and goes on as they grow: all of them by one thread, each piece by piece
// as its reader takes it, so that a slow reader costs a file descriptor and one piece.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/agent/v1/agent_service.pb.h"
#include "services/base/unique_fd.h"
#include "services/rpc/stream.h"

namespace tessera::agent {

class FileStreams {
 public:
  struct Reading {
    base::UniqueFd file;
    uint64_t offset = 0;
    // Bytes still wanted.
    uint64_t wanted = ~uint64_t{0};
    bool follow = false;
    // Asked in a follow at the end of the file: true when nothing will be added any more.
    std::function<bool()> ended;
    rpc::StreamPtr<v1::ReadFileResponse> stream;
  };

  explicit FileStreams(size_t streams_max = 512);
  // Ends every stream with UNAVAILABLE.
  ~FileStreams();
  FileStreams(const FileStreams&) = delete;
  FileStreams& operator=(const FileStreams&) = delete;

  // Begins to send. RESOURCE_EXHAUSTED when too many are read already. The stream is closed when
  // all is sent, and let go when it has ended.
  absl::Status Add(Reading reading);

 private:
  enum class Progress { kMore, kWaiting, kDone };

  void Run();
  static Progress Advance(Reading& reading);
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !added_.empty(); }

  const size_t streams_max_;
  absl::Mutex mu_;
  std::list<Reading> added_ ABSL_GUARDED_BY(mu_);
  size_t open_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::agent
