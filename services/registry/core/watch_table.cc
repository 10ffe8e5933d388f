#include "services/registry/core/watch_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "services/registry/core/commit_queue.h"

namespace tessera::registry {
namespace {

// Commits of one message to a watcher.
constexpr size_t kCommitsPerSendMax = 1024;

}  // namespace

size_t WatchTable::Add(StreamId stream, std::vector<std::string> prefixes,
                       const std::vector<std::shared_ptr<const Commit>>& commits,
                       Effects* effects) {
  const auto& own = watchers_[stream] = std::move(prefixes);
  return SendTo(stream, own, commits, effects);
}

size_t WatchTable::Send(const std::vector<std::shared_ptr<const Commit>>& commits,
                        Effects* effects) const {
  size_t sent = 0;
  for (const auto& [stream, prefixes] : watchers_) {
    sent += SendTo(stream, prefixes, commits, effects);
  }
  return sent;
}

size_t WatchTable::SendTo(StreamId stream, const std::vector<std::string>& prefixes,
                          const std::vector<std::shared_ptr<const Commit>>& commits,
                          Effects* effects) const {
  WatchSend send{.stream = stream};
  size_t bytes = 0;
  size_t sent = 0;
  const auto flush = [&] {
    if (send.commits.empty()) return;
    sent += send.commits.size();
    effects->push_back(std::exchange(send, WatchSend{.stream = stream}));
    bytes = 0;
  };
  for (const auto& commit : commits) {
    std::shared_ptr<const Commit> seen = commit;
    if (!prefixes.empty()) {
      auto part = std::make_shared<Commit>(Commit{.version = commit->version});
      std::copy_if(commit->writes.begin(), commit->writes.end(), std::back_inserter(part->writes),
                   [&](const Write& write) { return Matches(write.key, prefixes); });
      seen = std::move(part);
    }
    if (seen->writes.empty()) continue;
    size_t size = 0;
    for (const Write& write : seen->writes) size += SizeOf(write);
    if (bytes + size > message_bytes_max_ || send.commits.size() >= kCommitsPerSendMax) flush();
    bytes += size;
    send.commits.push_back(std::move(seen));
  }
  flush();
  return sent;
}

std::vector<StreamId> WatchTable::streams() const {
  std::vector<StreamId> streams;
  for (const auto& [stream, prefixes] : watchers_) streams.push_back(stream);
  return streams;
}

}  // namespace tessera::registry
