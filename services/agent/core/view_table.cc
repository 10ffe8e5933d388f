#include "services/agent/core/view_table.h"

#include <utility>

namespace tessera::agent {
namespace {

// Containers of one piece: the work of one change. A snapshot takes a pointer for each piece.
constexpr uint64_t kPieceSize = 128;

}  // namespace

void ViewTable::Put(uint64_t serial, ContainerView view) {
  ++changes_;
  Piece& piece = pieces_[serial / kPieceSize];
  piece.views[serial] = std::make_shared<const ContainerView>(std::move(view));
  piece.shown = nullptr;
}

void ViewTable::Begin(uint64_t serial, ContainerView view) { Put(serial, std::move(view)); }

void ViewTable::Change(uint64_t serial, absl::FunctionRef<void(ContainerView*)> change) {
  auto piece = pieces_.find(serial / kPieceSize);
  if (piece == pieces_.end()) return;
  auto found = piece->second.views.find(serial);
  if (found == piece->second.views.end()) return;
  ContainerView changed = *found->second;
  change(&changed);
  Put(serial, std::move(changed));
}

void ViewTable::End(uint64_t serial, const std::optional<ContainerTermination>& termination,
                    model::v1::TaskState state, model::v1::TaskStatusReason reason) {
  auto piece = pieces_.find(serial / kPieceSize);
  if (piece == pieces_.end()) return;
  auto found = piece->second.views.find(serial);
  if (found == piece->second.views.end()) return;
  ContainerView last = *found->second;
  last.state = ContainerView::State::kEnded;
  last.termination = termination;
  last.final_state = state;
  last.final_reason = reason;
  ended_.push_back(std::make_shared<const ContainerView>(std::move(last)));
  if (ended_.size() > ended_max_) ended_.pop_front();
  ended_shown_ = nullptr;
  Drop(serial);
}

void ViewTable::Drop(uint64_t serial) {
  auto piece = pieces_.find(serial / kPieceSize);
  if (piece == pieces_.end() || piece->second.views.erase(serial) == 0) return;
  ++changes_;
  piece->second.shown = nullptr;
  if (piece->second.views.empty()) pieces_.erase(piece);
}

void ViewTable::Clear() {
  ++changes_;
  pieces_.clear();
  ended_.clear();
  ended_shown_ = nullptr;
}

const ContainerView* ViewTable::FindEnded(const std::string& container_id) const {
  for (const ViewPtr& view : ended_) {
    if (view->container_id == container_id) return view.get();
  }
  return nullptr;
}

ContainerViews ViewTable::Present() const {
  ContainerViews present;
  present.live.reserve(pieces_.size());
  for (const auto& [number, piece] : pieces_) {
    if (piece.shown == nullptr) {
      auto shown = std::make_shared<ContainerViews::Piece>();
      shown->reserve(piece.views.size());
      for (const auto& [serial, view] : piece.views) shown->push_back(view);
      piece.shown = std::move(shown);
    }
    present.live.push_back(piece.shown);
  }
  if (ended_shown_ == nullptr) {
    ended_shown_ = std::make_shared<ContainerViews::Piece>(ended_.begin(), ended_.end());
  }
  present.ended = ended_shown_;
  return present;
}

}  // namespace tessera::agent
