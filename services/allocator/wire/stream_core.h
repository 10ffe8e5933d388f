// The streams of masters around one allocator core: epochs, sequence numbers, snapshots.
//
// At most one stream is served at a time. The first request of a stream opens it; a newer stream
// with the same or a higher epoch ends the older one and starts from nothing, with a core and a
// vocabulary of its own. Whatever contradicts ends the stream with a reason and nothing is kept, so
// that the master's next stream begins with a snapshot.
//
// Invariants: no stream with an epoch below the highest seen is ever served; each response says up
// to which request of its stream it is true. Pure: no gRPC, no clock, no threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/allocator/v1/allocator_service.pb.h"
#include "services/allocator/core/allocator_core.h"
#include "services/auth/caller.h"
#include "services/base/rng.h"

namespace tessera::allocator {

// ---- Events. Stream numbers are given by the caller, each once, and grow.

struct RequestArrived {
  uint64_t stream = 0;
  std::shared_ptr<const v1::AllocateRequest> request;
  auth::Caller caller;
};
struct StreamEnded {
  uint64_t stream = 0;
};
struct StreamWake {};
using StreamEvent = std::variant<RequestArrived, StreamEnded, StreamWake>;
static_assert(auth::kCarriesCallers<StreamEvent, StreamEnded, StreamWake>);

// ---- Effects.

struct SendResponse {
  uint64_t stream = 0;
  v1::AllocateResponse response;
};
// Nothing of this stream is served any longer.
struct EndStream {
  uint64_t stream = 0;
  absl::Status status;
};
// What a run did, for those who measure.
struct RunDone {
  bool full = false;
  uint32_t agents_considered = 0;
  uint64_t pairs_considered = 0;
  size_t allocations = 0;
  absl::Duration waited;
};
using StreamEffect = std::variant<SendResponse, EndStream, RunDone>;

struct StreamCoreConfig {
  AllocatorConfig allocator;
  VocabularyBounds bounds;
  // The region of the masters; empty when no agent counts as remote.
  std::string region;
  // Responses carry at most this many allocations.
  size_t allocations_per_response = 1000;
};

class StreamCore {
 public:
  StreamCore(const StreamCoreConfig& config, uint64_t seed);

  void Step(absl::Time now, const StreamEvent& event, std::vector<StreamEffect>* effects);
  absl::Time NextDeadline() const;

  // Why a framework is not offered what it wants. Changes nothing. Errors as of ExplainFromProto;
  // UNAVAILABLE (RECOVERING) while no snapshot is complete.
  absl::StatusOr<v1::ExplainAllocationResponse> Explain(
      const v1::ExplainAllocationRequest& request) const;

  // The core of the stream under way, null when there is none.
  const AllocatorCore* allocator() const { return session_ ? &session_->core : nullptr; }
  // The names its numbers stand for; null like allocator().
  const Vocabulary* words() const { return session_ ? &session_->words : nullptr; }
  // Over all streams so far.
  AllocatorCounters counters() const;
  uint64_t highest_epoch() const { return highest_epoch_; }
  uint64_t streams_refused() const { return streams_refused_; }
  // Over all streams so far, see Vocabulary.
  uint64_t resources_left_out() const;
  uint64_t bad_expressions() const;

 private:
  struct Session {
    Session(const StreamCoreConfig& config, uint64_t seed)
        : words(config.bounds), core(config.allocator, &words, seed) {}
    uint64_t stream = 0;
    uint64_t epoch = 0;
    uint64_t sequence = 0;  // of the newest request taken in
    bool snapshot_complete = false;
    Vocabulary words;
    AllocatorCore core;
  };

  void On(absl::Time now, const RequestArrived& event, std::vector<StreamEffect>* effects);
  void On(absl::Time now, const StreamEnded& event, std::vector<StreamEffect>* effects);
  void On(absl::Time now, const StreamWake& event, std::vector<StreamEffect>* effects);

  // Opens a session for a new stream, or says why not.
  absl::Status Open(const RequestArrived& event, std::vector<StreamEffect>* effects);
  absl::Status TakeIn(absl::Time now, const v1::AllocateRequest& request,
                      std::vector<StreamEffect>* effects);
  // Carries out what the core answered; an error when it refused the event.
  absl::Status Answer(Effects core_effects, std::vector<StreamEffect>* effects);
  void Send(const AllocationBatch& batch, std::vector<StreamEffect>* effects);
  void End(uint64_t stream, absl::Status status, std::vector<StreamEffect>* effects);
  void CloseSession();

  const StreamCoreConfig config_;
  base::Rng rng_;
  std::unique_ptr<Session> session_;
  uint64_t highest_epoch_ = 0;
  uint64_t newest_stream_ = 0;
  uint64_t streams_refused_ = 0;
  AllocatorCounters past_;  // of sessions that have ended
  uint64_t past_left_out_ = 0;
  uint64_t past_bad_expressions_ = 0;
  std::vector<Event> scratch_;
};

}  // namespace tessera::allocator
