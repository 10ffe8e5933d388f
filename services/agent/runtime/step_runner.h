// Carries the host steps of plans out, with their undo written down before, and takes them back.
//
//   WriteDown  what must survive a reboot goes into the undo journal; what dies with the kernel is
//              for the caller to put beside the state (KernelUndos)
//   Run        the steps of a phase, in order
//   TakeBack   every undo that is written down, last first, and then the journal's records go
//
// A step that fails stops the launch; the caller then takes all back, also what never acted.
// Blocking; thread-safe, one owner on one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/container/undo_journal.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/runtime/step_executor.h"

namespace tessera::agent {

class StepRunner {
 public:
  // Both outlive the runner.
  StepRunner(StepExecutor* executor, UndoJournal* journal)
      : executor_(executor), journal_(journal) {}

  static std::vector<SavedUndo> KernelUndos(const IsolationPlan& plan);

  // Costs nothing without steps that need it. The journal's error.
  absl::Status WriteDown(const ContainerId& owner, const IsolationPlan& plan);

  // The failed step's error, with its isolator and name.
  absl::Status Run(const IsolationPlan& plan, Phase phase, const std::string& cgroup);

  // `kernel`: those beside the state, none after a reboot; they go first, as what they take back
  // may lie on what the journal's do. Repeatable. The first error; the others are tried all the
  // same, and what the journal holds stays there.
  absl::Status TakeBack(const ContainerId& owner, const std::vector<SavedUndo>& kernel);

  // Owners of which the journal holds something.
  std::vector<ContainerId> Owners() const { return journal_->Owners(); }

 private:
  absl::Status UndoOne(const SavedUndo& undo);

  StepExecutor* const executor_;
  UndoJournal* const journal_;
};

}  // namespace tessera::agent
