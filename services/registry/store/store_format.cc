#include "services/registry/store/store_format.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::registry {
namespace {

// What the format's number stands behind.
constexpr std::string_view kFormatName = "tessera-registry";

void PutInt(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void PutText(std::string_view text, std::string* out) {
  PutInt(text.size(), 4, out);
  out->append(text);
}

// Reads from the front of a string; after the first failure everything fails.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  uint64_t Int(int bytes) {
    const std::string_view taken = Take(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size(); ++i) {
      value |= uint64_t{static_cast<unsigned char>(taken[i])} << (8 * i);
    }
    return value;
  }
  std::string Text() { return std::string(Take(Int(4))); }
  std::string Rest() { return std::string(Take(rest_.size())); }
  void Fail() { ok_ = false; }

  bool ok() const { return ok_; }
  // All was read, and nothing failed.
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  std::string_view Take(size_t bytes) {
    if (!ok_ || bytes > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

std::string EncodeFormat(uint32_t number) {
  std::string out(kFormatName);
  PutInt(number, 4, &out);
  return out;
}

absl::Status CheckFormat(std::string_view bytes) {
  if (bytes.size() != kFormatName.size() + 4 || !bytes.starts_with(kFormatName)) {
    return absl::FailedPreconditionError(
        "it is not a store of a registry, or one from before formats had numbers");
  }
  const uint64_t number = Reader(bytes.substr(kFormatName.size())).Int(4);
  if (number > kStoreFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("it was written by a newer version (format ", number,
                     "); this one reads up to format ", kStoreFormat,
                     ". Run that version again: a store is not written back into an older format"));
  }
  if (number == 0) return absl::FailedPreconditionError("its format has the number 0");
  return absl::OkStatus();
}

std::string EncodeRecord(Version version, const std::string& value) {
  std::string out;
  out.reserve(8 + value.size());
  PutInt(version, 8, &out);
  out.append(value);
  return out;
}

std::optional<Record> DecodeRecord(std::string_view key, std::string_view bytes) {
  Reader reader(bytes);
  const Version version = reader.Int(8);
  Record record{.key = std::string(key), .value = MakeValue(reader.Rest()), .version = version};
  if (!reader.AtEnd() || version == 0) return std::nullopt;
  return record;
}

std::string EncodeVersion(Version version) {
  std::string out;
  PutInt(version, 8, &out);
  return out;
}

std::optional<Version> DecodeVersion(std::string_view bytes) {
  Reader reader(bytes);
  const Version version = reader.Int(8);
  if (!reader.AtEnd()) return std::nullopt;
  return version;
}

std::string EncodeLease(const LeaseRecord& lease) {
  std::string out;
  PutInt(lease.leader.epoch, 8, &out);
  PutInt(absl::ToInt64Nanoseconds(lease.ttl), 8, &out);
  PutInt(lease.resigned ? 1 : 0, 1, &out);
  PutText(lease.leader.candidate_id, &out);
  PutText(lease.leader.address, &out);
  PutText(lease.leader.http_address, &out);
  return out;
}

std::optional<LeaseRecord> DecodeLease(std::string_view bytes) {
  Reader reader(bytes);
  LeaseRecord lease;
  lease.leader.epoch = reader.Int(8);
  lease.ttl = absl::Nanoseconds(static_cast<int64_t>(reader.Int(8)));
  const uint64_t resigned = reader.Int(1);
  lease.resigned = resigned == 1;
  lease.leader.candidate_id = reader.Text();
  lease.leader.address = reader.Text();
  lease.leader.http_address = reader.Text();
  if (!reader.AtEnd() || resigned > 1 || lease.ttl < absl::ZeroDuration()) return std::nullopt;
  return lease;
}

std::string EncodeMark(const BatchMark& mark) {
  std::string out;
  PutInt(mark.number, 8, &out);
  PutInt(mark.spent ? 1 : 0, 1, &out);
  return out;
}

std::optional<BatchMark> DecodeMark(std::string_view bytes) {
  Reader reader(bytes);
  BatchMark mark{.number = reader.Int(8)};
  const uint64_t spent = reader.Int(1);
  mark.spent = spent == 1;
  if (!reader.AtEnd() || spent > 1) return std::nullopt;
  return mark;
}

std::string EncodeOwner(const OwnerRecord& owner) {
  std::string out;
  PutInt(owner.term, 8, &out);
  PutText(owner.address, &out);
  return out;
}

std::optional<OwnerRecord> DecodeOwner(std::string_view bytes) {
  Reader reader(bytes);
  OwnerRecord owner{.term = reader.Int(8)};
  owner.address = reader.Text();
  if (!reader.AtEnd() || owner.term == 0) return std::nullopt;
  return owner;
}

std::string EncodeBatch(const StoreBatch& batch) {
  std::string out;
  PutInt(batch.commits.size(), 4, &out);
  for (const auto& commit : batch.commits) {
    PutInt(commit->version, 8, &out);
    PutInt(commit->writes.size(), 4, &out);
    for (const Write& write : commit->writes) {
      PutText(write.key, &out);
      PutInt(write.value != nullptr ? 1 : 0, 1, &out);
      if (write.value != nullptr) PutText(*write.value, &out);
    }
  }
  PutInt(batch.lease != nullptr ? 1 : 0, 1, &out);
  if (batch.lease != nullptr) PutText(EncodeLease(*batch.lease), &out);
  return out;
}

std::optional<StoreBatch> DecodeBatch(std::string_view bytes) {
  Reader reader(bytes);
  StoreBatch batch;
  for (uint64_t commits = reader.Int(4); commits > 0 && reader.ok(); --commits) {
    auto commit = std::make_shared<Commit>();
    commit->version = reader.Int(8);
    for (uint64_t writes = reader.Int(4); writes > 0 && reader.ok(); --writes) {
      Write write{.key = reader.Text()};
      const uint64_t has_value = reader.Int(1);
      if (has_value > 1) reader.Fail();
      if (has_value == 1) write.value = MakeValue(reader.Text());
      commit->writes.push_back(std::move(write));
    }
    batch.commits.push_back(std::move(commit));
  }
  const uint64_t has_lease = reader.Int(1);
  if (has_lease > 1) reader.Fail();
  if (has_lease == 1) {
    std::optional<LeaseRecord> lease = DecodeLease(reader.Text());
    if (!lease.has_value()) return std::nullopt;
    batch.lease = std::make_shared<const LeaseRecord>(*std::move(lease));
  }
  if (!reader.AtEnd()) return std::nullopt;
  return batch;
}

}  // namespace tessera::registry
