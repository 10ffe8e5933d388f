#include "services/registry/store/memory_store.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/registry/store/store_format.h"

namespace tessera::registry {

void MemoryDisk::Crash(size_t kept) {
  log.resize(std::min(log.size(), synced + kept));
  synced = log.size();
}

absl::StatusOr<StoreContents> MemoryStore::Recover() {
  std::map<std::string, Record> records;
  StoreContents contents;
  for (size_t i = 0; i < disk_->log.size(); ++i) {
    const std::optional<StoreBatch> batch = DecodeBatch(disk_->log[i]);
    if (!batch.has_value()) {
      return absl::DataLossError(absl::StrCat("entry ", i, " of the log in memory is corrupt"));
    }
    for (const auto& commit : batch->commits) {
      contents.version = commit->version;
      for (const Write& write : commit->writes) {
        if (write.value == nullptr) {
          records.erase(write.key);
        } else {
          records[write.key] = {write.key, write.value, commit->version};
        }
      }
    }
    if (batch->lease != nullptr) contents.lease = *batch->lease;
  }
  for (auto& [key, record] : records) contents.records.push_back(std::move(record));
  return contents;
}

absl::Status MemoryStore::Append(const StoreBatch& batch) {
  if (!disk_->failure.ok()) return disk_->failure;
  disk_->log.push_back(EncodeBatch(batch));
  return absl::OkStatus();
}

absl::Status MemoryStore::Sync() {
  if (!disk_->failure.ok()) return disk_->failure;
  disk_->synced = disk_->log.size();
  return absl::OkStatus();
}

}  // namespace tessera::registry
