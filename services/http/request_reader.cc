#include "services/http/request_reader.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <cctype>
#include <utility>

namespace tessera::http {
namespace {

namespace beast = boost::beast;
using boost::system::error_code;
using HttpError = beast::http::error;

constexpr size_t kPartBytes = 64 << 10;
// Of a body that no handler wanted, for the sake of the next request.
constexpr uint64_t kDroppedBytesMax = 64 << 10;

}  // namespace

RequestReader::RequestReader(size_t header_bytes_max) : header_bytes_max_(header_bytes_max) {
  Restart();
}

boost::asio::mutable_buffer RequestReader::Prepare(size_t bytes) {
  const auto room = buffer_.prepare(bytes);
  return {room.data(), room.size()};
}

void RequestReader::Restart() {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(header_bytes_max_));
  parser_->body_limit(boost::none);
  wants_continue_ = broken_ = false;
  body_bytes_ = 0;
  part_.clear();
}

RequestReader::HeadResult RequestReader::ReadHead(std::string* why) {
  if (buffer_.size() == 0) return HeadResult::kMore;
  error_code error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  if (error == HttpError::need_more) return HeadResult::kMore;
  if (error == HttpError::header_limit) return HeadResult::kTooLarge;
  if (error) {
    *why = error.message();
    return HeadResult::kMalformed;
  }
  wants_continue_ =
      http11() && beast::iequals(parser_->get()[beast::http::field::expect], "100-continue");
  return HeadResult::kWhole;
}

std::optional<Method> RequestReader::method() const {
  switch (parser_->get().method()) {
    case beast::http::verb::get:
      return Method::kGet;
    case beast::http::verb::head:
      return Method::kHead;
    case beast::http::verb::post:
      return Method::kPost;
    case beast::http::verb::put:
      return Method::kPut;
    case beast::http::verb::delete_:
      return Method::kDelete;
    default:
      return std::nullopt;
  }
}

bool RequestReader::FillHead(RequestHead* head) const {
  const auto& message = parser_->get();
  const auto target = message.target();
  if (!ParseTarget({target.data(), target.size()}, &head->path, &head->query)) return false;
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    head->headers.emplace(std::move(name), std::string(field.value()));
  }
  if (parser_->chunked()) {
    head->content_length = std::nullopt;
  } else {
    head->content_length = parser_->content_length().value_or(0);
  }
  return true;
}

bool RequestReader::TakeWantsContinue() { return std::exchange(wants_continue_, false); }

absl::StatusOr<bool> RequestReader::Parse(char* into, size_t room, size_t* got) {
  auto& body = parser_->get().body();
  body.data = into;
  body.size = room;
  body.more = true;
  error_code error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  *got = room - body.size;
  body.data = nullptr;
  body_bytes_ += *got;
  if (error == HttpError::need_more) return false;
  if (error && error != HttpError::need_buffer) {
    broken_ = true;
    return absl::InvalidArgumentError(error.message());
  }
  return true;
}

absl::StatusOr<bool> RequestReader::ReadBody(bool all) {
  const size_t most = all ? body_bytes_max_ + kPartBytes : kPartBytes;
  while (part_.size() < most && !parser_->is_done() && buffer_.size() > 0) {
    const size_t before = part_.size();
    const size_t room = std::min(kPartBytes, most - before);
    part_.resize(before + room);
    size_t got = 0;
    const absl::StatusOr<bool> parsed = Parse(part_.data() + before, room, &got);
    part_.resize(before + got);
    if (!parsed.ok()) return parsed.status();
    if (body_bytes_ > body_bytes_max_) {
      broken_ = true;
      return absl::ResourceExhaustedError("the body is larger than it may be");
    }
    if (!*parsed) break;
  }
  return parser_->is_done() || (!all && !part_.empty());
}

std::string RequestReader::TakePart() { return std::exchange(part_, std::string()); }

bool RequestReader::CanDropBody() const {
  if (broken_ || !parser_->is_header_done()) return false;
  if (parser_->is_done()) return true;
  // One that waits to be told to go on may send its body or not.
  if (wants_continue_ || parser_->chunked()) return false;
  const auto length = parser_->content_length();
  return length.has_value() && *length - body_bytes_ <= kDroppedBytesMax;
}

absl::StatusOr<bool> RequestReader::DropBody() {
  char dropped[4096];
  while (!parser_->is_done() && buffer_.size() > 0) {
    size_t got = 0;
    const absl::StatusOr<bool> parsed = Parse(dropped, sizeof(dropped), &got);
    if (!parsed.ok()) return parsed.status();
    if (!*parsed) break;
  }
  return parser_->is_done();
}

}  // namespace tessera::http
