#include "services/registry/core/key_table.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "services/base/bug.h"

namespace tessera::registry {

bool Matches(const std::string& key, const std::vector<std::string>& prefixes) {
  if (prefixes.empty()) return true;
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); });
}

KeyTable::KeyTable(HistoryBounds bounds, const StoreContents& contents)
    : bounds_(bounds), version_(contents.version), oldest_(contents.version) {
  for (const Record& record : contents.records) {
    bytes_ += record.key.size() + record.value->size();
    records_.emplace_hint(records_.end(), record.key, Held{record.value, record.version});
  }
}

void KeyTable::Apply(std::shared_ptr<const Commit> commit) {
  if (TESSERA_BUG_IF(commit->version != version_ + 1, "a commit does not follow the last one")) {
    // Readers would be told what never was.
    std::abort();
  }
  version_ = commit->version;
  Past past{.commit = commit};
  for (const Write& write : commit->writes) {
    auto it = records_.find(write.key);
    const bool had = it != records_.end();
    past.before.push_back(had ? it->second : Held{});
    if (had) bytes_ -= write.key.size() + it->second.value->size();
    past.bytes += write.key.size() + (had ? it->second.value->size() : 0);
    if (write.value != nullptr) {
      records_.insert_or_assign(write.key, Held{write.value, version_});
      bytes_ += write.key.size() + write.value->size();
      past.bytes += write.value->size();
    } else if (had) {
      records_.erase(it);
    }
  }
  history_bytes_ += past.bytes;
  history_.push_back(std::move(past));
  Trim();
}

void KeyTable::Trim() {
  while (history_.size() > 1 &&
         (history_.size() > bounds_.commits_max || history_bytes_ > bounds_.bytes_max)) {
    history_bytes_ -= history_.front().bytes;
    oldest_ = history_.front().commit->version;
    history_.pop_front();
  }
}

Version KeyTable::VersionOf(const std::string& key) const {
  const auto it = records_.find(key);
  return it == records_.end() ? 0 : it->second.version;
}

size_t KeyTable::BytesOf(const std::string& key) const {
  const auto it = records_.find(key);
  return it == records_.end() ? 0 : key.size() + it->second.value->size();
}

KeyTable::Page KeyTable::Read(Version version, const std::vector<std::string>& prefixes,
                              const std::string& after, size_t records_max,
                              size_t bytes_max) const {
  if (TESSERA_BUG_IF(!Knows(version), "a version that is not known is read")) return {};
  // What stood where commits after `version` wrote: the oldest of them has the last word.
  std::map<std::string, Held> then;
  for (auto past = history_.rbegin(); past != history_.rend(); ++past) {
    if (past->commit->version <= version) break;
    for (size_t i = 0; i < past->before.size(); ++i) {
      then.insert_or_assign(past->commit->writes[i].key, past->before[i]);
    }
  }

  std::vector<std::string> sorted = prefixes;
  std::sort(sorted.begin(), sorted.end());

  Page page;
  size_t bytes = 0;
  auto now_it = records_.upper_bound(after);
  auto then_it = then.upper_bound(after);
  while (now_it != records_.end() || then_it != then.end()) {
    // Both run in order; where both have a key, the past is what is asked for.
    const bool take_then =
        then_it != then.end() && (now_it == records_.end() || then_it->first <= now_it->first);
    const auto& [key, held] = take_then ? *then_it : *now_it;
    if (!Matches(key, sorted)) {
      // On to the first key that may match again, however many lie between.
      const auto next = std::upper_bound(sorted.begin(), sorted.end(), key);
      if (next == sorted.end()) return page;
      now_it = records_.lower_bound(*next);
      then_it = then.lower_bound(*next);
      continue;
    }
    if (held.value != nullptr) {
      const size_t size = key.size() + held.value->size();
      if (!page.records.empty() &&
          (page.records.size() >= records_max || bytes + size > bytes_max)) {
        page.more = true;
        return page;
      }
      bytes += size;
      page.records.push_back({key, held.value, held.version});
    }
    if (take_then) {
      if (now_it != records_.end() && now_it->first == then_it->first) ++now_it;
      ++then_it;
    } else {
      ++now_it;
    }
  }
  return page;
}

std::vector<std::shared_ptr<const Commit>> KeyTable::CommitsAfter(Version version) const {
  if (TESSERA_BUG_IF(!Knows(version), "a version that is not known is read")) return {};
  std::vector<std::shared_ptr<const Commit>> commits;
  for (const Past& past : history_) {
    if (past.commit->version > version) commits.push_back(past.commit);
  }
  return commits;
}

}  // namespace tessera::registry
