#include "services/allocator/wire/stream_core.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/allocator/wire/events.h"
#include "services/allocator/wire/explain.h"
#include "services/allocator/wire/resources.h"
#include "services/base/overloaded.h"
#include "services/base/status_macros.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

void Accumulate(const AllocatorCounters& more, AllocatorCounters* sum) {
  sum->events += more.events;
  sum->refused_events += more.refused_events;
  sum->full_runs += more.full_runs;
  sum->event_runs += more.event_runs;
  sum->allocations += more.allocations;
  sum->pairs_considered += more.pairs_considered;
  sum->agents_considered += more.agents_considered;
  sum->stale_recoveries += more.stale_recoveries;
  sum->filters_not_kept += more.filters_not_kept;
  sum->refusals_lengthened += more.refusals_lengthened;
  sum->inverse_allocations += more.inverse_allocations;
  sum->silences += more.silences;
  sum->runs_not_made_on_demand += more.runs_not_made_on_demand;
  sum->runs_cut_short += more.runs_cut_short;
}

absl::Status StaleEpoch(uint64_t epoch, uint64_t highest) {
  return rpc::Error(
      absl::StatusCode::kFailedPrecondition, model::v1::ErrorDetail::STALE_EPOCH,
      absl::StrCat("epoch ", epoch, " is over: a master with epoch ", highest, " leads"));
}

}  // namespace

StreamCore::StreamCore(const StreamCoreConfig& config, uint64_t seed)
    : config_(config), rng_(seed) {}

void StreamCore::Step(absl::Time now, const StreamEvent& event,
                      std::vector<StreamEffect>* effects) {
  std::visit([&](const auto& one) { On(now, one, effects); }, event);
}

absl::Time StreamCore::NextDeadline() const {
  return session_ ? session_->core.NextDeadline() : absl::InfiniteFuture();
}

absl::StatusOr<v1::ExplainAllocationResponse> StreamCore::Explain(
    const v1::ExplainAllocationRequest& request) const {
  if (!session_ || !session_->snapshot_complete) {
    return rpc::Error(absl::StatusCode::kUnavailable, model::v1::ErrorDetail::RECOVERING,
                      "no master has told the allocator of its cluster yet; try again soon");
  }
  return ExplainFromProto(request, session_->core, session_->words);
}

AllocatorCounters StreamCore::counters() const {
  AllocatorCounters all = past_;
  if (session_) Accumulate(session_->core.counters(), &all);
  return all;
}

uint64_t StreamCore::resources_left_out() const {
  return past_left_out_ + (session_ ? session_->words.left_out() : 0);
}

uint64_t StreamCore::bad_expressions() const {
  return past_bad_expressions_ + (session_ ? session_->words.bad_expressions() : 0);
}

void StreamCore::CloseSession() {
  Accumulate(session_->core.counters(), &past_);
  past_left_out_ += session_->words.left_out();
  past_bad_expressions_ += session_->words.bad_expressions();
  session_.reset();
}

void StreamCore::End(uint64_t stream, absl::Status status, std::vector<StreamEffect>* effects) {
  if (session_ && session_->stream == stream) CloseSession();
  ++streams_refused_;
  effects->push_back(EndStream{stream, std::move(status)});
}

absl::Status StreamCore::Open(const RequestArrived& event, std::vector<StreamEffect>* effects) {
  const uint64_t epoch = event.request->epoch();
  if (epoch == 0) return rpc::InvalidField("epoch", "every request carries the master's epoch");
  if (epoch < highest_epoch_) return StaleEpoch(epoch, highest_epoch_);
  highest_epoch_ = epoch;
  if (session_) {
    const uint64_t older = session_->stream;
    absl::Status reason =
        session_->epoch < epoch
            ? StaleEpoch(session_->epoch, epoch)
            : rpc::Error(absl::StatusCode::kAborted, model::v1::ErrorDetail::STALE_SUBSCRIPTION,
                         "a newer stream of the same epoch took over");
    End(older, std::move(reason), effects);
  }
  session_ = std::make_unique<Session>(config_, rng_.Next());
  session_->stream = event.stream;
  session_->epoch = epoch;
  return absl::OkStatus();
}

void StreamCore::On(absl::Time now, const RequestArrived& event,
                    std::vector<StreamEffect>* effects) {
  if (event.stream > newest_stream_) {
    newest_stream_ = event.stream;
    const absl::Status opened = Open(event, effects);
    if (!opened.ok()) {
      End(event.stream, opened, effects);
      return;
    }
  }
  // What a stream sends after its end finds nobody.
  if (!session_ || session_->stream != event.stream) return;
  const absl::Status taken = TakeIn(now, *event.request, effects);
  if (!taken.ok()) End(event.stream, taken, effects);
}

absl::Status StreamCore::TakeIn(absl::Time now, const v1::AllocateRequest& request,
                                std::vector<StreamEffect>* effects) {
  Session& session = *session_;
  if (request.epoch() != session.epoch) {
    return SnapshotRequired(absl::StrCat("the stream has epoch ", session.epoch,
                                         ", but a request says ", request.epoch()));
  }
  if (request.sequence() != session.sequence + 1) {
    return SnapshotRequired(absl::StrCat("request ", session.sequence + 1, " was expected, ",
                                         request.sequence(), " came"));
  }
  session.sequence = request.sequence();
  const size_t uncounted = session.words.uncounted_names().size();
  Effects core_effects;
  for (const v1::ClusterEvent& message : request.events()) {
    scratch_.clear();
    RETURN_IF_ERROR(EventsFromProto(message, config_.region, &session.words, &scratch_));
    for (const Event& event : scratch_) {
      core_effects.clear();
      session.core.Step(now, event, &core_effects);
      RETURN_IF_ERROR(Answer(std::move(core_effects), effects));
    }
  }
  for (size_t i = uncounted; i < session.words.uncounted_names().size(); ++i) {
    LOG(WARNING) << "resource '" << session.words.uncounted_names()[i] << "' is the "
                 << kScalarNamesMax + i + 1
                 << "th name of a scalar in this cluster: it is offered, "
                 << "but counts neither for shares nor for quota";
  }
  if (request.snapshot_complete()) {
    if (session.snapshot_complete) {
      return rpc::InvalidField("snapshot_complete", "the snapshot was complete already");
    }
    session.snapshot_complete = true;
    core_effects.clear();
    session.core.Step(now, SnapshotCompleted{}, &core_effects);
    RETURN_IF_ERROR(Answer(std::move(core_effects), effects));
  }
  if (request.ping()) {
    SendResponse pong{session.stream, {}};
    pong.response.set_epoch(session.epoch);
    pong.response.set_through_sequence(session.sequence);
    effects->push_back(std::move(pong));
  }
  return absl::OkStatus();
}

void StreamCore::On(absl::Time, const StreamEnded& event, std::vector<StreamEffect>*) {
  newest_stream_ = std::max(newest_stream_, event.stream);
  if (session_ && session_->stream == event.stream) CloseSession();
}

void StreamCore::On(absl::Time now, const StreamWake&, std::vector<StreamEffect>* effects) {
  if (!session_) return;
  Effects core_effects;
  session_->core.Step(now, Wake{}, &core_effects);
  const absl::Status answered = Answer(std::move(core_effects), effects);
  if (!answered.ok()) End(session_->stream, answered, effects);
}

absl::Status StreamCore::Answer(Effects core_effects, std::vector<StreamEffect>* effects) {
  Vocabulary& words = session_->words;
  absl::Status answer;
  for (Effect& effect : core_effects) {
    std::visit(base::Overloaded{
                   [&](AllocationBatch& batch) {
                     Send(batch, effects);
                     session_->core.Recycle(std::move(batch.allocations));
                   },
                   [&](const Refused& refused) {
                     answer = SnapshotRequired(
                         absl::StrCat(RefusalReasonName(refused.reason), ": ", refused.detail));
                   },
                   [&](const FrameworkForgotten& gone) { words.ReleaseFramework(gone.framework); },
                   [&](const AgentForgotten& gone) { words.ReleaseAgent(gone.agent); },
               },
               effect);
    // The session ends: nothing that follows is for anybody.
    if (!answer.ok()) return answer;
  }
  return absl::OkStatus();
}

void StreamCore::Send(const AllocationBatch& batch, std::vector<StreamEffect>* effects) {
  for (size_t first = 0; first < batch.allocations.size();
       first += config_.allocations_per_response) {
    SendResponse send{session_->stream, {}};
    send.response.set_epoch(session_->epoch);
    send.response.set_through_sequence(session_->sequence);
    const size_t end = std::min(batch.allocations.size(), first + config_.allocations_per_response);
    for (size_t i = first; i < end; ++i) {
      AllocationToProto(batch.allocations[i], session_->words, send.response.add_allocations());
    }
    effects->push_back(std::move(send));
  }
  if (!batch.inverse.empty()) {
    SendResponse send{session_->stream, {}};
    send.response.set_epoch(session_->epoch);
    send.response.set_through_sequence(session_->sequence);
    for (const InverseAllocation& one : batch.inverse) {
      AllocationToProto(one, session_->words, send.response.add_inverse_allocations());
    }
    effects->push_back(std::move(send));
  }
  effects->push_back(RunDone{batch.full, batch.agents_considered, batch.pairs_considered,
                             batch.allocations.size(), batch.waited});
}

}  // namespace tessera::allocator
