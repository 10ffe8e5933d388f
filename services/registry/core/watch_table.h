// Who watches which keys, and what each of them is sent.
//
// Invariant: a watcher is sent each commit that concerns it once, in order, in messages of bounded
// size (one commit always fits).
//
// Threads: none; belongs to the core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/registry/core/registry_events.h"

namespace tessera::registry {

class WatchTable {
 public:
  // `message_bytes_max`: of keys and values.
  explicit WatchTable(size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  // Begins with `commits`, the ones that the watcher has missed. Returns how many were sent.
  size_t Add(StreamId stream, std::vector<std::string> prefixes,
             const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects);
  // False when there is no such watcher.
  bool Remove(StreamId stream) { return watchers_.erase(stream) > 0; }
  // Sends commits to whom they concern. Returns how many were sent, counted for each watcher.
  size_t Send(const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects) const;

  std::vector<StreamId> streams() const;
  size_t size() const { return watchers_.size(); }

 private:
  size_t SendTo(StreamId stream, const std::vector<std::string>& prefixes,
                const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects) const;

  const size_t message_bytes_max_;
  // With the prefixes of their keys; none: all keys.
  std::map<StreamId, std::vector<std::string>> watchers_;
};

}  // namespace tessera::registry
