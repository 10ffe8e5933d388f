// Files as wholes: read completely, replaced atomically and durably. Blocking; for the shells of
// services and for tools, never for cores.
//
// Failures carry the path and the system's words: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED
// (disk full, quota, too many files), ALREADY_EXISTS, FAILED_PRECONDITION, INTERNAL (other errors).
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/base/bytes.h"

namespace tessera::base {

// "<what> <path>: <words for errno>" with the code that fits the error number.
absl::Status ErrnoStatus(int error_number, std::string_view what, std::string_view path);

// Everything in the file. RESOURCE_EXHAUSTED when it holds more than `limit`. Works on /proc files,
// whose size is not known before.
absl::StatusOr<std::string> ReadFile(const std::string& path, Bytes limit = MiB(64));

// Replaces or makes the file so that a reader, and a machine that loses power, sees all of the old
// or all of the new contents: a temporary file beside it is written, synced, renamed, and the
// folder synced. May be repeated.
absl::Status WriteFileDurably(const std::string& path, std::string_view contents,
                              mode_t mode = 0644);

// Writes all of `data` at the descriptor's position, over short writes and EINTR.
// `path` is for the error's text.
absl::Status WriteAll(int fd, std::string_view data, std::string_view path);

// Makes a folder's entries (files made, renamed, removed in it) survive a loss of power.
absl::Status SyncDirectory(const std::string& path);

// Makes the folder and its parents. OK when it is there. FAILED_PRECONDITION when a part of the
// path is not a folder.
absl::Status MakeDirectories(const std::string& path, mode_t mode = 0755);

// OK when this process can make files in `path`; else a status that says what to do about it.
absl::Status CheckWritableDirectory(const std::string& path);

}  // namespace tessera::base
