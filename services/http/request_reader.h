// Takes the requests of one connection apart as their bytes come: heads, and bodies piece by piece.
//
// Invariants: a head is bounded by header_bytes_max, a body by what SetBodyMax says; nothing of the
// next request is looked at before this one is over.
//
// Threads: none; the connection's strand. No I/O of its own.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "services/http/http_types.h"

namespace tessera::http {

class RequestReader {
 public:
  explicit RequestReader(size_t header_bytes_max);

  // Room for the next bytes, and how many have come into it.
  boost::asio::mutable_buffer Prepare(size_t bytes);
  void Commit(size_t bytes) { buffer_.commit(bytes); }
  // Bytes that have come and were not looked at yet.
  size_t buffered() const { return buffer_.size(); }
  void DropBuffered() { buffer_.clear(); }

  // Begins with the next request. The one before is over, or there was none.
  void Restart();

  enum class HeadResult { kMore, kWhole, kTooLarge, kMalformed };
  // Goes on with the head; `*why` explains kMalformed.
  HeadResult ReadHead(std::string* why);

  // ---- Once the head is whole ----

  // None: it is none of ours.
  std::optional<Method> method() const;
  bool keep_alive() const { return parser_->get().keep_alive(); }
  bool http11() const { return parser_->get().version() >= 11; }
  // All but caller and deadline. False when path or query are malformed.
  bool FillHead(RequestHead* head) const;
  // The client sends the body only when it is told to go on. Asked once.
  bool TakeWantsContinue();

  void SetBodyMax(size_t bytes) { body_bytes_max_ = bytes; }
  // The whole body has been looked at.
  bool body_over() const { return parser_->is_done(); }
  // Gathers what has come of the body: up to 64 KiB of it, or with `all` the whole. True when
  // TakePart gives what was asked for, false when more has to come. RESOURCE_EXHAUSTED,
  // INVALID_ARGUMENT: nothing more can be had.
  absl::StatusOr<bool> ReadBody(bool all);
  std::string TakePart();
  // Whether the next request can be found behind what nobody has read of this one's body.
  bool CanDropBody() const;
  // Passes over the body. True when it is over.
  absl::StatusOr<bool> DropBody();

 private:
  // One step of the parser into `room` bytes at `into`; how many came, in `*got`. False: it waits
  // for more.
  absl::StatusOr<bool> Parse(char* into, size_t room, size_t* got);

  const size_t header_bytes_max_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::buffer_body>> parser_;
  bool wants_continue_ = false;
  bool broken_ = false;
  size_t body_bytes_max_ = 0;
  uint64_t body_bytes_ = 0;
  std::string part_;
};

}  // namespace tessera::http
