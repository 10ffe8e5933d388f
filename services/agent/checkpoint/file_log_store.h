// The agent's log in one file of a local disk.
//
// Sync is fdatasync; Replace writes a file beside it, syncs, renames and syncs the folder.
#pragma once

#include <memory>
#include <string>

#include "services/agent/checkpoint/log_store.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class FileLogStore final : public LogStore {
 public:
  // Opens or makes `path`; its folder must exist. Statuses as those of services/base/file_io.h.
  static absl::StatusOr<std::unique_ptr<FileLogStore>> Open(const std::string& path);

  std::string name() const override { return path_; }
  absl::StatusOr<std::string> Read() override;
  absl::Status Append(std::string_view bytes) override;
  absl::Status Sync() override;
  absl::Status Truncate(uint64_t size) override;
  absl::Status Replace(std::string_view bytes) override;

 private:
  FileLogStore(std::string path, base::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  const std::string path_;
  base::UniqueFd fd_;  // opened for appending
};

}  // namespace tessera::agent
