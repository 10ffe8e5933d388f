// The messages between the agent, its launcher and a container's init.
//
// Two channels carry them, each frame with a type and a length in front:
//
//   agent <-> launcher   SOCK_SEQPACKET   kClone -> kCloned (with pidfd and the init's socket)
//   agent <-> init       SOCK_STREAM      kStart (with the four files) -> kReport
//
// The launcher and init link against nothing but libc, so neither does this header: the writer is
// for the agent, the reader for both. Integers are in the machine's own order, as both ends run on
// one.
//
// Invariant: a reader never looks behind its frame whatever the bytes say; after the first
// contradiction every read yields zero or "" and ok() is false.
#pragma once

#include <stdint.h>
#include <string.h>

#include <string>

namespace tessera::agent::wire {

enum class FrameType : uint32_t { kClone = 1, kCloned = 2, kStart = 3, kReport = 4 };

struct FrameHeader {
  uint32_t type = 0;
  uint32_t bytes = 0;  // of the body, without this header
};

// What the kernel lets a program have as arguments and environment together is 2 MiB by default.
inline constexpr uint32_t kMaximumStartBytes = 4u << 20;
inline constexpr uint32_t kMaximumCloneBytes = 16u << 10;
inline constexpr uint32_t kMaximumReportBytes = 8u << 10;

// Files that come with kStart: these in this order, then the mount trees, the root's first.
enum StartFile { kStateFile = 0, kStandardInput, kStandardOutput, kStandardError, kStartFileCount };
inline constexpr uint32_t kMaximumTrees = 60;

// kClone: u32 flags, text v2 cgroup directory ("" without), u32 count, count texts of v1 `tasks`
// files. All paths are the host's and absolute.
inline constexpr uint32_t kNewPid = 1;
inline constexpr uint32_t kNewIpc = 2;
inline constexpr uint32_t kNewUts = 4;
inline constexpr uint32_t kNewCgroup = 8;

// kCloned: u32 errno (0 when it worked), u32 pid.

// Where an init stopped; kRunning means that the command was exec'ed.
enum class InitStep : uint32_t {
  kRunning = 0,
  kProtocol = 1,
  kJoinCgroup = 2,
  kNamespace = 3,
  kFilesystem = 4,
  kDirectory = 5,
  kUserSwitch = 6,
  kExec = 7,
  kState = 8,
};

// kReport: u32 step, u32 errno, text what was tried, u64 nanoseconds of the wall clock.

// kStart, in this order:
//   u32 count, operations: u32 kind, u64 number, u32 mode, texts first, second, third, fourth
//   u32 switch user (0 or 1), u32 uid, u32 gid, u32 count, supplementary gids
//   text working directory, text program, u32 count, arguments, u32 count, `NAME=value` texts
enum class OperationKind : uint32_t {
  // Makes tree 0 the root. number: kHideOldRoot.
  kEnterRoot = 2,
  // mount(first, second, third, number, fourth). mode: kRefuseSymlinks.
  kMount = 3,
  // Attaches the tree `number` to `second`.
  kAttachTree = 4,
  // Makes the directory `second` with `mode`, its parents too. An existing one is fine.
  kMakeDirectory = 5,
  // Makes an empty file `second` with `mode` and its parents. An existing file is fine.
  kMakeFile = 6,
  // Makes the device node `second` of `mode` (type included) and device `number`.
  kMakeNode = 7,
  // Makes the symbolic link `second` to `first`.
  kMakeSymlink = 8,
  // Sets the host name to `first`.
  kSetHostname = 9,
  // Makes what the tree `number` can attach to at `second`: a directory, or an empty file.
  kMakeTargetLikeTree = 10,
  // Puts a read-only view of `second` over it, if it is there.
  kProtectPath = 11,
};

// Of kEnterRoot: the old root, which is empty, is left under /proc for a later mount to cover, as
// unmounting it would wait for other cpus. Without, it is unmounted.
inline constexpr uint64_t kHideOldRoot = 1;
// Of kMount.
inline constexpr uint32_t kRefuseSymlinks = 1;

class Writer {
 public:
  void U32(uint32_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void U64(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  // `text` must hold no NUL.
  void Text(const std::string& text) {
    U32(static_cast<uint32_t>(text.size()));
    bytes_.append(text.c_str(), text.size() + 1);
  }
  // Header and body, ready to send.
  std::string Frame(FrameType type) const {
    const FrameHeader header{static_cast<uint32_t>(type), static_cast<uint32_t>(bytes_.size())};
    std::string frame(reinterpret_cast<const char*>(&header), sizeof(header));
    return frame + bytes_;
  }
  size_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  Reader(const char* bytes, size_t size) : at_(bytes), end_(bytes + size) {}

  uint32_t U32() { return Number<uint32_t>(); }
  uint64_t U64() { return Number<uint64_t>(); }

  // NUL-terminated, inside the frame.
  const char* Text() {
    const uint32_t length = U32();
    if (!ok_ || length >= Left() || at_[length] != '\0' || memchr(at_, '\0', length) != nullptr) {
      return Fail();
    }
    const char* text = at_;
    at_ += length + 1;
    return text;
  }

  // A count of things that take at least `least` bytes each: no larger than what the frame can
  // hold.
  uint32_t Count(size_t least) {
    const uint32_t count = U32();
    if (ok_ && count > Left() / least) {
      Fail();
      return 0;
    }
    return count;
  }

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && at_ == end_; }

 private:
  size_t Left() const { return static_cast<size_t>(end_ - at_); }

  const char* Fail() {
    ok_ = false;
    at_ = end_;
    return "";
  }

  template <typename T>
  T Number() {
    T value = 0;
    if (Left() < sizeof(T)) {
      Fail();
      return 0;
    }
    memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tessera::agent::wire
