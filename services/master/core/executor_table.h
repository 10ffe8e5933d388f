// The executors on one agent, by framework and incarnation; the id that the framework gave one
// finds the newest of that id. The rows are shared with the readers of the feed.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "services/feed/rows.h"
#include "services/master/core/indexes.h"
#include "services/model/incarnation.h"

namespace tessera::master {

class ExecutorTable {
 public:
  using Key = std::pair<FrameworkIndex, model::Incarnation>;
  using Rows = absl::btree_map<Key, feed::ExecutorPtr>;

  // A repeat does nothing and returns false.
  bool Add(FrameworkIndex framework, feed::ExecutorPtr executor) {
    names_.insert({framework, executor->executor_id, executor->incarnation});
    const Key key(framework, executor->incarnation);
    return rows_.emplace(key, std::move(executor)).second;
  }
  void Remove(const Key& key) {
    auto found = rows_.find(key);
    if (found == rows_.end()) return;
    names_.erase({key.first, found->second->executor_id, key.second});
    rows_.erase(found);
  }

  // Null when there is none.
  feed::ExecutorPtr Find(const Key& key) const {
    auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : found->second;
  }
  feed::ExecutorPtr Newest(FrameworkIndex framework, const std::string& id) const {
    auto after = names_.upper_bound({framework, id, kLast});
    if (after == names_.begin()) return nullptr;
    const auto& [of, name, incarnation] = *--after;
    return of == framework && name == id ? Find({framework, incarnation}) : nullptr;
  }
  // The ids of a framework's, each once, in their order.
  std::vector<std::string> IdsOf(FrameworkIndex framework) const {
    std::vector<std::string> ids;
    for (auto it = names_.lower_bound({framework, std::string(), model::Incarnation()});
         it != names_.end() && std::get<0>(*it) == framework; ++it) {
      if (ids.empty() || ids.back() != std::get<1>(*it)) ids.push_back(std::get<1>(*it));
    }
    return ids;
  }
  // The incarnations of a framework's, oldest first.
  std::vector<model::Incarnation> Of(FrameworkIndex framework) const {
    std::vector<model::Incarnation> own;
    for (auto it = rows_.lower_bound({framework, model::Incarnation()});
         it != rows_.end() && it->first.first == framework; ++it) {
      own.push_back(it->first.second);
    }
    return own;
  }

  Rows::const_iterator begin() const { return rows_.begin(); }
  Rows::const_iterator end() const { return rows_.end(); }
  bool empty() const { return rows_.empty(); }

 private:
  static constexpr model::Incarnation kLast{UINT64_MAX, UINT64_MAX};

  Rows rows_;
  absl::btree_set<std::tuple<FrameworkIndex, std::string, model::Incarnation>> names_;
};

}  // namespace tessera::master
