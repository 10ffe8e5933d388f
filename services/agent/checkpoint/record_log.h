// The agent's log: records in frames that prove their own integrity.
//
//   file  = "TSRALOG2" frame* zero*           the zeros are space kept ahead (log_store.h)
//   frame = "TLF1" length:u32le crc32c(payload):u32le payload
//   payload = (length:varint record)*         the records of one Append: all or none of them count
//
// The 2 is the number of the format (docs/formats.md). Number 1 was written by agents of 0.1, which
// named tasks by ids only: what they tell cannot be told here. Both an older and a newer one are
// refused, and the file is left as it is.
//
// Each frame is synced before the next is begun, so a crash can tear the last one only. A last
// frame that is not whole is cut off: nobody was told that it is durable. Anything else that does
// not fit is damage and refused: what follows it may be what containers and frameworks depend on.
//
// Threads: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/checkpoint/log_store.h"
#include "services/agent/checkpoint/record.pb.h"

namespace tessera::agent {

class RecordLog {
 public:
  // `store` must outlive the log.
  explicit RecordLog(LogStore* store) : store_(store) {}

  // Call once, first. The records in order. DATA_LOSS when the log is damaged, FAILED_PRECONDITION
  // when it is no log or of another format; each message says where and what to do.
  absl::StatusOr<std::vector<checkpoint::Record>> Recover();

  // Adds the records, durably. After a failure nothing of them counts, and it may be repeated.
  absl::Status Append(const std::vector<checkpoint::Record>& records);

  // Makes these all there is, durably. After a failure the old ones are still there.
  absl::Status Replace(const std::vector<checkpoint::Record>& records);

  // Gets space ahead for what is still to be written. When the disk has none, what is there serves
  // some appends; to ask again later is up to the caller.
  absl::Status KeepSpace();

  // Bytes that count, without the space ahead.
  uint64_t size() const { return size_; }
  // Bytes of a torn frame that Recover cut off.
  uint64_t torn_bytes() const { return torn_bytes_; }

 private:
  absl::Status OtherFormat(char format) const;
  absl::Status Damaged(uint64_t offset, const std::string& what) const;

  LogStore* const store_;
  // Bytes that count. More may be in the store after a failed Append.
  uint64_t size_ = 0;
  bool dirty_ = false;
  uint64_t torn_bytes_ = 0;
};

}  // namespace tessera::agent
