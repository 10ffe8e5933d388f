#include "services/allocator/core/run_schedule.h"

#include <cstdint>

namespace tessera::allocator {

void RunSchedule::Begin(absl::Time now) {
  if (begun_) return;
  begun_ = true;
  AwaitRecovery(now);
  next_full_run_ = now + tables_.config.allocation_interval;
  WantOnAll(now);
}

void RunSchedule::ExpectRecovery(const RecoveryExpected& expected, absl::Time now) {
  recovery_ = expected;
  if (begun_) AwaitRecovery(now);
}

// Whether there is a quota is known at the end of the snapshot, wherever in it the announcement is.
void RunSchedule::AwaitRecovery(absl::Time now) {
  if (!recovery_ || recovery_->agents == 0 || !tables_.quotas.AnyQuota()) return;
  resume_at_ = now + recovery_->timeout;
  ResumeIfEnoughAgents(now);
}

void RunSchedule::ResumeIfEnoughAgents(absl::Time now) {
  if (!resume_at_ || tables_.agents.known() < recovery_->agents) return;
  resume_at_.reset();
  WantOnAll(now);
}

void RunSchedule::ResumeIfLate(absl::Time now) {
  if (!resume_at_ || now < *resume_at_) return;
  resume_at_.reset();
  WantOnAll(now);
}

void RunSchedule::WantOn(AgentNum number, absl::Time now) {
  NoteCause(now);
  Agent& agent = tables_.agents.at(number);
  if (agent.queued || all_queued_) return;
  agent.queued = true;
  queued_.push_back(number);
}

void RunSchedule::WantOnAll(absl::Time now) {
  NoteCause(now);
  all_queued_ = true;
}

bool RunSchedule::WantFor(FrameworkNum number, absl::Time now) {
  // Each run costs an interval; so many may be paid for ahead.
  const AllocatorConfig& config = tables_.config;
  Framework& framework = tables_.frameworks.at(number);
  const absl::Duration ahead = config.allocation_interval * config.runs_on_demand_max;
  const absl::Time paid = std::max(framework.runs_paid_until, now) + config.allocation_interval;
  if (paid > now + ahead) return false;
  framework.runs_paid_until = paid;
  WantOnAll(now);
  return true;
}

absl::Time RunSchedule::NextEventRun() const {
  if (first_cause_ == absl::InfiniteFuture()) return absl::InfiniteFuture();
  return std::max(first_cause_, last_run_ + tables_.config.min_batch_interval);
}

absl::Time RunSchedule::NextDeadline() const {
  if (!begun_) return absl::InfiniteFuture();
  if (resume_at_) return *resume_at_;
  return std::min(next_full_run_, NextEventRun());
}

std::optional<RunSchedule::DueRun> RunSchedule::TakeDue(absl::Time now,
                                                        std::vector<AgentNum>* agents) {
  if (paused()) return std::nullopt;
  const bool periodic = now >= next_full_run_;
  if (periodic) {
    NoteCause(now);
    next_full_run_ = now + tables_.config.allocation_interval;
  } else if (now < NextEventRun()) {
    return std::nullopt;
  }
  const DueRun due{.full = periodic || all_queued_, .waited = now - first_cause_};
  agents->clear();
  if (due.full) {
    for (uint32_t index = 0; index < tables_.agents.slots(); ++index) {
      agents->push_back(AgentNum{index});
    }
  } else {
    *agents = queued_;
  }
  for (AgentNum agent : queued_) tables_.agents.at(agent).queued = false;
  queued_.clear();
  all_queued_ = false;
  first_cause_ = absl::InfiniteFuture();
  last_run_ = now;
  return due;
}

}  // namespace tessera::allocator
