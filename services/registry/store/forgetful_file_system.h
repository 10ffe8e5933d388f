// A file system of which a crash of the machine keeps what was synced, and of the rest as much as
// the test says: what the kernel's cache hides from tests that only end the process.
//
// It stands on the machine's own, writes through, and keeps account; Crash() then cuts each file
// back. (Names of files survive at once: what RocksDB does about folders is not looked at.) It can
// also fail the next write to a log, before or after its bytes are in the file.
//
// Threads: any, as RocksDB's own.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"

namespace tessera::registry {

class ForgetfulFileSystem : public rocksdb::FileSystemWrapper {
 public:
  ForgetfulFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

  const char* Name() const override { return "ForgetfulFileSystem"; }

  // No database is open. `keep(n)` says how many of the n bytes of a file's end that were not
  // synced have reached the disk nevertheless. Returns how many were lost, of all files.
  uint64_t Crash(const std::function<uint64_t(uint64_t)>& keep) {
    absl::MutexLock lock(&mu_);
    uint64_t lost = 0;
    for (auto& [name, account] : files_) {
      if (account->size <= account->synced) continue;
      account->size = account->synced + keep(account->size - account->synced);
      const uint64_t before = std::filesystem::file_size(name);
      if (before > account->size) {
        lost += before - account->size;
        std::filesystem::resize_file(name, account->size);
      }
      account->synced = account->size;
    }
    return lost;
  }

  // The next append to a write-ahead log writes nothing, or the next sync of one does not tell that
  // it was done; both fail.
  enum class Fault { kAppend, kSync };
  void FailNext(Fault fault) {
    absl::MutexLock lock(&mu_);
    fault_ = fault;
  }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    return Follow(name, target()->NewWritableFile(name, options, file, context), file);
  }
  rocksdb::IOStatus ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* context) override {
    return Follow(name, target()->ReopenWritableFile(name, options, file, context), file);
  }
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* context) override {
    return Follow(name, target()->ReuseWritableFile(name, old_name, options, file, context), file);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    const rocksdb::IOStatus status = target()->RenameFile(from, to, options, context);
    absl::MutexLock lock(&mu_);
    if (auto found = files_.find(from); status.ok() && found != files_.end()) {
      files_[to] = found->second;
      files_.erase(from);
    }
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    const rocksdb::IOStatus status = target()->DeleteFile(name, options, context);
    absl::MutexLock lock(&mu_);
    if (status.ok()) files_.erase(name);
    return status;
  }

 private:
  struct Account {
    uint64_t size = 0;
    uint64_t synced = 0;
    bool is_log = false;
  };

  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, std::shared_ptr<Account> account,
         ForgetfulFileSystem* owner)
        : FSWritableFileOwnerWrapper(std::move(file)),
          account_(std::move(account)),
          owner_(owner) {}

    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override {
      if (!Grow(data.size())) return Failed();
      return FSWritableFileOwnerWrapper::Append(data, options, context);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo& verification,
                             rocksdb::IODebugContext* context) override {
      if (!Grow(data.size())) return Failed();
      return FSWritableFileOwnerWrapper::Append(data, options, verification, context);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
      const rocksdb::IOStatus status = Synced(FSWritableFileOwnerWrapper::Sync(options, context));
      return owner_->Fails(Fault::kSync, *account_) ? Failed() : status;
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* context) override {
      const rocksdb::IOStatus status = Synced(FSWritableFileOwnerWrapper::Fsync(options, context));
      return owner_->Fails(Fault::kSync, *account_) ? Failed() : status;
    }

   private:
    // False: the append is to fail.
    bool Grow(uint64_t bytes) {
      if (owner_->Fails(Fault::kAppend, *account_)) return false;
      absl::MutexLock lock(&owner_->mu_);
      account_->size += bytes;
      return true;
    }
    static rocksdb::IOStatus Failed() { return rocksdb::IOStatus::IOError("made to fail"); }
    rocksdb::IOStatus Synced(rocksdb::IOStatus status) {
      absl::MutexLock lock(&owner_->mu_);
      if (status.ok()) account_->synced = account_->size;
      return status;
    }

    const std::shared_ptr<Account> account_;
    ForgetfulFileSystem* const owner_;
  };

  // Whether this is the write that is to fail.
  bool Fails(Fault fault, const Account& account) {
    absl::MutexLock lock(&mu_);
    if (!account.is_log || fault_ != fault) return false;
    fault_.reset();
    return true;
  }

  rocksdb::IOStatus Follow(const std::string& name, rocksdb::IOStatus status,
                           std::unique_ptr<rocksdb::FSWritableFile>* file) {
    if (!status.ok()) return status;
    auto account = std::make_shared<Account>();
    // What was there before is as durable as it was.
    account->size = account->synced = std::filesystem::file_size(name);
    account->is_log = std::filesystem::path(name).extension() == ".log";
    absl::MutexLock lock(&mu_);
    files_[name] = account;
    *file = std::make_unique<File>(std::move(*file), std::move(account), this);
    return status;
  }

  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<Account>> files_;
  std::optional<Fault> fault_;
};

}  // namespace tessera::registry
