// The durable keys by name, with the history of the last commits.
//
// Everything in here is synced: readers and watchers are served from it alone. The history lets a
// reader page through the table as it was some commits ago, and a watcher start in the past.
//
// Invariants: versions of applied commits grow by one; the history is an unbroken run that ends
// with the last commit; counts and bytes of it stay within the bounds (the newest commit always
// fits).
//
// Threads: none; belongs to the core.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/registry/core/registry_types.h"

namespace tessera::registry {

struct HistoryBounds {
  size_t commits_max = 16384;
  size_t bytes_max = 64 << 20;
};

class KeyTable {
 public:
  KeyTable(HistoryBounds bounds, const StoreContents& contents);

  // Applies a synced commit; its version must be version() + 1.
  void Apply(std::shared_ptr<const Commit> commit);

  // The version of a key's last write, 0 when there is no such key.
  Version VersionOf(const std::string& key) const;

  // The bytes of a key and its value, 0 when there is no such key.
  size_t BytesOf(const std::string& key) const;

  // Whether the table as of `version` can still be told.
  bool Knows(Version version) const { return version >= oldest_ && version <= version_; }

  struct Page {
    std::vector<Record> records;
    // There is more after the last record.
    bool more = false;
  };
  // Records as of `version` (which Knows) whose keys are above `after` and start with one of
  // `prefixes` (all when empty), at most `records_max` and about `bytes_max`; at least one if any.
  Page Read(Version version, const std::vector<std::string>& prefixes, const std::string& after,
            size_t records_max, size_t bytes_max) const;

  // Commits after `version` (which Knows), in order.
  std::vector<std::shared_ptr<const Commit>> CommitsAfter(Version version) const;

  Version version() const { return version_; }
  size_t size() const { return records_.size(); }
  size_t bytes() const { return bytes_; }
  size_t history_commits() const { return history_.size(); }

 private:
  struct Held {
    Value value;
    Version version = 0;
  };
  struct Past {
    std::shared_ptr<const Commit> commit;
    // What stood at each of the commit's keys before; no value: nothing.
    std::vector<Held> before;
    size_t bytes = 0;
  };

  void Trim();

  const HistoryBounds bounds_;
  std::map<std::string, Held> records_;
  size_t bytes_ = 0;
  Version version_ = 0;
  // The oldest version that Knows: the one before the first commit of the history.
  Version oldest_ = 0;
  std::deque<Past> history_;
  size_t history_bytes_ = 0;
};

// True when `key` starts with one of `prefixes`, or there are none.
bool Matches(const std::string& key, const std::vector<std::string>& prefixes);

}  // namespace tessera::registry
