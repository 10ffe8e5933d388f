#include "services/allocator/core/drf_sorter.h"

#include <algorithm>
#include <limits>

namespace tessera::allocator {
namespace {

using Wide = unsigned __int128;
constexpr int kShareBits = 44;

// The name whose allocated / total is largest; kScalarNamesMax when nothing counts. Fractions are
// compared by cross-multiplication, so that only the winner is ever divided.
size_t DominantName(const Amounts& allocation, const ClusterTotals& totals) {
  size_t best = kScalarNamesMax;
  for (size_t name = 0; name < kScalarNamesMax; ++name) {
    if (allocation[name] <= 0 || totals.total[name] <= 0) continue;
    if ((totals.excluded_names >> name & 1) != 0) continue;
    if (best == kScalarNamesMax ||
        static_cast<Wide>(allocation[name]) * static_cast<uint64_t>(totals.total[best]) >
            static_cast<Wide>(allocation[best]) * static_cast<uint64_t>(totals.total[name])) {
      best = name;
    }
  }
  return best;
}

uint64_t Saturated(Wide value) {
  return value > std::numeric_limits<uint64_t>::max() ? std::numeric_limits<uint64_t>::max()
                                                      : static_cast<uint64_t>(value);
}

}  // namespace

DrfSorter::DrfSorter(bool hierarchical, const ClusterTotals* totals)
    : tree_(hierarchical), totals_(totals), orders_(1) {}

bool DrfSorter::Before(const Entry& left, const Entry& right) const {
  if (left.share != right.share) return left.share < right.share;
  if (left.chosen != right.chosen) return left.chosen < right.chosen;
  if (left.node == right.node) return false;
  return tree_.node(left.node).path < tree_.node(right.node).path;
}

uint64_t DrfSorter::ShareOf(NodeNum number) const {
  const ClientTree::Node& node = tree_.node(number);
  const size_t name = DominantName(node.allocation, *totals_);
  if (name == kScalarNamesMax) return 0;
  // Below 2^127: an allocation has 63 bits, and kWeightOne is less than 2^20.
  const Wide numerator = (static_cast<Wide>(node.allocation[name]) * kWeightOne) << kShareBits;
  const Wide denominator =
      static_cast<Wide>(totals_->total[name]) * static_cast<uint64_t>(node.weight);
  return Saturated(numerator / denominator);
}

DrfSorter::Entry DrfSorter::EntryOf(NodeNum node) const {
  return {ShareOf(node), tree_.node(node).chosen, node};
}

void DrfSorter::Refresh(NodeNum parent) {
  Order& order = orders_[parent];
  order.entries.clear();
  for (NodeNum child : tree_.node(parent).children) {
    if (tree_.node(child).active_leaves > 0) order.entries.push_back(EntryOf(child));
  }
  std::sort(order.entries.begin(), order.entries.end(),
            [this](const Entry& left, const Entry& right) { return Before(left, right); });
  order.version = totals_->version;
  ++orders_rebuilt_;
}

void DrfSorter::Insert(NodeNum parent, const Entry& entry) {
  std::vector<Entry>& entries = orders_[parent].entries;
  entries.insert(std::upper_bound(
                     entries.begin(), entries.end(), entry,
                     [this](const Entry& left, const Entry& right) { return Before(left, right); }),
                 entry);
}

void DrfSorter::Erase(NodeNum parent, const Entry& entry) {
  std::vector<Entry>& entries = orders_[parent].entries;
  const auto at = std::lower_bound(
      entries.begin(), entries.end(), entry,
      [this](const Entry& left, const Entry& right) { return Before(left, right); });
  entries.erase(at);
}

void DrfSorter::Adopt(const ClientTree::Change& change) {
  orders_.resize(tree_.size());
  for (NodeNum node : change.freed) orders_[node] = Order();
  if (change.split != kNoNumber) orders_[change.split] = Order();
  if (change.merged != kNoNumber) orders_[change.merged] = Order();
}

void DrfSorter::Add(uint32_t client, std::string_view path) { Adopt(tree_.AddLeaf(client, path)); }

void DrfSorter::Remove(uint32_t client) {
  Deactivate(client);
  // The amounts of all nodes above change.
  for (NodeNum at = tree_.node(tree_.LeafOf(client)).parent; at != kNoNumber;
       at = tree_.node(at).parent) {
    if (!tree_.node(tree_.LeafOf(client)).allocation.IsZero()) MakeStale(at);
  }
  Adopt(tree_.RemoveLeaf(client));
}

void DrfSorter::Activate(uint32_t client) {
  const NodeNum leaf = tree_.LeafOf(client);
  if (tree_.node(leaf).active_leaves > 0) return;
  for (NodeNum at = leaf; at != ClientTree::kRoot; at = tree_.node(at).parent) {
    if (tree_.node(at).active_leaves > 0) break;
    const NodeNum parent = tree_.node(at).parent;
    if (IsFresh(parent)) Insert(parent, EntryOf(at));
  }
  tree_.CountActive(leaf, 1);
}

void DrfSorter::Deactivate(uint32_t client) {
  const NodeNum leaf = tree_.LeafOf(client);
  if (tree_.node(leaf).active_leaves == 0) return;
  tree_.CountActive(leaf, -1);
  for (NodeNum at = leaf; at != ClientTree::kRoot; at = tree_.node(at).parent) {
    if (tree_.node(at).active_leaves > 0) break;
    const NodeNum parent = tree_.node(at).parent;
    if (IsFresh(parent)) Erase(parent, EntryOf(at));
  }
}

void DrfSorter::SetWeight(std::string_view path, int64_t weight) {
  const NodeNum node = tree_.SetWeight(path, weight);
  if (node != kNoNumber) MakeStale(tree_.node(node).parent);
}

void DrfSorter::Charge(uint32_t client, const Amounts& amounts, bool give) {
  for (NodeNum at = tree_.LeafOf(client); at != ClientTree::kRoot; at = tree_.node(at).parent) {
    ClientTree::Node& node = tree_.node(at);
    const bool ordered = node.active_leaves > 0 && IsFresh(node.parent);
    // An entry is found by the key it was filed under.
    const Entry before = ordered ? EntryOf(at) : Entry{};
    if (give) {
      node.allocation += amounts;
      ++node.chosen;
    } else {
      node.allocation -= amounts;
    }
    if (!ordered) continue;
    std::vector<Entry>& entries = orders_[node.parent].entries;
    const auto less = [this](const Entry& left, const Entry& right) { return Before(left, right); };
    const auto from = std::lower_bound(entries.begin(), entries.end(), before, less);
    const Entry after = EntryOf(at);
    if (less(before, after)) {
      const auto to = std::lower_bound(from + 1, entries.end(), after, less);
      std::move(from + 1, to, from);
      *(to - 1) = after;
    } else {
      const auto to = std::lower_bound(entries.begin(), from, after, less);
      std::move_backward(to, from, from + 1);
      *to = after;
    }
  }
}

void DrfSorter::Allocated(uint32_t client, const Amounts& amounts) {
  Charge(client, amounts, /*give=*/true);
}

void DrfSorter::Unallocated(uint32_t client, const Amounts& amounts) {
  Charge(client, amounts, /*give=*/false);
}

bool DrfSorter::VisitBelow(NodeNum parent, Visitor visit) {
  if (!IsFresh(parent)) Refresh(parent);
  for (const Entry& entry : orders_[parent].entries) {
    const ClientTree::Node& node = tree_.node(entry.node);
    const bool go_on =
        node.client != kNoNumber ? visit(node.client) : VisitBelow(entry.node, visit);
    if (!go_on) return false;
  }
  return true;
}

void DrfSorter::Visit(base::Rng*, Visitor visit) { VisitBelow(ClientTree::kRoot, visit); }

uint64_t DrfSorter::DominantShare(uint32_t client) const {
  const Amounts& allocation = tree_.node(tree_.NodeOf(client)).allocation;
  const size_t name = DominantName(allocation, *totals_);
  if (name == kScalarNamesMax) return 0;
  return Saturated(static_cast<Wide>(allocation[name]) * 1'000'000'000 /
                   static_cast<uint64_t>(totals_->total[name]));
}

}  // namespace tessera::allocator
