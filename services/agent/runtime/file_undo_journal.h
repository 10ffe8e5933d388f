// An undo journal in a file of its own. docs/formats.md has the bytes.
//
// Appends are synced, one line each; a line that a crash has cut short is the last one and counts
// as never written. What is forgotten is written out of the file when the file is opened and when
// it has grown too much. Bounded: kMaximumRecords.
//
// Threads: any; one process has it open (the runtime directory's lock sees to that).
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/container/undo_journal.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class FileUndoJournal : public UndoJournal {
 public:
  static constexpr size_t kMaximumRecords = 1'000'000;

  // DATA_LOSS when the file is damaged before its last line; FAILED_PRECONDITION when a newer agent
  // has written it; the file system's error otherwise.
  static absl::StatusOr<std::unique_ptr<FileUndoJournal>> Open(std::string path);

  // RESOURCE_EXHAUSTED: the disk is full, or there are too many records.
  absl::Status Append(const std::vector<UndoRecord>& records) override;
  absl::Status Forget(const ContainerId& owner) override;
  std::vector<UndoRecord> RecordsOf(const ContainerId& owner) const override;
  std::vector<ContainerId> Owners() const override;

 private:
  explicit FileUndoJournal(std::string path) : path_(std::move(path)) {}

  absl::Status Read(const std::string& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False when the line is none.
  bool Replay(std::string_view line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a file that has been read, `bytes` long.
  absl::Status OpenAsItIs(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A file with what is still kept, and nothing else.
  absl::Status Rewrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WriteLine(const std::string& line, bool sync) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  mutable absl::Mutex mutex_;
  base::UniqueFd file_ ABSL_GUARDED_BY(mutex_);
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes that are whole lines
  size_t rewritten_size_ ABSL_GUARDED_BY(mutex_) = 0;
  bool forgotten_ ABSL_GUARDED_BY(mutex_) = false;  // the file holds what is not kept any more
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<ContainerId, std::vector<std::string>> undos_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::agent
