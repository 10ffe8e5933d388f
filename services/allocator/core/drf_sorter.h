// Dominant resource fairness: the node with the smallest share of the cluster comes first.
//
// share = max over scalar names of allocated / total, divided by the weight. Siblings are ordered
// by share, then by how often they were chosen, then by path. (Ghodsi et al., "Dominant Resource
// Fairness", NSDI 2011.)
//
// Each node keeps its children in order. A charge moves the touched nodes only; a change of the
// totals or of a weight makes an order stale, and it is made anew when it is next visited. Shares
// are compared as integers (units of 2^-44), so equal fractions are equal whatever the weights.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "services/allocator/core/child_order.h"
#include "services/allocator/core/client_tree.h"
#include "services/allocator/core/sorter.h"

namespace tessera::allocator {

class DrfSorter final : public Sorter {
 public:
  DrfSorter(bool hierarchical, const ClusterTotals* totals);

  void Add(uint32_t client, std::string_view path) override;
  void Remove(uint32_t client) override;
  bool Has(uint32_t client) const override { return tree_.LeafOf(client) != kNoNumber; }
  void Activate(uint32_t client) override;
  void Deactivate(uint32_t client) override;
  uint32_t active_clients() const override { return tree_.active_leaves(); }
  void SetWeight(std::string_view path, int64_t weight) override;
  void Allocated(uint32_t client, const Amounts& amounts) override;
  void Unallocated(uint32_t client, const Amounts& amounts) override;
  void Correct(std::string_view path, const Amounts& amounts, bool give) override;
  const Amounts& AllocationOf(uint32_t client) const override {
    return tree_.node(tree_.LeafOf(client)).allocation;
  }
  void Visit(base::Rng* random, Visitor visit) override;
  uint64_t DominantShare(uint32_t client) const override;

  // How many orders were made anew so far.
  uint64_t orders_rebuilt() const { return orders_rebuilt_; }

 private:
  using NodeNum = ClientTree::NodeNum;
  struct Order {
    ChildOrder children;          // those with an active leaf, right while fresh
    uint64_t totals_version = 0;  // 0 is stale
    uint64_t rank_version = 0;
    // Of the node itself, among its siblings: right while its parent's order is fresh.
    uint64_t share = 0;
  };

  bool IsFresh(NodeNum parent) const {
    return orders_[parent].totals_version == totals_->version &&
           orders_[parent].rank_version == tree_.rank_version();
  }
  void MakeStale(NodeNum parent) { orders_[parent].totals_version = 0; }
  uint64_t ShareOf(NodeNum node) const;
  // With the share as it is now, which is noted.
  ChildEntry NewEntryOf(NodeNum node);
  // As it stands in its parent's fresh order.
  ChildEntry EntryOf(NodeNum node) const;
  void Refresh(NodeNum parent);
  void Charge(uint32_t client, const Amounts& amounts, bool give);
  void Adopt(const ClientTree::Change& change);
  bool VisitBelow(NodeNum parent, Visitor visit);

  ClientTree tree_;
  const ClusterTotals* const totals_;
  std::vector<Order> orders_;  // by node
  std::vector<ChildEntry> scratch_;
  uint64_t orders_rebuilt_ = 0;
};

}  // namespace tessera::allocator
