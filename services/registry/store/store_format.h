// The bytes of what stores keep: records, the version, the lease and whose the store is. One format
// for all stores; docs/formats.md ("Registry store") describes it byte by byte.
//
// Integers are little-endian; text is its length in four bytes, then its bytes. A decoder refuses
// what an encoder did not make, byte for byte.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

// The number of the format. It grows with every change that an older program would misread.
inline constexpr uint32_t kStoreFormat = 1;

// What a store names its format by.
std::string EncodeFormat(uint32_t number = kStoreFormat);
// OK for a format that this program reads. FAILED_PRECONDITION: a newer one, or something else.
absl::Status CheckFormat(std::string_view bytes);

// A record's value with its version.
std::string EncodeRecord(Version version, const std::string& value);
std::optional<Record> DecodeRecord(std::string_view key, std::string_view bytes);

std::string EncodeVersion(Version version);
std::optional<Version> DecodeVersion(std::string_view bytes);

std::string EncodeLease(const LeaseRecord& lease);
std::optional<LeaseRecord> DecodeLease(std::string_view bytes);

// The last number of a store, and whether a batch bears it.
struct BatchMark {
  BatchNumber number = 0;
  // Spent without a batch.
  bool spent = false;

  bool operator==(const BatchMark&) const = default;
};
std::string EncodeMark(const BatchMark& mark);
std::optional<BatchMark> DecodeMark(std::string_view bytes);

// Whose the store is, or was last.
struct OwnerRecord {
  Term term = 0;
  std::string address;

  bool operator==(const OwnerRecord&) const = default;
};
std::string EncodeOwner(const OwnerRecord& owner);
std::optional<OwnerRecord> DecodeOwner(std::string_view bytes);

// A whole batch; what a log keeps.
std::string EncodeBatch(const StoreBatch& batch);
std::optional<StoreBatch> DecodeBatch(std::string_view bytes);

}  // namespace tessera::registry
