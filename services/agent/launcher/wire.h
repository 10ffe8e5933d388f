// The messages between the agent, its launcher and a container's init.
//
// Two channels carry them, each frame with a type and a length in front:
//
//   agent <-> launcher   SOCK_SEQPACKET   kClone -> kCloned (with pidfd and the init's socket)
//   agent <-> init       SOCK_STREAM      kStart -> kReport
//
// kClone and kStart are made of sections, each with a type and a length of its own, at most one of
// a type. What a container does not need has no section, and only a section acts. A reader that
// does not know a section refuses the whole frame and names it: what was asked for and cannot be
// done must never be left out in silence. Descriptors travel with a frame by SCM_RIGHTS; sections
// say, in the order of their types, which of them are theirs.
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

// A frame of sections: u32 count, then each section's header and bytes, which may be any.
struct SectionHeader {
  uint32_t type = 0;
  uint32_t bytes = 0;  // without this header
};

// What the kernel lets a program have as arguments and environment together is 2 MiB by default.
inline constexpr uint32_t kMaximumStartBytes = 4u << 20;
inline constexpr uint32_t kMaximumCloneBytes = 16u << 10;
inline constexpr uint32_t kMaximumReportBytes = 8u << 10;
inline constexpr uint32_t kMaximumTrees = 56;

// One bit for each kind of namespace, in the order in which init joins them: the mount namespace
// last, for it takes away the paths of the others.
enum NamespaceBit : uint32_t {
  kPid = 1,
  kIpc = 2,
  kUts = 4,
  kNet = 8,
  kCgroup = 16,
  kMount = 32,
};
inline constexpr uint32_t kAllNamespaces = 63;
inline constexpr size_t kNamespaceKinds = 6;

// Sections of kClone.
enum class CloneSection : uint32_t {
  // u32 new: bits of those to make; u32 join: bits of those to join, with one descriptor for each
  // in the order of the bits. No bit is in both; the mount namespace is in one of them.
  kNamespaces = 1,
  // text the v2 directory that init is cloned into ("" without), u32 count, count texts of v1
  // `tasks` files that it joins. All paths are the host's and absolute.
  kCgroups = 2,
};

// kCloned: u32 errno (0 when it worked; ENOTSUP for a section that is not known), u32 pid.

// Sections of kStart.
enum class StartSection : uint32_t {
  // u32 count, operations: u32 kind, u64 number, u32 mode, texts first, second, third, fourth.
  kOperations = 1,
  // u32 count, roles (StartFile), one descriptor for each.
  kFiles = 2,
  // u32 count, one descriptor of a detached mount tree for each.
  kTrees = 3,
  // u32 uid, u32 gid, u32 count, supplementary gids. Without the section init's identity stays.
  kUser = 4,
  // text working directory, text program, u32 count, arguments, u32 count, `NAME=value` texts.
  kCommand = 5,
  // Empty. No command: init keeps its namespaces for others until it is killed, and reaps.
  kKeeper = 6,
};

// Descriptors that a command needs, all four.
enum StartFile : uint32_t { kStateFile, kStandardInput, kStandardOutput, kStandardError };
inline constexpr uint32_t kStartFileCount = 4;

// Where an init stopped; kRunning means that the command was exec'ed, or the keeper keeps.
enum class InitStep : uint32_t {
  kRunning = 0,
  kProtocol = 1,  // ENOTSUP: a section that is not known
  kJoinCgroup = 2,
  kNamespace = 3,
  kFilesystem = 4,
  kDirectory = 5,
  kUserSwitch = 6,
  kExec = 7,
  kState = 8,
};

// kReport: u32 step, u32 errno, text what was tried, u64 nanoseconds of the wall clock.

enum class OperationKind : uint32_t {
  // Makes tree 0 the root. number: kHideOldRoot.
  kEnterRoot = 2,
  // mount(first, second, third, number, fourth). mode: kRefuseSymlinks.
  kMount = 3,
  // Attaches the tree `number` to `second`.
  kAttachTree = 4,
  // Makes the directory `second` with `mode`, its parents too. An existing one is fine.
  kMakeDirectory = 5,
  // Brings the loopback interface up.
  kRaiseLoopback = 6,
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

// Where a program without a slash is looked for when its environment has no PATH, and what the
// agent sets then. One list, so that both mean the same.
inline constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class Writer {
 public:
  void U32(uint32_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void U64(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  // `text` must hold no NUL.
  void Text(const std::string& text) {
    U32(static_cast<uint32_t>(text.size()));
    bytes_.append(text.c_str(), text.size() + 1);
  }
  void Append(const Writer& other) { bytes_.append(other.bytes_); }
  size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// A frame of sections. Add each type once.
class SectionWriter {
 public:
  template <typename Type>
  void Add(Type type, const Writer& section) {
    const SectionHeader header{static_cast<uint32_t>(type), static_cast<uint32_t>(section.size())};
    sections_.append(reinterpret_cast<const char*>(&header), sizeof(header));
    sections_.append(section.bytes());
    ++count_;
  }
  size_t size() const { return sizeof(count_) + sections_.size(); }
  // Header and body, ready to send.
  std::string Frame(FrameType type) const {
    const FrameHeader header{static_cast<uint32_t>(type), static_cast<uint32_t>(size())};
    std::string frame;
    frame.reserve(sizeof(header) + size());
    frame.append(reinterpret_cast<const char*>(&header), sizeof(header));
    frame.append(reinterpret_cast<const char*>(&count_), sizeof(count_));
    return frame + sections_;
  }

 private:
  uint32_t count_ = 0;
  std::string sections_;
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

  // The next `size` bytes, whatever they hold; null when the frame has fewer.
  const char* Bytes(size_t size) {
    if (!ok_ || size > Left()) {
      Fail();
      return nullptr;
    }
    const char* bytes = at_;
    at_ += size;
    return bytes;
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

// Walks over the sections of a frame.
class SectionReader {
 public:
  SectionReader(const char* body, size_t size)
      : reader_(body, size), left_(reader_.Count(sizeof(SectionHeader))) {}

  // False at the end, and after the first contradiction: ok() tells which.
  bool Next(uint32_t* type, Reader* section) {
    if (left_ == 0 || !reader_.ok()) return false;
    --left_;
    *type = reader_.U32();
    const uint32_t size = reader_.U32();
    const char* bytes = reader_.Bytes(size);
    if (bytes == nullptr) return false;
    // A second section of a type would leave it open which one counts.
    if (*type < 64) {
      const uint64_t bit = uint64_t{1} << *type;
      if ((seen_ & bit) != 0) {
        reader_.Bytes(~size_t{0});
        return false;
      }
      seen_ |= bit;
    }
    *section = Reader(bytes, size);
    return true;
  }
  // All sections were there, and nothing behind them.
  bool ok() const { return left_ == 0 && reader_.AtEnd(); }

 private:
  Reader reader_;
  uint32_t left_;
  uint64_t seen_ = 0;
};

}  // namespace tessera::agent::wire
