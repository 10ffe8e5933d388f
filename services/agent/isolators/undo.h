// An undo as one line of text, for the state file and the undo journal.
//
//   <isolator> <step> <operation> <argument>...
//
// Arguments are percent-encoded, so that a path may hold blanks and newlines. Pure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "services/agent/isolators/step.h"

namespace tessera::agent {

// What was written down of a step that may have acted.
struct SavedUndo {
  std::string isolator;
  std::string step;
  UndoOperation operation;
  friend bool operator==(const SavedUndo&, const SavedUndo&) = default;
};

std::string FormatUndo(const SavedUndo& undo);

// DATA_LOSS naming what cannot be read. An operation that is not known is one, too: it must not be
// dropped, as nothing else remembers it.
absl::StatusOr<SavedUndo> ParseUndo(std::string_view line);

}  // namespace tessera::agent
