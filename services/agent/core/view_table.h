// What readers are shown of each container, kept so that a snapshot costs what has changed since
// the last one.
//
// Invariant: a view that was handed out never changes. Ended containers are known until
// ended_max others have ended after them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "services/agent/core/agent_view.h"

namespace tessera::agent {

class ViewTable {
 public:
  explicit ViewTable(size_t ended_max) : ended_max_(ended_max) {}

  // Of a container that has begun, by its serial number.
  void Begin(uint64_t serial, ContainerView view);
  void Change(uint64_t serial, absl::FunctionRef<void(ContainerView*)> change);
  // The container has ended, and its task like this. None: how it ended is not known.
  void End(uint64_t serial, const std::optional<ContainerTermination>& termination,
           model::v1::TaskState state, model::v1::TaskStatusReason reason);
  // Nothing is to be shown of it any more.
  void Drop(uint64_t serial);
  void Clear();

  // An ended one that is still known; null otherwise.
  const ContainerView* FindEnded(const std::string& container_id) const;

  ContainerViews Present() const;
  uint64_t changes() const { return changes_; }

 private:
  using ViewPtr = std::shared_ptr<const ContainerView>;
  struct Piece {
    std::map<uint64_t, ViewPtr> views;
    // Made when it is asked for; null when something has changed.
    mutable std::shared_ptr<const ContainerViews::Piece> shown;
  };

  void Put(uint64_t serial, ContainerView view);

  const size_t ended_max_;
  std::map<uint64_t, Piece> pieces_;
  std::deque<ViewPtr> ended_;
  mutable std::shared_ptr<const ContainerViews::Piece> ended_shown_;
  uint64_t changes_ = 0;
};

}  // namespace tessera::agent
