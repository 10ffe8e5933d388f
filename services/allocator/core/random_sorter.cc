#include "services/allocator/core/random_sorter.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "services/allocator/core/drf_sorter.h"

namespace tessera::allocator {
namespace {

using Wide = unsigned __int128;
constexpr uint64_t kWholeMass = uint64_t{1} << 62;

}  // namespace

RandomSorter::RandomSorter(bool hierarchical, const ClusterTotals* totals)
    : tree_(hierarchical), totals_(totals) {}

void RandomSorter::Add(uint32_t client, std::string_view path) {
  tree_.AddLeaf(client, path);
  stale_ = true;
}

void RandomSorter::Remove(uint32_t client) {
  Deactivate(client);
  tree_.RemoveLeaf(client);
  stale_ = true;
}

void RandomSorter::Activate(uint32_t client) {
  const NodeNum leaf = tree_.LeafOf(client);
  if (tree_.node(leaf).active_leaves > 0) return;
  tree_.CountActive(leaf, 1);
  stale_ = true;
}

void RandomSorter::Deactivate(uint32_t client) {
  const NodeNum leaf = tree_.LeafOf(client);
  if (tree_.node(leaf).active_leaves == 0) return;
  tree_.CountActive(leaf, -1);
  stale_ = true;
}

void RandomSorter::SetWeight(std::string_view path, int64_t weight) {
  if (tree_.SetWeight(path, weight) != kNoNumber) stale_ = true;
}

void RandomSorter::Allocated(uint32_t client, const Amounts& amounts) {
  for (NodeNum at = tree_.LeafOf(client); at != kNoNumber; at = tree_.node(at).parent) {
    tree_.node(at).allocation += amounts;
  }
}

void RandomSorter::Unallocated(uint32_t client, const Amounts& amounts) {
  for (NodeNum at = tree_.LeafOf(client); at != kNoNumber; at = tree_.node(at).parent) {
    tree_.node(at).allocation -= amounts;
  }
}

void RandomSorter::Correct(std::string_view path, const Amounts& amounts, bool give) {
  for (NodeNum at = tree_.Find(path); at != kNoNumber; at = tree_.node(at).parent) {
    if (give) {
      tree_.node(at).allocation += amounts;
    } else {
      tree_.node(at).allocation -= amounts;
    }
  }
}

void RandomSorter::Spread(NodeNum parent, uint64_t mass) {
  Wide weights = 0;
  for (NodeNum child : tree_.node(parent).children) {
    if (tree_.node(child).active_leaves > 0) {
      weights += static_cast<uint64_t>(tree_.node(child).weight);
    }
  }
  for (NodeNum number : tree_.node(parent).children) {
    const ClientTree::Node& child = tree_.node(number);
    if (child.active_leaves == 0) continue;
    const uint64_t part =
        std::max<uint64_t>(1, static_cast<uint64_t>(static_cast<Wide>(mass) *
                                                    static_cast<uint64_t>(child.weight) / weights));
    if (child.client != kNoNumber) {
      leaves_.push_back({child.client, part});
    } else {
      Spread(number, part);
    }
  }
}

void RandomSorter::Refresh() {
  leaves_.clear();
  Spread(ClientTree::kRoot, kWholeMass);
  uniform_ = std::all_of(leaves_.begin(), leaves_.end(),
                         [this](const Leaf& leaf) { return leaf.mass == leaves_[0].mass; });
  sums_.assign(leaves_.size() + 1, 0);
  mass_ = 0;
  for (size_t i = 1; i <= leaves_.size(); ++i) {
    sums_[i] += leaves_[i - 1].mass;
    mass_ += leaves_[i - 1].mass;
    const size_t above = i + (i & -i);
    if (above <= leaves_.size()) sums_[above] += sums_[i];
  }
  stale_ = false;
}

void RandomSorter::Visit(base::Rng* random, Visitor visit) {
  if (stale_) Refresh();
  if (leaves_.empty()) return;
  if (uniform_) {
    VisitUniform(random, visit);
  } else {
    VisitWeighted(random, visit);
  }
}

// A shuffle that stops with the visitor. The order left behind is as good a start as any.
void RandomSorter::VisitUniform(base::Rng* random, Visitor visit) {
  for (size_t place = 0; place < leaves_.size(); ++place) {
    std::swap(leaves_[place], leaves_[place + random->Below(leaves_.size() - place)]);
    if (!visit(leaves_[place].client)) return;
  }
}

void RandomSorter::VisitWeighted(base::Rng* random, Visitor visit) {
  const size_t top = std::bit_floor(leaves_.size());
  uint64_t left = mass_;
  drawn_.clear();
  while (left > 0) {
    // The leaf in whose part of the remaining mass the point falls.
    uint64_t point = random->Below(left);
    size_t at = 0;
    for (size_t step = top; step > 0; step >>= 1) {
      if (at + step <= leaves_.size() && sums_[at + step] <= point) {
        at += step;
        point -= sums_[at];
      }
    }
    const Leaf& leaf = leaves_[at];
    drawn_.push_back(static_cast<uint32_t>(at));
    left -= leaf.mass;
    for (size_t i = at + 1; i < sums_.size(); i += i & -i) sums_[i] -= leaf.mass;
    if (!visit(leaf.client)) break;
  }
  for (uint32_t index : drawn_) {
    for (size_t i = index + 1; i < sums_.size(); i += i & -i) sums_[i] += leaves_[index].mass;
  }
}

uint64_t RandomSorter::DominantShare(uint32_t client) const {
  const Amounts& allocation = tree_.node(tree_.NodeOf(client)).allocation;
  uint64_t share = 0;
  for (size_t name = 0; name < kScalarNamesMax; ++name) {
    if (totals_->total[name] <= 0 || allocation[name] <= 0) continue;
    if ((totals_->excluded_names >> name & 1) != 0) continue;
    const Wide part = static_cast<Wide>(allocation[name]) * 1'000'000'000 /
                      static_cast<uint64_t>(totals_->total[name]);
    share = std::max(share, static_cast<uint64_t>(std::min<Wide>(part, UINT64_MAX)));
  }
  return share;
}

uint64_t RandomSorter::RelativeWeight(uint32_t client) {
  if (stale_) Refresh();
  for (const Leaf& leaf : leaves_) {
    if (leaf.client == client) {
      return static_cast<uint64_t>(static_cast<Wide>(leaf.mass) * 1'000'000'000 / mass_);
    }
  }
  return 0;
}

std::unique_ptr<Sorter> NewSorter(SorterKind kind, bool hierarchical, const ClusterTotals* totals) {
  if (kind == SorterKind::kRandom) return std::make_unique<RandomSorter>(hierarchical, totals);
  return std::make_unique<DrfSorter>(hierarchical, totals);
}

}  // namespace tessera::allocator
