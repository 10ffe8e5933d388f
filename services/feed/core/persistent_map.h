// An ordered map of strings to values whose copies share what did not change.
//
// A B+ tree with reference-counted nodes. A copy of the map costs one counter and never changes; a
// write copies the nodes on its path that are shared with a copy, and writes in place those that
// are not, so a batch of changes between two copies copies each node once.
//
// Invariants: keys ascend; no leaf is empty; every leaf is equally deep; a node's count is that of
// the entries below it. Leaves and entries have slots for what was rendered from them
// (rendering.h), which are emptied by every change below.
//
// Threads: one writer; copies are read by any thread while the writer goes on.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/feed/core/rendering.h"

namespace tessera::feed {

template <typename T>
class PersistentMap {
 public:
  static constexpr size_t kNodeMax = 64;

  struct Entry {
    std::string key;
    T value;
    RenderingSlots<2> renderings;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  struct Node {
    size_t count = 0;
    // One of the two: a leaf has entries.
    std::vector<EntryPtr> entries;
    std::vector<std::shared_ptr<Node>> children;
    RenderingSlots<2> renderings;

    bool leaf() const { return children.empty(); }
    size_t width() const { return leaf() ? entries.size() : children.size(); }
    const std::string& first_key() const {
      const Node* node = this;
      while (!node->leaf()) node = node->children.front().get();
      return node->entries.front()->key;
    }
  };
  using Leaf = Node;

  size_t size() const { return root_ == nullptr ? 0 : root_->count; }
  bool empty() const { return root_ == nullptr; }
  void clear() { root_.reset(); }
  // The same tree, not only an equal one: nothing was written between two copies.
  bool SharesAllWith(const PersistentMap& that) const { return root_ == that.root_; }

  // Null when the key is not there.
  const T* Find(std::string_view key) const {
    const Entry* entry = FindEntry(key);
    return entry == nullptr ? nullptr : &entry->value;
  }
  const Entry* FindEntry(std::string_view key) const {
    const Node* node = root_.get();
    if (node == nullptr) return nullptr;
    while (!node->leaf()) node = node->children[ChildFor(*node, key)].get();
    const size_t at = LowerBound(*node, key);
    if (at == node->entries.size() || node->entries[at]->key != key) return nullptr;
    return node->entries[at].get();
  }

  // For writing; null when the key is not there. Good until the next write or copy of the map.
  T* Mutable(std::string_view key) {
    if (FindEntry(key) == nullptr) return nullptr;
    std::shared_ptr<Node>* slot = &root_;
    while (true) {
      Node* node = Own(slot);
      if (node->leaf()) return &OwnEntry(&node->entries[LowerBound(*node, key)])->value;
      slot = &node->children[ChildFor(*node, key)];
    }
  }

  // For writing; a new one is T().
  T& GetOrAdd(std::string_view key) {
    if (T* value = Mutable(key)) return *value;
    if (root_ == nullptr) root_ = std::make_shared<Node>();
    T* value = nullptr;
    if (std::shared_ptr<Node> right = Insert(&root_, key, &value)) {
      auto root = std::make_shared<Node>();
      root->count = root_->count + right->count;
      root->children = {std::move(root_), std::move(right)};
      root_ = std::move(root);
    }
    return *value;
  }

  void Set(std::string_view key, T value) { GetOrAdd(key) = std::move(value); }

  bool Erase(std::string_view key) {
    if (FindEntry(key) == nullptr) return false;
    EraseBelow(&root_, key);
    if (root_->count == 0) root_.reset();
    while (root_ != nullptr && !root_->leaf() && root_->children.size() == 1) {
      std::shared_ptr<Node> only = root_->children.front();
      root_ = std::move(only);
    }
    return true;
  }

  // Calls visit(const Entry&) in the order of keys.
  template <typename Visit>
  void ForEach(Visit visit) const {
    ForEachLeaf([&](const Leaf& leaf) {
      for (const EntryPtr& entry : leaf.entries) visit(static_cast<const Entry&>(*entry));
    });
  }

  template <typename Visit>
  void ForEachLeaf(Visit visit) const {
    if (root_ != nullptr) VisitLeaves(*root_, visit);
  }

  // Calls visit(const Entry&) for keys after `key` (all of them when it is null) until it returns
  // false. Returns false when it did.
  template <typename Visit>
  bool ForEachAfter(const std::string* key, Visit visit) const {
    return root_ == nullptr || VisitAfter(*root_, key, visit);
  }

  // Whether the invariants hold; for tests.
  bool IsSound() const {
    if (root_ == nullptr) return true;
    int depth = -1;
    const std::string* last = nullptr;
    return IsSoundBelow(*root_, 0, &depth, &last);
  }

 private:
  static size_t LowerBound(const Node& leaf, std::string_view key) {
    return std::lower_bound(
               leaf.entries.begin(), leaf.entries.end(), key,
               [](const EntryPtr& entry, std::string_view wanted) { return entry->key < wanted; }) -
           leaf.entries.begin();
  }

  // The last child whose first key is not after `key`, the first if there is none.
  static size_t ChildFor(const Node& node, std::string_view key) {
    size_t low = 0;
    size_t high = node.children.size();
    while (high - low > 1) {
      const size_t middle = (low + high) / 2;
      if (std::string_view(node.children[middle]->first_key()) <= key) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // Whether nobody else can see what `pointer` points at, given that its parent is ours alone. The
  // fence pairs with the release of a reader that has just let go of it.
  template <typename P>
  static bool IsOurs(const std::shared_ptr<P>& pointer) {
    if (pointer.use_count() != 1) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    return true;
  }

  static Node* Own(std::shared_ptr<Node>* slot) {
    if (IsOurs(*slot)) {
      (*slot)->renderings.Clear();
    } else {
      *slot = std::make_shared<Node>(**slot);
    }
    return slot->get();
  }

  static Entry* OwnEntry(EntryPtr* slot) {
    if (IsOurs(*slot)) {
      (*slot)->renderings.Clear();
    } else {
      *slot = std::make_shared<Entry>(**slot);
    }
    return slot->get();
  }

  // Splits off and returns the right half of a node that has become too wide.
  static std::shared_ptr<Node> SplitIfWide(Node* node) {
    if (node->width() <= kNodeMax) return nullptr;
    auto right = std::make_shared<Node>();
    const size_t half = node->width() / 2;
    if (node->leaf()) {
      right->entries.assign(node->entries.begin() + half, node->entries.end());
      node->entries.resize(half);
      right->count = right->entries.size();
    } else {
      right->children.assign(node->children.begin() + half, node->children.end());
      node->children.resize(half);
      for (const auto& child : right->children) right->count += child->count;
    }
    node->count -= right->count;
    return right;
  }

  static std::shared_ptr<Node> Insert(std::shared_ptr<Node>* slot, std::string_view key,
                                      T** value) {
    Node* node = Own(slot);
    ++node->count;
    if (node->leaf()) {
      auto entry = std::make_shared<Entry>();
      entry->key = std::string(key);
      *value = &entry->value;
      node->entries.insert(node->entries.begin() + LowerBound(*node, key), std::move(entry));
    } else {
      const size_t at = ChildFor(*node, key);
      if (std::shared_ptr<Node> right = Insert(&node->children[at], key, value)) {
        node->children.insert(node->children.begin() + at + 1, std::move(right));
      }
    }
    return SplitIfWide(node);
  }

  static void EraseBelow(std::shared_ptr<Node>* slot, std::string_view key) {
    Node* node = Own(slot);
    --node->count;
    if (node->leaf()) {
      node->entries.erase(node->entries.begin() + LowerBound(*node, key));
      return;
    }
    const size_t at = ChildFor(*node, key);
    EraseBelow(&node->children[at], key);
    if (node->children[at]->count == 0) {
      node->children.erase(node->children.begin() + at);
    } else if (node->children[at]->width() < kNodeMax / 4) {
      MergeWithNeighbour(node, at);
    }
  }

  static void MergeWithNeighbour(Node* node, size_t at) {
    if (node->children.size() < 2) return;
    const size_t left = at + 1 < node->children.size() ? at : at - 1;
    if (node->children[left]->width() + node->children[left + 1]->width() > kNodeMax * 3 / 4)
      return;
    Node* into = Own(&node->children[left]);
    const Node& from = *node->children[left + 1];
    into->entries.insert(into->entries.end(), from.entries.begin(), from.entries.end());
    into->children.insert(into->children.end(), from.children.begin(), from.children.end());
    into->count += from.count;
    node->children.erase(node->children.begin() + left + 1);
  }

  template <typename Visit>
  static void VisitLeaves(const Node& node, Visit& visit) {
    if (node.leaf()) return visit(static_cast<const Leaf&>(node));
    for (const auto& child : node.children) VisitLeaves(*child, visit);
  }

  template <typename Visit>
  static bool VisitAfter(const Node& node, const std::string* key, Visit& visit) {
    if (node.leaf()) {
      size_t at = key == nullptr ? 0 : LowerBound(node, *key);
      if (key != nullptr && at < node.entries.size() && node.entries[at]->key == *key) ++at;
      for (; at < node.entries.size(); ++at) {
        if (!visit(static_cast<const Entry&>(*node.entries[at]))) return false;
      }
      return true;
    }
    const size_t first = key == nullptr ? 0 : ChildFor(node, *key);
    for (size_t i = first; i < node.children.size(); ++i) {
      if (!VisitAfter(*node.children[i], i == first ? key : nullptr, visit)) return false;
    }
    return true;
  }

  static bool IsSoundBelow(const Node& node, int depth, int* leaf_depth, const std::string** last) {
    if (node.width() == 0 || node.width() > kNodeMax) return false;
    if (node.leaf()) {
      if (*leaf_depth < 0) *leaf_depth = depth;
      if (*leaf_depth != depth || node.count != node.entries.size()) return false;
      for (const EntryPtr& entry : node.entries) {
        if (*last != nullptr && !(**last < entry->key)) return false;
        *last = &entry->key;
      }
      return true;
    }
    size_t count = 0;
    for (const auto& child : node.children) {
      if (!IsSoundBelow(*child, depth + 1, leaf_depth, last)) return false;
      count += child->count;
    }
    return count == node.count && node.entries.empty();
  }

  std::shared_ptr<Node> root_;
};

}  // namespace tessera::feed
