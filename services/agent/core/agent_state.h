// What the flows of one agent share: its tables, its log, its deadlines, and the step that is being
// done. Each table keeps its own invariants; what holds between tables is the flows' business.
//
// Threads: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/agent_events.h"
#include "services/agent/core/agent_view.h"
#include "services/agent/core/container_table.h"
#include "services/agent/core/deadlines.h"
#include "services/agent/core/executor_table.h"
#include "services/agent/core/framework_table.h"
#include "services/agent/core/journal.h"
#include "services/agent/core/master_session.h"
#include "services/agent/core/pod_table.h"
#include "services/agent/core/resource_book.h"
#include "services/agent/core/sandbox_gc.h"
#include "services/agent/core/task_table.h"
#include "services/agent/core/view_table.h"
#include "services/base/rng.h"

namespace tessera::agent {

struct AgentState {
  AgentState(AgentConfig agent_config, UuidSource uuid_source, base::Rng rng)
      : config(std::move(agent_config)),
        uuids(std::move(uuid_source)),
        session(config, rng),
        journal(config.compact_records_min),
        views(config.ended_containers_max),
        sandboxes(config.gc_delay, config.gc_disk_headroom) {}
  AgentState(const AgentState&) = delete;
  AgentState& operator=(const AgentState&) = delete;

  const AgentConfig config;
  const UuidSource uuids;

  // The step: what time it is, and what comes of it. No effects between steps.
  absl::Time now;
  Effects* effects = nullptr;

  // The machine was booted since the log was written.
  bool rebooted = false;
  // As registered; without an id before that. Changed by SetInfo.
  std::shared_ptr<const model::v1::AgentInfo> info;
  // Everything is being killed; afterwards the agent registers as a new one.
  bool leaving = false;
  std::optional<model::v1::DrainConfig> drain;
  // What space the log has left is for the ends of what runs.
  bool log_space_low = false;

  MasterSession session;
  Journal journal;
  Deadlines deadlines;
  ResourceBook book;
  FrameworkTable frameworks;
  ExecutorTable executors;
  TaskTable tasks;
  PodTable pods;
  ContainerTable containers;
  ViewTable views;
  SandboxGc sandboxes;

  void Emit(Effect effect) { effects->push_back(std::move(effect)); }
  // To the master, if there is a link.
  void Send(agentlink::v1::AgentMessage message) {
    if (session.link() != 0) Emit(SendToMaster{session.link(), std::move(message)});
  }

  void SetInfo(std::shared_ptr<const model::v1::AgentInfo> new_info) {
    info = std::move(new_info);
    Touch();
  }

  // Something that readers see has changed and has no count of its own.
  void Touch() { ++touches; }
  // Grows with each change of what readers see.
  uint64_t changes() const {
    return touches + book.changes() + tasks.changes() + views.changes() + sandboxes.changes();
  }

  // Readers see the counters: who changes them says so by asking here.
  AgentCounters& Count() {
    Touch();
    return counters;
  }

  // Changed by Count and Touch.
  AgentCounters counters;
  uint64_t touches = 0;
};

}  // namespace tessera::agent
