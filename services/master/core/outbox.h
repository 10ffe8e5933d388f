// What one Step says to streams and calls. Messages to one stream are gathered into one effect, so
// that a stream is written once however many events went to it.
//
// Invariants: messages to one stream keep their order; a stream is closed after what was said to
// it.
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/master/core/master_events.h"

namespace tessera::master {

// A batch is sent before it has more parts than this, or about so many bytes. One part goes alone
// however large it is. Far below what anybody refuses to receive.
inline constexpr int kBatchPartsMax = 1000;
inline constexpr size_t kBatchBytesMax = 1 << 20;

// About how many bytes a part has on the wire: exact where it carries what others wrote, otherwise
// a bound, because most are small and counting costs as much as writing them.
size_t RoughBytes(const sched::Event& event);
size_t RoughBytes(const link::MasterMessage& message);

class Outbox {
 public:
  void ToFramework(StreamId stream, sched::Event event);
  void CloseFramework(StreamId stream, absl::Status status);
  void ToAgent(AgentStreamId stream, link::MasterMessage message);
  void CloseAgent(AgentStreamId stream, absl::Status status);

  // `answer` is of the type that belongs to the call's request.
  template <typename Response>
  void Reply(CallId call, Response answer) {
    effects_.push_back(master::Reply{call, SchedulerAnswer(std::move(answer))});
  }
  void RefuseCall(CallId call, absl::Status refusal) {
    effects_.push_back(master::Reply{call, std::move(refusal)});
  }
  template <typename Response>
  void ReplyOperator(CallId call, Response answer) {
    effects_.push_back(OperatorReply{call, OperatorAnswer(std::move(answer))});
  }
  void RefuseOperator(CallId call, absl::Status refusal) {
    effects_.push_back(OperatorReply{call, std::move(refusal)});
  }

  void Push(Effect effect) { effects_.push_back(std::move(effect)); }

  // Words for people; `words` as for absl::StrCat.
  template <typename... Words>
  void Note(base::Severity severity, const Words&... words) {
    effects_.push_back(master::Note{severity, absl::StrCat(words...)});
  }

  // Hands everything over; each message to an agent carries `epoch`.
  void Flush(uint64_t epoch, Effects* effects);

 private:
  Effects effects_;
  // Where in effects_ the open batch of a stream is.
  absl::flat_hash_map<StreamId, size_t> to_framework_;
  absl::flat_hash_map<AgentStreamId, size_t> to_agent_;
};

}  // namespace tessera::master
