// The master's side of the allocator's stream: opens it, numbers its messages, opens it anew when
// it breaks, or when the allocator answers no ping: one that is stuck keeps its connection. What
// the messages say is the business of books.
//
// Invariants: sequence numbers of a stream begin at 1 and have no gaps; changes are sent only after
// the snapshot was begun, and before that they are dropped, because the snapshot will hold them. A
// message has at most kBatchPartsMax changes, and at most one after kBatchBytesMax.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/master/core/counters.h"
#include "services/master/core/master_config.h"
#include "services/master/core/outbox.h"
#include "services/master/core/request_ids.h"
#include "services/master/core/timers.h"

namespace tessera::master {

class AllocatorLink {
 public:
  AllocatorLink(const MasterConfig* config, uint64_t epoch, RequestIds* ids, base::Rng rng,
                Outbox* outbox, Timers* timers, MasterCounters* counters);

  // Asks for a stream.
  void Dial();
  // The stream asked for is open: the caller adds the rows of a snapshot, then CompleteSnapshot().
  // False when it is not the stream asked for.
  bool OnConnected(absl::Time now, LinkId link);
  // False when the link is not the current one. A new one is dialled after a wait.
  bool OnDisconnected(absl::Time now, LinkId link, const absl::Status& status);
  // True when an answer belongs to the current stream and epoch.
  bool Accepts(absl::Time now, const AllocatorMessage& message);
  // The wait before dialling is over.
  void OnRetry();
  // Pings, or gives the stream up.
  void OnPingDue(absl::Time now, const Timer& timer);
  // The allocator and this master disagree: begin anew with a snapshot.
  void Restart(const std::string& why);

  // Ends the stream for good: this master leads no more.
  void Close();

  bool connected() const { return connected_; }

  // A change to fill in; the result is dropped while there is no stream. Gathered changes are sent
  // by Flush(), or when there are many.
  alloc::ClusterEvent& Add();
  // The number of the message that the change added next will be in.
  uint64_t NextSequence() { return sequence_ + (MessageIsFull() ? 2 : 1); }
  void CompleteSnapshot();
  void Flush();

 private:
  // Counts the change added last, which is filled in by now. True when no other may be added to the
  // message.
  bool MessageIsFull();
  void ClearGathered();
  void Send(bool snapshot_complete, bool ping = false);
  void ArmPing(absl::Time now);

  const MasterConfig* config_;
  const uint64_t epoch_;
  RequestIds* ids_;
  Outbox* outbox_;
  Timers* timers_;
  MasterCounters* counters_;
  base::Rng rng_;
  base::Backoff retry_;
  LinkId link_;
  bool connected_ = false;
  // When the allocator has shown last that it takes in what it is sent.
  absl::Time heard_ = absl::InfinitePast();
  uint64_t sequence_ = 0;
  alloc::AllocateRequest gathered_;
  // How many changes of gathered_ are counted, and their bytes.
  int counted_ = 0;
  size_t counted_bytes_ = 0;
  alloc::ClusterEvent dropped_;
};

}  // namespace tessera::master
