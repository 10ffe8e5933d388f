#include "services/agent/checkpoint/record_log.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "services/agent/checkpoint/crc32c.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

using checkpoint::Record;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// All formats begin with this, and end it with their number.
constexpr std::string_view kMagicStem = "TSRALOG";
constexpr std::string_view kMagic = "TSRALOG2";
constexpr char kFormat = '2';
constexpr std::string_view kFrameMark = "TLF1";
constexpr size_t kFrameHeader = 12;

void PutUint32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t GetUint32(std::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::string FrameOf(const std::vector<Record>& records) {
  std::string payload;
  {
    StringOutputStream stream(&payload);
    CodedOutputStream out(&stream);
    for (const Record& record : records) {
      out.WriteVarint32(static_cast<uint32_t>(record.ByteSizeLong()));
      record.SerializeToCodedStream(&out);
    }
  }
  std::string frame(kFrameMark);
  PutUint32(static_cast<uint32_t>(payload.size()), &frame);
  PutUint32(Crc32c(payload), &frame);
  frame += payload;
  return frame;
}

// The payload of a whole frame at the start of `bytes`.
std::optional<std::string_view> PayloadAt(std::string_view bytes) {
  if (bytes.size() < kFrameHeader || bytes.substr(0, 4) != kFrameMark) return std::nullopt;
  const uint32_t length = GetUint32(bytes.substr(4));
  if (bytes.size() - kFrameHeader < length) return std::nullopt;
  const std::string_view payload = bytes.substr(kFrameHeader, length);
  if (Crc32c(payload) != GetUint32(bytes.substr(8))) return std::nullopt;
  return payload;
}

// Whether a whole frame begins anywhere in `bytes`.
bool HasFrame(std::string_view bytes) {
  for (size_t at = bytes.find(kFrameMark); at != std::string_view::npos;
       at = bytes.find(kFrameMark, at + 1)) {
    if (PayloadAt(bytes.substr(at)).has_value()) return true;
  }
  return false;
}

bool ParseRecords(std::string_view payload, std::vector<Record>* records) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(payload.data()),
                      static_cast<int>(payload.size()));
  while (in.CurrentPosition() < static_cast<int>(payload.size())) {
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return false;
    const auto limit = in.PushLimit(static_cast<int>(length));
    if (!records->emplace_back().ParseFromCodedStream(&in) || !in.ConsumedEntireMessage()) {
      return false;
    }
    in.PopLimit(limit);
  }
  return true;
}

}  // namespace

absl::Status RecordLog::Damaged(uint64_t offset, const std::string& what) const {
  return absl::DataLossError(absl::StrCat(
      "the agent's log ", store_->name(), " is damaged at byte ", offset, ": ", what,
      ". It holds which containers belong to which tasks. Restore the file from a copy; or drain "
      "this agent at the master, stop its containers, move the file away and start the agent, "
      "which then registers as a new one."));
}

absl::Status RecordLog::OtherFormat(char format) const {
  if (format > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the agent's log ", store_->name(),
                     " was written in a newer format. Start the newer agent, or go back by "
                     "draining this agent and moving the file away."));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the agent's log ", store_->name(),
                   " was written by an agent of version 0.1, from which there is no way to this "
                   "one. Start the older agent, drain it at the master, stop it, move the file "
                   "away and start this agent, which then registers as a new one."));
}

absl::StatusOr<std::vector<Record>> RecordLog::Recover() {
  ASSIGN_OR_RETURN(const std::string bytes, store_->Read());
  std::vector<Record> records;
  if (bytes.find_first_not_of('\0') == std::string::npos) {
    RETURN_IF_ERROR(store_->Replace(kMagic));
    size_ = kMagic.size();
    return records;
  }
  if (std::string_view(bytes).substr(0, kMagic.size()) != kMagic) {
    if (bytes.size() >= kMagic.size() && std::string_view(bytes).starts_with(kMagicStem)) {
      return OtherFormat(bytes[kMagicStem.size()]);
    }
    if (HasFrame(bytes)) return Damaged(0, "its beginning is not that of a log");
    return absl::FailedPreconditionError(
        absl::StrCat(store_->name(),
                     " is not a log of an agent. Move it away, or choose another "
                     "work directory with --work_dir."));
  }
  std::string_view rest = std::string_view(bytes).substr(kMagic.size());
  size_ = kMagic.size();
  while (!rest.empty()) {
    const std::optional<std::string_view> payload = PayloadAt(rest);
    if (!payload.has_value()) {
      const size_t last = rest.find_last_not_of('\0');
      if (last == std::string_view::npos) break;
      if (HasFrame(rest.substr(1))) {
        return Damaged(size_, "a frame is not whole, and others follow it");
      }
      torn_bytes_ = last + 1;
      RETURN_IF_ERROR(store_->Truncate(size_));
      break;
    }
    if (!ParseRecords(*payload, &records)) {
      return Damaged(size_, "a frame holds what are no records");
    }
    size_ += kFrameHeader + payload->size();
    rest.remove_prefix(kFrameHeader + payload->size());
  }
  return records;
}

absl::Status RecordLog::Append(const std::vector<Record>& records) {
  if (dirty_) {
    RETURN_IF_ERROR(store_->Truncate(size_));
    dirty_ = false;
  }
  const std::string frame = FrameOf(records);
  dirty_ = true;
  RETURN_IF_ERROR(store_->Write(size_, frame));
  RETURN_IF_ERROR(store_->Sync());
  dirty_ = false;
  size_ += frame.size();
  return absl::OkStatus();
}

absl::Status RecordLog::KeepSpace() { return store_->KeepSpace(size_); }

absl::Status RecordLog::Replace(const std::vector<Record>& records) {
  std::string bytes(kMagic);
  if (!records.empty()) bytes += FrameOf(records);
  RETURN_IF_ERROR(store_->Replace(bytes));
  dirty_ = false;
  size_ = bytes.size();
  return absl::OkStatus();
}

}  // namespace tessera::agent
