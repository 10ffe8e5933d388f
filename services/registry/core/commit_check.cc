#include "services/registry/core/commit_check.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tessera::registry {
namespace {

bool IsKey(const std::string& key, size_t bytes_max) {
  if (key.empty() || key.size() > bytes_max) return false;
  const bool table = key.front() >= 'a' && key.front() <= 'z';
  return table && std::none_of(key.begin(), key.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f;
         });
}

// What can be told of a commit by itself.
Refusal CheckShape(const CommitRequested& request, const RegistryConfig& config,
                   const GroupLimits& limits, std::string* message) {
  if (request.writes.empty()) {
    *message = "a commit needs at least one write";
    return Refusal::kMalformed;
  }
  const size_t writes_max = std::min(config.writes_per_commit_max, limits.writes_max);
  if (request.writes.size() > writes_max || request.conditions.size() > writes_max) {
    *message = absl::StrCat("a commit has at most ", writes_max, " writes and as many conditions");
    return Refusal::kMalformed;
  }
  size_t bytes = 0;
  std::vector<const std::string*> keys;
  for (const Write& write : request.writes) {
    if (!IsKey(write.key, config.key_bytes_max)) {
      *message = absl::StrCat("a key has 1 to ", config.key_bytes_max,
                              " bytes, begins with a to z, and has no control characters");
      return Refusal::kMalformed;
    }
    if (write.value != nullptr && write.value->size() > config.value_bytes_max) {
      *message = absl::StrCat("the value of ", write.key, " has ", write.value->size(),
                              " bytes; at most ", config.value_bytes_max, " are taken");
      return Refusal::kMalformed;
    }
    bytes += SizeOf(write);
    keys.push_back(&write.key);
  }
  const size_t bytes_max = std::min(config.commit_bytes_max, limits.bytes_max);
  if (bytes > bytes_max) {
    *message = absl::StrCat("the commit has ", bytes, " bytes; at most ", bytes_max, " are taken");
    return Refusal::kMalformed;
  }
  std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
  const auto twice =
      std::adjacent_find(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a == *b; });
  if (twice != keys.end()) {
    *message = absl::StrCat("the commit writes ", **twice, " twice");
    return Refusal::kMalformed;
  }
  return Refusal::kNone;
}

}  // namespace

Refusal CheckCommit(const CommitRequested& request, const RegistryConfig& config,
                    const GroupLimits& limits, const LeaseTable& lease, const CommitQueue& queue,
                    std::string* message) {
  const Refusal shape = CheckShape(request, config, limits, message);
  if (shape != Refusal::kNone) return shape;
  if (request.epoch != 0 && !lease.Holds(request.epoch)) {
    *message = absl::StrCat("epoch ", request.epoch, " does not lead; the highest epoch is ",
                            lease.highest_epoch());
    return Refusal::kStaleEpoch;
  }
  size_t bytes = 0, added = 0;
  for (const Write& write : request.writes) {
    bytes += SizeOf(write);
    if (write.value != nullptr) ++added;
  }
  if (queue.pending_commits() >= config.pending_commits_max ||
      queue.pending_bytes() + bytes > config.pending_bytes_max) {
    *message = "too many commits wait for the disk";
    return Refusal::kOverloaded;
  }
  if (added > 0 &&
      (queue.keys() + added > config.keys_max || queue.bytes() + bytes > config.table_bytes_max)) {
    *message =
        absl::StrCat("the registry is full: ", queue.keys(), " keys, ", queue.bytes(), " bytes");
    return Refusal::kOverloaded;
  }
  for (const Condition& condition : request.conditions) {
    const Version version = queue.VersionOf(condition.key);
    if (version != condition.version) {
      *message = absl::StrCat(condition.key, " has version ", version, ", not ", condition.version);
      return Refusal::kVersionConflict;
    }
  }
  return Refusal::kNone;
}

}  // namespace tessera::registry
