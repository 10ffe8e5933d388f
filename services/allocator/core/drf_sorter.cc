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

uint64_t DrfSorter::ShareOf(NodeNum number) const {
  const ClientTree::Node& node = tree_.node(number);
  const size_t name = DominantName(node.allocation, *totals_);
  if (name == kScalarNamesMax) return 0;
  const uint64_t total = static_cast<uint64_t>(totals_->total[name]);
  if (node.weight == kWeightOne) {
    return Saturated((static_cast<Wide>(node.allocation[name]) << kShareBits) / total);
  }
  // Below 2^127: an allocation has 63 bits, and kWeightOne is less than 2^20.
  const Wide numerator = (static_cast<Wide>(node.allocation[name]) * kWeightOne) << kShareBits;
  const Wide denominator = static_cast<Wide>(total) * static_cast<uint64_t>(node.weight);
  return Saturated(numerator / denominator);
}

ChildEntry DrfSorter::EntryOf(NodeNum number) const {
  const ClientTree::Node& node = tree_.node(number);
  return {orders_[number].share, node.chosen, node.rank, number};
}

ChildEntry DrfSorter::NewEntryOf(NodeNum number) {
  orders_[number].share = ShareOf(number);
  return EntryOf(number);
}

void DrfSorter::Refresh(NodeNum parent) {
  Order& order = orders_[parent];
  scratch_.clear();
  for (NodeNum child : tree_.node(parent).children) {
    if (tree_.node(child).active_leaves > 0) scratch_.push_back(NewEntryOf(child));
  }
  order.children.Assign(&scratch_);
  order.totals_version = totals_->version;
  order.rank_version = tree_.rank_version();
  ++orders_rebuilt_;
}

void DrfSorter::Adopt(const ClientTree::Change& change) {
  orders_.resize(tree_.size());
  for (NodeNum node : change.freed) orders_[node] = Order();
  for (NodeNum node : {change.split, change.merged}) {
    if (node == kNoNumber) continue;
    // The node stays where it is among its siblings.
    orders_[node].children.Clear();
    MakeStale(node);
  }
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
    if (IsFresh(parent)) orders_[parent].children.Insert(NewEntryOf(at));
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
    if (IsFresh(parent)) orders_[parent].children.Erase(EntryOf(at));
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
    const ChildEntry before = EntryOf(at);
    if (give) {
      node.allocation += amounts;
      ++node.chosen;
    } else {
      node.allocation -= amounts;
    }
    if (ordered) orders_[node.parent].children.Move(before, NewEntryOf(at));
  }
}

void DrfSorter::Allocated(uint32_t client, const Amounts& amounts) {
  Charge(client, amounts, /*give=*/true);
}

void DrfSorter::Unallocated(uint32_t client, const Amounts& amounts) {
  Charge(client, amounts, /*give=*/false);
}

void DrfSorter::Correct(std::string_view path, const Amounts& amounts, bool give) {
  for (NodeNum at = tree_.Find(path); at != ClientTree::kRoot; at = tree_.node(at).parent) {
    if (give) {
      tree_.node(at).allocation += amounts;
    } else {
      tree_.node(at).allocation -= amounts;
    }
    MakeStale(tree_.node(at).parent);
  }
}

bool DrfSorter::VisitBelow(NodeNum parent, Visitor visit) {
  if (!IsFresh(parent)) Refresh(parent);
  return orders_[parent].children.ForEach([&](const ChildEntry& entry) {
    const uint32_t client = tree_.node(entry.node).client;
    return client != kNoNumber ? visit(client) : VisitBelow(entry.node, visit);
  });
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
