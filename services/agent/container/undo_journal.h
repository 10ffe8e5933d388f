// Where the undo of a step is kept that must outlive a reboot: an address that a plugin gave out, a
// lease on a layer, a volume that is mounted.
//
// A step's undo is written before the step acts, and may be carried out more than once: after a
// crash nobody knows whether the step acted, or the undo did. What dies with the kernel (cgroups,
// mounts, interfaces) does not belong here but beside the container's state, where nothing has to
// be synced (runtime/state_file.h).
//
// The runtime writes and reads; whoever owns a durable log keeps. A record's `undo` is text of the
// runtime's own (isolators/undo.h): the keeper stores it as it is. FileUndoJournal
// (runtime/file_undo_journal.h) is a file for it alone.
//
// Threads: any. The runtime waits for Append on a thread of its own.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/container/container_id.h"

namespace tessera::agent {

struct UndoRecord {
  // The container or pod for which the step acts.
  ContainerId owner;
  // One line without tabs.
  std::string undo;

  friend bool operator==(const UndoRecord&, const UndoRecord&) = default;
};

class UndoJournal {
 public:
  virtual ~UndoJournal() = default;

  // Returns when the records are durable, all of them. On an error none may be taken for written,
  // though after a crash some may be found: the steps have not acted, and undoing them is harmless.
  virtual absl::Status Append(const std::vector<UndoRecord>& records) = 0;

  // All of the owner's is undone: its records may go. Need not be durable when it returns.
  virtual absl::Status Forget(const ContainerId& owner) = 0;

  // In the order in which they were appended.
  virtual std::vector<UndoRecord> RecordsOf(const ContainerId& owner) const = 0;
  virtual std::vector<ContainerId> Owners() const = 0;
};

}  // namespace tessera::agent
