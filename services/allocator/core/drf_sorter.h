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
  const Amounts& AllocationOf(uint32_t client) const override {
    return tree_.node(tree_.LeafOf(client)).allocation;
  }
  void Visit(base::Rng* random, Visitor visit) override;
  uint64_t DominantShare(uint32_t client) const override;

  // How many orders were made anew so far.
  uint64_t orders_rebuilt() const { return orders_rebuilt_; }

 private:
  using NodeNum = ClientTree::NodeNum;
  struct Entry {
    uint64_t share;
    uint64_t chosen;
    NodeNum node;
  };
  struct Order {
    std::vector<Entry> entries;  // children with an active leaf, sorted while fresh
    uint64_t version = 0;        // of the totals; 0 is stale
  };

  bool IsFresh(NodeNum parent) const { return orders_[parent].version == totals_->version; }
  void MakeStale(NodeNum parent) { orders_[parent].version = 0; }
  bool Before(const Entry& left, const Entry& right) const;
  uint64_t ShareOf(NodeNum node) const;
  Entry EntryOf(NodeNum node) const;
  void Refresh(NodeNum parent);
  void Insert(NodeNum parent, const Entry& entry);
  void Erase(NodeNum parent, const Entry& entry);
  void Charge(uint32_t client, const Amounts& amounts, bool give);
  void Adopt(const ClientTree::Change& change);
  bool VisitBelow(NodeNum parent, Visitor visit);

  ClientTree tree_;
  const ClusterTotals* const totals_;
  std::vector<Order> orders_;  // by node
  uint64_t orders_rebuilt_ = 0;
};

}  // namespace tessera::allocator
