// The tree of a sorter's clients with what is charged to each node.
//
// Leaves are clients. A client `a` with descendants is the virtual leaf `a/.` beneath the node `a`;
// when the last descendant goes, the node becomes the leaf again. Shared by the sorters, which add
// their order.
//
// Invariants: a node's allocation is the sum over its leaves, less what a sorter's Correct took
// off because several of them share it; `active_leaves` counts the active
// leaves at or beneath a node; a node other than the root is either a leaf or has children.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "services/allocator/core/amounts.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/sorter.h"

namespace tessera::allocator {

class ClientTree {
 public:
  using NodeNum = uint32_t;
  static constexpr NodeNum kRoot = 0;

  struct Node {
    std::string path;
    NodeNum parent = kNoNumber;
    std::vector<NodeNum> children;
    uint32_t client = kNoNumber;  // set on leaves
    uint32_t active_leaves = 0;
    int64_t weight = kWeightOne;
    // How often this node was chosen; the tie-breaker after the share.
    uint64_t chosen = 0;
    // Ordered like the paths of all nodes; the last tie-breaker.
    uint64_t rank = 0;
    Amounts allocation;
  };

  explicit ClientTree(bool hierarchical);

  const Node& node(NodeNum number) const { return nodes_[number]; }
  Node& node(NodeNum number) { return nodes_[number]; }
  // All numbers given so far are below this; some may be free.
  size_t size() const { return nodes_.size(); }

  // The leaf of a client, kNoNumber when there is none.
  NodeNum LeafOf(uint32_t client) const {
    const auto found = leaves_.find(client);
    return found == leaves_.end() ? kNoNumber : found->second;
  }
  // The node of a path, kNoNumber when there is none.
  NodeNum Find(std::string_view path) const;
  // The node of a client's path: the leaf itself, or the parent of a virtual leaf.
  NodeNum NodeOf(uint32_t client) const;

  // What a structural change did to nodes; a sorter drops what it keeps about them.
  struct Change {
    NodeNum leaf = kNoNumber;    // added or removed
    NodeNum split = kNoNumber;   // was a leaf and has children now
    NodeNum merged = kNoNumber;  // had children and is a leaf now
    std::vector<NodeNum> freed;  // numbers that stand for nothing now
  };
  // Adds an inactive leaf.
  Change AddLeaf(uint32_t client, std::string_view path);
  // Removes an inactive leaf, and nodes that have no leaf left.
  Change RemoveLeaf(uint32_t client);

  // Adds `delta` active leaves to a leaf and all above it.
  void CountActive(NodeNum leaf, int delta);
  uint32_t active_leaves() const { return nodes_[kRoot].active_leaves; }
  // Grows when the ranks of nodes change.
  uint64_t rank_version() const { return rank_version_; }

  // Remembers the weight of a path; returns its node, or kNoNumber.
  NodeNum SetWeight(std::string_view path, int64_t weight);

 private:
  using ByPath = absl::btree_map<std::string, NodeNum, std::less<>>;

  // The node of a path; a new one beneath `parent` when there is none.
  NodeNum FindOrMake(std::string_view path, NodeNum parent);
  void FreeNode(NodeNum number, Change* change);
  // Gives a new node a rank between its neighbours', spreading all ranks anew when there is none.
  void Rank(ByPath::const_iterator at);
  // Moves the client of the leaf `number` down into a virtual leaf.
  void Split(NodeNum number, Change* change);

  const bool hierarchical_;
  std::vector<Node> nodes_;
  std::vector<NodeNum> free_;
  absl::flat_hash_map<uint32_t, NodeNum> leaves_;  // by client
  ByPath by_path_;
  uint64_t rank_version_ = 0;
  absl::flat_hash_map<std::string, int64_t> weights_;
};

}  // namespace tessera::allocator
