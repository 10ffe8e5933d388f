// A weighted random order of the active clients, drawn anew for every visit.
//
// The relative weight of a client is the product over its path of weight / sum of the weights of
// the active siblings. The first place goes to client i with probability w_i / sum w, each further
// place likewise among those left: the law of Efraimidis and Spirakis, "Weighted random sampling
// with a reservoir" (2006). Places are drawn one by one as the visitor asks for them, so a visitor
// that stops early pays O(log n) for each place it saw, and O(1) when all weights are equal.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "services/allocator/core/client_tree.h"
#include "services/allocator/core/sorter.h"

namespace tessera::allocator {

class RandomSorter final : public Sorter {
 public:
  RandomSorter(bool hierarchical, const ClusterTotals* totals);

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

  // The part of all draws for the first place that `client` gets, in billionths; 0 when inactive.
  uint64_t RelativeWeight(uint32_t client);

 private:
  using NodeNum = ClientTree::NodeNum;
  struct Leaf {
    uint32_t client;
    uint64_t mass;
  };

  void Refresh();
  void Spread(NodeNum parent, uint64_t mass);
  void VisitUniform(base::Rng* random, Visitor visit);
  void VisitWeighted(base::Rng* random, Visitor visit);

  ClientTree tree_;
  const ClusterTotals* const totals_;
  bool stale_ = true;
  bool uniform_ = true;
  std::vector<Leaf> leaves_;     // active clients
  std::vector<uint64_t> sums_;   // binary indexed tree over the masses of leaves_
  std::vector<uint32_t> drawn_;  // scratch of one visit
  uint64_t mass_ = 0;
};

}  // namespace tessera::allocator
