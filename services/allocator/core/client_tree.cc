#include "services/allocator/core/client_tree.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tessera::allocator {

ClientTree::ClientTree(bool hierarchical) : hierarchical_(hierarchical) { nodes_.emplace_back(); }

ClientTree::NodeNum ClientTree::NodeOf(uint32_t client) const {
  const NodeNum leaf = LeafOf(client);
  if (leaf == kNoNumber || !hierarchical_) return leaf;
  const std::string& path = nodes_[leaf].path;
  const bool is_virtual = path.size() >= 2 && path.compare(path.size() - 2, 2, "/.") == 0;
  return is_virtual ? nodes_[leaf].parent : leaf;
}

ClientTree::NodeNum ClientTree::Find(std::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? kNoNumber : found->second;
}

ClientTree::NodeNum ClientTree::FindOrMake(std::string_view path, NodeNum parent) {
  const auto after = by_path_.lower_bound(path);
  if (after != by_path_.end() && after->first == path) return after->second;
  NodeNum number;
  if (free_.empty()) {
    number = static_cast<NodeNum>(nodes_.size());
    nodes_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
    nodes_[number] = Node();
  }
  Node& node = nodes_[number];
  node.parent = parent;
  node.path = path;
  if (!weights_.empty()) {
    const auto weight = weights_.find(node.path);
    if (weight != weights_.end()) node.weight = weight->second;
  }
  nodes_[parent].children.push_back(number);
  Rank(by_path_.emplace_hint(after, node.path, number));
  return number;
}

void ClientTree::Rank(ByPath::const_iterator at) {
  const NodeNum number = at->second;
  const auto after = std::next(at);
  const uint64_t low = at == by_path_.begin() ? 0 : nodes_[std::prev(at)->second].rank;
  constexpr uint64_t kTop = uint64_t{1} << 62;
  const uint64_t high = after == by_path_.end() ? kTop : nodes_[after->second].rank;
  if (high - low > 1) {
    // At the end, leave as much room as paths that come in order would need.
    constexpr uint64_t kStep = uint64_t{1} << 32;
    nodes_[number].rank =
        after == by_path_.end() && high - low > 2 * kStep ? low + kStep : low + (high - low) / 2;
    return;
  }
  uint64_t rank = 0;
  const uint64_t step = kTop / (by_path_.size() + 1);
  for (const auto& [path, node] : by_path_) nodes_[node].rank = rank += step;
  ++rank_version_;
}

void ClientTree::FreeNode(NodeNum number, Change* change) {
  Node& node = nodes_[number];
  std::vector<NodeNum>& siblings = nodes_[node.parent].children;
  siblings.erase(std::find(siblings.begin(), siblings.end(), number));
  by_path_.erase(node.path);
  node = Node();
  free_.push_back(number);
  change->freed.push_back(number);
}

void ClientTree::Split(NodeNum number, Change* change) {
  const NodeNum leaf = FindOrMake(nodes_[number].path + "/.", number);
  Node& above = nodes_[number];
  Node& below = nodes_[leaf];
  below.client = std::exchange(above.client, kNoNumber);
  below.active_leaves = above.active_leaves;
  below.chosen = above.chosen;
  below.allocation = above.allocation;
  leaves_[below.client] = leaf;
  change->split = number;
}

ClientTree::Change ClientTree::AddLeaf(uint32_t client, std::string_view path) {
  Change change;
  NodeNum at = kRoot;
  for (size_t end = 0; end < path.size();) {
    end = hierarchical_ ? std::min(path.find('/', end + 1), path.size()) : path.size();
    const std::string_view prefix = path.substr(0, end);
    const NodeNum next = FindOrMake(prefix, at);
    if (end < path.size() && nodes_[next].client != kNoNumber) Split(next, &change);
    at = next;
  }
  if (!nodes_[at].children.empty()) at = FindOrMake(std::string(path) + "/.", at);
  nodes_[at].client = client;
  leaves_[client] = at;
  change.leaf = at;
  return change;
}

ClientTree::Change ClientTree::RemoveLeaf(uint32_t client) {
  Change change;
  const NodeNum leaf = LeafOf(client);
  leaves_.erase(client);
  change.leaf = leaf;
  const Amounts allocation = nodes_[leaf].allocation;
  for (NodeNum at = leaf; at != kNoNumber; at = nodes_[at].parent) {
    nodes_[at].allocation -= allocation;
  }
  NodeNum at = nodes_[leaf].parent;
  FreeNode(leaf, &change);
  while (at != kRoot && nodes_[at].children.empty()) {
    const NodeNum parent = nodes_[at].parent;
    FreeNode(at, &change);
    at = parent;
  }
  if (at != kRoot && nodes_[at].children.size() == 1) {
    const NodeNum child = nodes_[at].children[0];
    if (nodes_[child].client != kNoNumber && nodes_[child].path == nodes_[at].path + "/.") {
      nodes_[at].client = nodes_[child].client;
      leaves_[nodes_[at].client] = at;
      FreeNode(child, &change);
      change.merged = at;
    }
  }
  return change;
}

void ClientTree::CountActive(NodeNum leaf, int delta) {
  for (NodeNum at = leaf; at != kNoNumber; at = nodes_[at].parent) {
    nodes_[at].active_leaves += delta;
  }
}

ClientTree::NodeNum ClientTree::SetWeight(std::string_view path, int64_t weight) {
  weights_[std::string(path)] = weight;
  const NodeNum found = Find(path);
  if (found != kNoNumber) nodes_[found].weight = weight;
  return found;
}

}  // namespace tessera::allocator
