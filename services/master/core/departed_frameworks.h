// The last numbers of frameworks that ended, so that a scrape of metrics still sees them.
#pragma once

#include <deque>
#include <utility>

#include "absl/time/time.h"
#include "services/master/core/counters.h"
#include "services/master/core/framework_table.h"

namespace tessera::master {

// A framework's numbers with what names them.
FrameworkMetrics MetricsOf(const Framework& framework);

class DepartedFrameworks {
 public:
  struct Departed {
    absl::Time time;
    FrameworkMetrics metrics;
  };

  // At most `max` are kept, the oldest are forgotten.
  void Keep(absl::Time now, const Framework& framework, size_t max);
  // Oldest first.
  const std::deque<Departed>& rows() const { return rows_; }

 private:
  std::deque<Departed> rows_;
};

}  // namespace tessera::master
