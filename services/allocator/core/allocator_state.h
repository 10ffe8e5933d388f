// What the flows of one allocator share: the cluster and those who keep its tables in step, the
// runs to come, and the step that is being done.
// Not thread safe.
#pragma once

#include <string>
#include <utility>

#include "absl/time/time.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/allocator_counters.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/capacity.h"
#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/holdings.h"
#include "services/allocator/core/run_schedule.h"
#include "services/allocator/core/subscriptions.h"

namespace tessera::allocator {

struct AllocatorState {
  // `words` must outlive the state.
  AllocatorState(const AllocatorConfig& config, const Vocabulary* words)
      : tables(config, words),
        subscriptions(&tables),
        capacity(&tables),
        holdings(&tables, &capacity, &subscriptions),
        runs(&tables) {}
  AllocatorState(const AllocatorState&) = delete;
  AllocatorState& operator=(const AllocatorState&) = delete;

  const Vocabulary& words() const { return tables.words; }

  // The event contradicts the tables; nothing has changed.
  void Refuse(RefusalReason reason, std::string detail) {
    ++counters.refused_events;
    effects->push_back(Refused{reason, std::move(detail)});
  }
  // Refuse and return false when there is none.
  bool CheckFramework(FrameworkNum number) {
    if (tables.frameworks.Find(number) != nullptr) return true;
    Refuse(RefusalReason::kUnknownFramework, "");
    return false;
  }
  bool CheckAgent(AgentNum number) {
    if (tables.agents.Find(number) != nullptr) return true;
    Refuse(RefusalReason::kUnknownAgent, "");
    return false;
  }

  void WantRunOn(AgentNum agent) { runs.WantOn(agent, now); }
  void WantRunOnAll() { runs.WantOnAll(now); }
  // The framework asks for a run over all agents.
  void WantRunFor(FrameworkNum framework) {
    if (!runs.WantFor(framework, now)) ++counters.runs_not_made_on_demand;
  }

  // The step: what time it is, and what comes of it. No effects between steps.
  absl::Time now = absl::InfinitePast();
  Effects* effects = nullptr;

  ClusterTables tables;
  Subscriptions subscriptions;
  Capacity capacity;
  Holdings holdings;
  RunSchedule runs;
  AllocatorCounters counters;
};

}  // namespace tessera::allocator
