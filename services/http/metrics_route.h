// The /metrics route: a prometheus registry as text, and what every service tells of itself alike:
// which build it is, whether it found a fault of its own, and what the process costs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "services/http/http_server.h"

namespace prometheus {
class Collectable;
}

namespace tessera::http {

// Serves `metrics` in the text format, with tessera_build_info, whose label is the version,
// tessera_bugs_total (services/base/bug.h), process_start_time_seconds, process_cpu_seconds_total,
// process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds and
// process_max_fds. `refresh` (may be null) runs before each collection on an HTTP thread, to move a
// published snapshot of plain counters into the registry.
Route MetricsRoute(std::shared_ptr<prometheus::Collectable> metrics,
                   std::function<void()> refresh = nullptr);

}  // namespace tessera::http
