#include "services/agent/core/journal.h"

#include <algorithm>

namespace tessera::agent {

std::optional<Persist> Journal::Flush(absl::FunctionRef<std::vector<Record>()> essence) {
  if (!written_) return std::nullopt;
  written_ = false;
  records_in_log_ += records_.size();
  Persist persist;
  persist.id = ++last_persist_;
  persist.records = std::exchange(records_, {});
  if (records_in_log_ < compact_at_) return persist;
  std::vector<Record> present = essence();
  // Not worth it, and not soon again, when the log is mostly alive.
  compact_at_ = std::max(compact_records_min_, present.size() * 4);
  if (present.size() * 4 > records_in_log_) return persist;
  persist.replace = true;
  records_in_log_ = present.size();
  persist.records = std::move(present);
  return persist;
}

Persist Journal::Restart(std::vector<Record> essence) {
  written_ = false;
  records_.clear();
  Persist persist;
  persist.id = ++last_persist_;
  persist.replace = true;
  records_in_log_ = essence.size();
  persist.records = std::move(essence);
  return persist;
}

}  // namespace tessera::agent
