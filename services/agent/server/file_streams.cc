#include "services/agent/server/file_streams.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "services/base/file_io.h"
#include "services/rpc/error.h"

namespace tessera::agent {
namespace {

constexpr size_t kPiece = 64 << 10;
// Pieces that may wait for a reader.
constexpr size_t kAhead = 4;
// How soon growth and slow readers are looked at again.
constexpr absl::Duration kPoll = absl::Milliseconds(50);

}  // namespace

FileStreams::FileStreams(size_t streams_max)
    : streams_max_(streams_max), thread_([this] { Run(); }) {}

FileStreams::~FileStreams() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

absl::Status FileStreams::Add(Reading reading) {
  absl::MutexLock lock(&mu_);
  if (open_ >= streams_max_) return rpc::Overloaded("files being read");
  ++open_;
  added_.push_back(std::move(reading));
  return absl::OkStatus();
}

void FileStreams::Run() {
  pthread_setname_np(pthread_self(), "agent-files");
  std::list<Reading> readings;
  bool more = false;
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (!more) {
        if (readings.empty()) {
          mu_.Await(absl::Condition(this, &FileStreams::HasNews));
        } else {
          mu_.AwaitWithTimeout(absl::Condition(this, &FileStreams::HasNews), kPoll);
        }
      }
      readings.splice(readings.end(), added_);
      if (stopping_) break;
    }
    more = false;
    size_t done = 0;
    for (auto it = readings.begin(); it != readings.end();) {
      const Progress progress = Advance(*it);
      more = more || progress == Progress::kMore;
      if (progress == Progress::kDone) {
        it = readings.erase(it);
        ++done;
      } else {
        ++it;
      }
    }
    absl::MutexLock lock(&mu_);
    open_ -= done;
  }
  for (Reading& reading : readings) {
    reading.stream->Cancel(absl::UnavailableError("the agent stops"));
  }
}

// Sends at most one piece.
FileStreams::Progress FileStreams::Advance(Reading& reading) {
  if (reading.stream->closed()) return Progress::kDone;
  if (reading.stream->queued() >= kAhead) return Progress::kWaiting;
  // Asked before reading: what was written before the end is then seen.
  const bool ended = !reading.follow || reading.ended();
  std::string piece(std::min<uint64_t>(kPiece, reading.wanted), '\0');
  const ssize_t got = piece.empty() ? 0
                                    : ::pread(reading.file.get(), piece.data(), piece.size(),
                                              static_cast<off_t>(reading.offset));
  if (got < 0) {
    if (errno == EINTR) return Progress::kMore;
    reading.stream->Close(base::ErrnoStatus(errno, "cannot read", "the file"));
    return Progress::kDone;
  }
  if (got > 0) {
    piece.resize(static_cast<size_t>(got));
    struct stat facts {};
    ::fstat(reading.file.get(), &facts);
    v1::ReadFileResponse response;
    response.set_offset(reading.offset);
    response.set_file_size(static_cast<uint64_t>(facts.st_size));
    response.set_data(std::move(piece));
    reading.offset += static_cast<uint64_t>(got);
    reading.wanted -= static_cast<uint64_t>(got);
    if (!reading.stream->Send(std::move(response))) return Progress::kDone;
    if (reading.wanted > 0) return Progress::kMore;
  }
  if (reading.wanted > 0 && !ended) return Progress::kWaiting;
  reading.stream->Close(absl::OkStatus());
  return Progress::kDone;
}

}  // namespace tessera::agent
