// The bounded queue of messages that wait to be written to one stream.
//
// Invariant: at most one message is out of the queue and in flight; its address stays until
// Written(). Counts and bytes of waiting messages stay within StreamOptions.
//
// Threads: none; the stream's lock guards it.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <deque>
#include <type_traits>
#include <utility>

#include "services/rpc/stream.h"

namespace tessera::rpc {

namespace stream_internal {

template <typename Message>
size_t BytesOf(const Message& message) {
  if constexpr (std::is_base_of_v<google::protobuf::MessageLite, Message>) {
    return message.ByteSizeLong();
  } else {
    return message.Length();
  }
}

// RESOURCE_EXHAUSTED with SLOW_CONSUMER.
absl::Status SlowConsumer(size_t queued);

template <typename Out>
class Outbox {
 public:
  explicit Outbox(const StreamOptions& options) : options_(options) {}

  // False when the message does not fit; it is dropped then.
  bool Push(Out message) {
    const size_t bytes = BytesOf(message);
    const bool fits = waiting_.empty() || (waiting_.size() < options_.outgoing_max &&
                                           bytes_ + bytes <= options_.outgoing_bytes_max);
    if (!fits) return false;
    bytes_ += bytes;
    waiting_.push_back({std::move(message), bytes});
    return true;
  }

  // Moves the first message into flight. Not empty, nothing in flight.
  const Out* StartNext() {
    in_flight_ = std::move(waiting_.front().message);
    bytes_ -= waiting_.front().bytes;
    waiting_.pop_front();
    return &in_flight_;
  }

  // The message in flight is done with.
  void Written() { in_flight_ = Out(); }

  // Drops what waits; what is in flight stays until Written().
  void Clear() {
    waiting_.clear();
    bytes_ = 0;
  }

  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    Out message;
    size_t bytes;
  };

  const StreamOptions options_;
  std::deque<Waiting> waiting_;
  size_t bytes_ = 0;
  Out in_flight_;
};

}  // namespace stream_internal
}  // namespace tessera::rpc
