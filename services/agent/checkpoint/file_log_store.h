// The agent's log in one file of a local disk.
//
// The file is longer than what was written to it: zeros follow, written and synced ahead, so that
// later writes go into blocks that the file has already and cannot fail for want of space. For the
// same reason a second file, `<path>.spare`, waits for Replace, which fills it and lets the two
// change places: the old log's blocks become the next spare. (On file systems that copy on write,
// such as btrfs, the space ahead promises nothing, and a full disk fails writes.)
//
// Sync is fdatasync.
#pragma once

#include <memory>
#include <string>

#include "services/agent/checkpoint/log_store.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class FileLogStore final : public LogStore {
 public:
  // Space is got in pieces of this size, and at least one is kept ahead.
  static constexpr uint64_t kSegment = uint64_t{1} << 20;

  // Opens or makes `path`; its folder must exist. Statuses as those of services/base/file_io.h.
  // Without `exchange` as on a file system where two files cannot change places.
  static absl::StatusOr<std::unique_ptr<FileLogStore>> Open(const std::string& path,
                                                            bool exchange = true);

  std::string name() const override { return path_; }
  absl::StatusOr<std::string> Read() override;
  absl::Status Write(uint64_t offset, std::string_view bytes) override;
  absl::Status Sync() override;
  absl::Status Truncate(uint64_t size) override;
  absl::Status Replace(std::string_view bytes) override;
  absl::Status KeepSpace(uint64_t end) override;

 private:
  // A file with space in it. Bytes from `zero_from` to `size` are zeros.
  struct Region {
    base::UniqueFd fd;
    uint64_t size = 0;
    uint64_t zero_from = 0;
  };

  FileLogStore(std::string path, bool exchange, Region log, Region spare)
      : path_(std::move(path)),
        exchange_(exchange),
        log_(std::move(log)),
        spare_(std::move(spare)) {}

  static absl::StatusOr<Region> OpenRegion(const std::string& path);
  std::string SparePath() const { return path_ + ".spare"; }
  // Opens the spare if it became the log.
  absl::Status HaveSpare();
  // Makes the region `size` bytes long.
  absl::Status Extend(Region* region, uint64_t size);
  absl::Status Put(Region* region, uint64_t offset, std::string_view bytes);
  // Zeros from `from` on.
  absl::Status Clear(Region* region, uint64_t from);

  const std::string path_;
  const bool exchange_;
  Region log_;
  // Without a file from when it became the log until HaveSpare.
  Region spare_;
};

}  // namespace tessera::agent
