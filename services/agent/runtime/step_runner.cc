#include "services/agent/runtime/step_runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr absl::Duration kUndoPatience = absl::Seconds(10);
constexpr absl::Duration kLongestPause = absl::Milliseconds(100);

std::vector<SavedUndo> UndosOf(const IsolationPlan& plan, UndoHome home) {
  std::vector<SavedUndo> undos;
  for (const HostStep& step : plan.host) {
    if (!step.undo.has_value() || step.undo->home != home) continue;
    undos.push_back({step.isolator, step.name, step.undo->operation});
  }
  return undos;
}

}  // namespace

std::vector<SavedUndo> StepRunner::KernelUndos(const IsolationPlan& plan) {
  return UndosOf(plan, UndoHome::kKernel);
}

absl::Status StepRunner::WriteDown(const ContainerId& owner, const IsolationPlan& plan) {
  std::vector<UndoRecord> records;
  for (const SavedUndo& undo : UndosOf(plan, UndoHome::kDisk)) {
    records.push_back({owner, FormatUndo(undo)});
  }
  return records.empty() ? absl::OkStatus() : journal_->Append(records);
}

absl::Status StepRunner::Run(const IsolationPlan& plan, Phase phase, const std::string& cgroup) {
  for (const HostStep& step : plan.host) {
    if (step.phase != phase) continue;
    const absl::Status acted = executor_->Act(step.operation, cgroup);
    if (!acted.ok()) return base::Annotate(acted, absl::StrCat(step.isolator, ": ", step.name));
  }
  return absl::OkStatus();
}

absl::Status StepRunner::UndoOne(const SavedUndo& undo) {
  const absl::Time deadline = absl::Now() + kUndoPatience;
  absl::Duration pause = absl::Milliseconds(1);
  for (;;) {
    const absl::Status undone = executor_->Undo(undo.operation);
    if (!absl::IsUnavailable(undone) || absl::Now() > deadline) {
      return base::Annotate(undone, absl::StrCat(undo.isolator, ": undo of ", undo.step));
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

absl::Status StepRunner::TakeBack(const ContainerId& owner, const std::vector<SavedUndo>& kernel) {
  absl::Status result;
  const auto note = [&result](const absl::Status& status) {
    if (result.ok()) result = status;
  };
  for (auto undo = kernel.rbegin(); undo != kernel.rend(); ++undo) note(UndoOne(*undo));
  const std::vector<UndoRecord> records = journal_->RecordsOf(owner);
  if (records.empty()) return result;
  absl::Status of_journal;
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    const absl::StatusOr<SavedUndo> undo = ParseUndo(record->undo);
    const absl::Status undone = undo.ok() ? UndoOne(*undo) : undo.status();
    if (of_journal.ok()) of_journal = undone;
  }
  if (of_journal.ok()) of_journal = journal_->Forget(owner);
  note(of_journal);
  return result;
}

}  // namespace tessera::agent
