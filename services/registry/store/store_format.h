// The bytes of what stores keep: records, the version and the lease. One format for all stores.
//
// Integers are little-endian; text is its length in four bytes, then its bytes. A decoder refuses
// what an encoder did not make, byte for byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/registry/core/registry_types.h"

namespace tessera::registry {

// A record's value with its version.
std::string EncodeRecord(Version version, const std::string& value);
std::optional<Record> DecodeRecord(std::string_view key, std::string_view bytes);

std::string EncodeVersion(Version version);
std::optional<Version> DecodeVersion(std::string_view bytes);

std::string EncodeLease(const LeaseRecord& lease);
std::optional<LeaseRecord> DecodeLease(std::string_view bytes);

// A whole batch; what a log keeps.
std::string EncodeBatch(const StoreBatch& batch);
std::optional<StoreBatch> DecodeBatch(std::string_view bytes);

}  // namespace tessera::registry
