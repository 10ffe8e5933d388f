// Streams as their owners see them: a handle to send by, and callbacks for what arrives.
//
// server_stream.h and client_stream.h make them on top of gRPC; this header names no gRPC type, so
// that adapters, tests and fakes share it without compiling gRPC.
//
// Invariants: at most one read and one write are in flight; messages are sent in the order of Send;
// the outgoing queue is bounded, and an overflow ends the stream with RESOURCE_EXHAUSTED
// (SLOW_CONSUMER) instead of growing; on_done comes exactly once and is the last callback.
//
// Threads: a handle is used from any thread, also after the stream has ended. Callbacks come one at
// a time, on a thread of gRPC: they push an event to a strand and return.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tessera::rpc {

struct StreamOptions {
  // Messages that may wait to be written.
  size_t outgoing_max = 1024;
  // Bytes that may wait to be written. One message always fits, however large.
  size_t outgoing_bytes_max = 64 << 20;
  // How long a stream that was closed may take to write its rest before it is cut off.
  absl::Duration linger = absl::Seconds(5);
};

// The end of a stream that can be closed. Handles are shared; the stream does not end because the
// last handle goes away.
class StreamControl {
 public:
  virtual ~StreamControl() = default;

  // Sends what is queued, then ends the stream. A server's peer gets `status`; a client half-closes
  // and waits for the server's status (`status` is ignored when OK, and cancels when not). Later
  // calls do nothing.
  virtual void Close(absl::Status status) = 0;

  // Drops what is queued and ends the stream now. on_done gets `reason`. A server's peer gets it as
  // its status if it reads at all, a client's peer sees CANCELLED.
  virtual void Cancel(absl::Status reason) = 0;

  // True from Close, Cancel, an overflow or the peer's end on.
  virtual bool closed() const = 0;

  // Messages that wait to be written.
  virtual size_t queued() const = 0;
};

// A stream that takes messages of type Out. Out may be a protobuf message, or a grpc::ByteBuffer
// whose bytes are shared by every stream that it is sent to.
template <typename Out>
class Stream : public StreamControl {
 public:
  // Queues a message. False when the stream has ended or the message does not fit, in which case
  // the stream ends with RESOURCE_EXHAUSTED (SLOW_CONSUMER) and on_done says so.
  virtual bool Send(Out message) = 0;
};

template <typename Out>
using StreamPtr = std::shared_ptr<Stream<Out>>;

// What the owner of a stream does with it. `on_message` may be empty for a stream that only sends.
template <typename In>
struct StreamHandlers {
  // One message has come. The next is read after this returns. An error ends the stream with it
  // (e.g. RESOURCE_EXHAUSTED because the strand's queue is full), and nothing that came behind the
  // message is delivered.
  std::function<absl::Status(In message)> on_message;
  // The stream is over, for the reason given: OK for an orderly end, CANCELLED when the peer left,
  // the local reason when this side ended it, otherwise the peer's status. Nothing follows.
  std::function<void(const absl::Status& status)> on_done;
};

}  // namespace tessera::rpc
