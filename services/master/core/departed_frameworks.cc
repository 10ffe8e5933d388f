#include "services/master/core/departed_frameworks.h"

namespace tessera::master {

FrameworkMetrics MetricsOf(const Framework& framework) {
  FrameworkMetrics row;
  row.id = framework.id;
  row.name = framework.info.name();
  row.principal = framework.info.principal();
  row.user = framework.info.user();
  row.subscribed = framework.connected();
  for (const std::string& role : framework.roles) {
    row.roles_suppressed.emplace_back(role, framework.suppressed_roles.contains(role));
  }
  row.counters = framework.counters;
  return row;
}

void DepartedFrameworks::Keep(absl::Time now, const Framework& framework, size_t max) {
  rows_.push_back({now, MetricsOf(framework)});
  rows_.back().metrics.subscribed = false;
  while (rows_.size() > max) rows_.pop_front();
}

}  // namespace tessera::master
