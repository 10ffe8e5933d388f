// One request and its answer, as a handler sees them: a reader for the body, a responder, and a
// stream for answers that have no end yet.
//
//   void Handle(RequestHead head, BodyReader body, Responder responder);
//
// A handler returns at once and answers when it can, from any thread. Bodies flow both ways only as
// fast as they are taken: what the handler does not read stays in the client's hands, and what the
// client does not read is bounded and then cuts it off.
//
// Invariants: a request gets exactly one answer: the handler's first, or 504 at the deadline, or
// 500 when the last handle is gone without one. The end of an exchange is told once, by OnEnd.
// Handles are shared, may outlive the connection and the server, and do nothing then.
//
// Threads: any. Callbacks come on a thread of the server, one at a time for each exchange: they do
// not block.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/http/http_types.h"

namespace tessera::http {

class Exchange;

// The request's body. One read is under way at a time.
class BodyReader {
 public:
  // Of at most 64 KiB; empty at the end of the body, and whenever asked again after it.
  // RESOURCE_EXHAUSTED: the body is larger than its route allows. INVALID_ARGUMENT: it is
  // malformed. CANCELLED: the client is gone, or has been answered. DEADLINE_EXCEEDED: it sends too
  // slowly. After an error nothing more comes.
  using Taken = std::function<void(absl::StatusOr<std::string> part)>;

  explicit BodyReader(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  // FAILED_PRECONDITION, at once, when a read is under way.
  void Read(Taken taken) const;
  // All that is left, in one piece. Bounded by what the route allows.
  void ReadAll(Taken taken) const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

// An answer that has begun and goes on, in the order of Send.
class ResponseStream {
 public:
  // Called once: OK when the bytes are with the kernel, CANCELLED when they never will be.
  using Written = std::function<void(const absl::Status&)>;

  explicit ResponseStream(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  // False when the exchange has ended. A client for which more than HttpOptions::stream_bytes_max
  // would wait is too slow and is cut off. One message always fits.
  bool Send(std::vector<Chunk> chunks, Written written = nullptr) const;
  bool Send(std::string bytes, Written written = nullptr) const;
  // The answer is whole. What was sent before is written first.
  void End() const;
  // Cuts the connection, so that the client sees that the answer is not whole.
  void Abort() const;

  bool ended() const;
  // Bytes that wait to be written.
  size_t queued_bytes() const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  // Answers. False when there is an answer already, or nobody to take it.
  bool Respond(HttpResponse response) const;

  // Begins an answer without an end; the response's own body, if any, comes first. Not compressed.
  // There is no deadline from here on: whoever streams decides when it ends, and does well to send
  // something from time to time, because a client that has gone in silence shows only then.
  ResponseStream Begin(HttpResponse response) const;

  // `on_end` is called once, when the exchange is over: OK when the whole answer is written,
  // CANCELLED when the client has gone before, or the server stops, DEADLINE_EXCEEDED at the
  // deadline (then the handler may still answer from inside the callback), RESOURCE_EXHAUSTED when
  // the client did not take its answer in time. At once when it is over already. A client that has
  // only ended its own sending is not gone: it is waiting.
  void OnEnd(std::function<void(const absl::Status&)> on_end) const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

using Handler = std::function<void(RequestHead head, BodyReader body, Responder responder)>;

// A handler that answers at once, with the whole request in hand. A body that cannot be read is
// answered with 413 or 400.
Handler Whole(std::function<HttpResponse(const HttpRequest&)> answer);

}  // namespace tessera::http
