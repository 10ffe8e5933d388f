// The order in which clients (roles, or frameworks within one role) are asked.
//
// Clients are leaves of a tree: with paths, "a/b" lies beneath "a". A client that has descendants
// takes part as a virtual leaf beneath its own node, with weight 1. Inactive clients stay in the
// accounts and are never visited. Implementations: DrfSorter and RandomSorter.
// Not thread safe; owned by the core.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "services/allocator/core/amounts.h"
#include "services/base/rng.h"

namespace tessera::allocator {

// What shares are measured against. One object for all sorters of a core.
struct ClusterTotals {
  Amounts total;
  // Names that do not count for shares.
  uint32_t excluded_names = 0;  // bit i stands for name i
  // Grows with every change of the two above.
  uint64_t version = 1;
};

// Weights are kept in millionths.
inline constexpr int64_t kWeightOne = 1'000'000;

class Sorter {
 public:
  using Visitor = absl::FunctionRef<bool(uint32_t client)>;

  virtual ~Sorter() = default;

  // Adds an inactive client. `client` is the caller's number, `path` its name: unique, not empty.
  virtual void Add(uint32_t client, std::string_view path) = 0;
  // Forgets a client and what was charged to it.
  virtual void Remove(uint32_t client) = 0;
  virtual bool Has(uint32_t client) const = 0;
  virtual void Activate(uint32_t client) = 0;
  virtual void Deactivate(uint32_t client) = 0;
  virtual uint32_t active_clients() const = 0;

  // The weight of the node at `path`, and so of its whole subtree; remembered when there is no
  // such node yet. In millionths, positive.
  virtual void SetWeight(std::string_view path, int64_t weight) = 0;

  // Charges a client and all above it; it was chosen one more time.
  virtual void Allocated(uint32_t client, const Amounts& amounts) = 0;
  virtual void Unallocated(uint32_t client, const Amounts& amounts) = 0;

  // Charges the node of a path and all above it, without counting it as chosen: what several
  // clients beneath share counts once. `path`: of a client's node or above one.
  virtual void Correct(std::string_view path, const Amounts& amounts, bool give) = 0;

  // What is charged to the client itself.
  virtual const Amounts& AllocationOf(uint32_t client) const = 0;

  // Calls `visit` for active clients in order until it returns false. `visit` must not change
  // the sorter.
  virtual void Visit(base::Rng* random, Visitor visit) = 0;

  // The dominant share of a client's node (with everything beneath), before weights, in
  // billionths.
  virtual uint64_t DominantShare(uint32_t client) const = 0;
};

enum class SorterKind { kDrf, kRandom };

// `hierarchical`: "/" in paths makes levels. `totals` must outlive the sorter.
std::unique_ptr<Sorter> NewSorter(SorterKind kind, bool hierarchical, const ClusterTotals* totals);

}  // namespace tessera::allocator
