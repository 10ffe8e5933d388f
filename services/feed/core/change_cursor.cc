#include "services/feed/core/change_cursor.h"

#include <cstdint>

namespace tessera::feed {

bool ChangeCursor::Next(size_t max, std::vector<Change>* changes) {
  Telling telling(max, changes);
  size_t kind = 0;
  bool going = true;
  Kinds::ForEach([&](const auto& entry) {
    if (going && kind == kind_) {
      going = entry.tell(*snapshot_, &place_, &telling);
      if (going) {
        ++kind_;
        place_ = {};
      }
    }
    ++kind;
  });
  return kind_ < Kinds::kCount;
}

std::vector<Change> ChangesOf(const SnapshotPtr& snapshot) {
  std::vector<Change> changes;
  ChangeCursor cursor(snapshot);
  while (cursor.Next(SIZE_MAX, &changes)) {
  }
  return changes;
}

}  // namespace tessera::feed
