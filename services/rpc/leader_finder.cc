#include "services/rpc/leader_finder.h"

#include <utility>

#include "services/base/bug.h"
#include "services/rpc/error.h"

namespace tessera::rpc {

LeaderFinder::LeaderFinder(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {
  // Nothing is reached by an empty address, and that shows.
  if (TESSERA_BUG_IF(seeds_.empty(), "a client without a server to dial")) seeds_.emplace_back();
  address_ = seeds_[0];
  next_seed_ = 1 % seeds_.size();
}

bool LeaderFinder::Failed(const absl::Status& status) {
  const auto detail = DetailOf(status);
  const bool hinted = detail.has_value() &&
                      detail->reason() == model::v1::ErrorDetail::NOT_LEADER &&
                      !detail->leader_address().empty() && detail->leader_address() != address_;
  if (hinted && hints_followed_ < seeds_.size()) {
    ++hints_followed_;
    address_ = detail->leader_address();
    return true;
  }
  hints_followed_ = 0;
  address_ = seeds_[next_seed_];
  next_seed_ = (next_seed_ + 1) % seeds_.size();
  return false;
}

}  // namespace tessera::rpc
