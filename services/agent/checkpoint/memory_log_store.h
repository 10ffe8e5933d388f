// A log store in memory where only synced bytes survive Crash(). For tests and the simulator.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "services/agent/checkpoint/log_store.h"

namespace tessera::agent {

class MemoryLogStore : public LogStore {
 public:
  std::string name() const override { return "(in memory)"; }
  absl::StatusOr<std::string> Read() override { return bytes_; }

  absl::Status Write(uint64_t offset, std::string_view bytes) override {
    bytes_.resize(offset);
    if (!failure_.ok()) {
      // A full disk takes some of it.
      bytes_.append(bytes.substr(0, bytes.size() / 2));
      return failure_;
    }
    bytes_.append(bytes);
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (!failure_.ok()) return failure_;
    synced_ = bytes_.size();
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size) override {
    if (!failure_.ok()) return failure_;
    bytes_.resize(std::min<size_t>(size, bytes_.size()));
    synced_ = bytes_.size();
    return absl::OkStatus();
  }

  absl::Status Replace(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    bytes_ = std::string(bytes);
    synced_ = bytes_.size();
    return absl::OkStatus();
  }

  absl::Status KeepSpace(uint64_t) override { return failure_; }

  // The machine stops. `keep` of the bytes that were not synced happened to reach the disk.
  void Crash(size_t keep = 0) { bytes_.resize(std::min(bytes_.size(), synced_ + keep)); }

  // Every write fails like this from now on; OK: no longer.
  void FailWith(absl::Status failure) { failure_ = std::move(failure); }

  // The disk's contents, to damage them.
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
  size_t synced_ = 0;
  absl::Status failure_;
};

}  // namespace tessera::agent
