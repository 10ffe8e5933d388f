#include "services/http/exchange.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/http/exchange_state.h"

namespace tessera::http {
namespace {

absl::Status NobodyReads() { return absl::CancelledError("the exchange is over"); }

void StartReading(ExchangeState& state, bool all, BodyReader::Taken taken) {
  absl::Status refusal;
  {
    absl::MutexLock lock(&state.mu);
    if (state.over) {
      refusal = state.end.ok() ? NobodyReads() : state.end;
    } else if (!state.body_error.ok()) {
      refusal = state.body_error;
    } else if (state.taken) {
      refusal = absl::FailedPreconditionError("the body is being read already");
    } else {
      state.taken = std::move(taken);
      state.read_all = all;
      state.Wake();
      return;
    }
  }
  taken(refusal);
}

HttpResponse Unreadable(const absl::Status& why) {
  switch (why.code()) {
    case absl::StatusCode::kResourceExhausted:
      return HttpResponse::Text(413, "the request's body is too large\n");
    case absl::StatusCode::kDeadlineExceeded:
      return HttpResponse::Text(408, "the request's body comes too slowly\n");
    default:
      return HttpResponse::Text(
          400, absl::StrCat("the request's body is malformed: ", why.message(), "\n"));
  }
}

}  // namespace

void BodyReader::Read(Taken taken) const {
  StartReading(exchange_->state(), /*all=*/false, std::move(taken));
}

void BodyReader::ReadAll(Taken taken) const {
  StartReading(exchange_->state(), /*all=*/true, std::move(taken));
}

bool ResponseStream::Send(std::vector<Chunk> chunks, Written written) const {
  ExchangeState& state = exchange_->state();
  size_t bytes = 0;
  for (const Chunk& chunk : chunks) bytes += chunk->size();
  {
    absl::MutexLock lock(&state.mu);
    const bool open = !state.over && !state.ended && !state.aborted && !state.too_slow;
    const bool fits =
        state.queued_bytes == 0 || state.queued_bytes + bytes <= state.queued_bytes_max;
    if (open && fits) {
      state.queued_bytes += bytes;
      state.sends.push_back({std::move(chunks), bytes, std::move(written)});
      state.Wake();
      return true;
    }
    if (open) {
      state.too_slow = true;
      state.Wake();
    }
  }
  if (written) written(absl::CancelledError("the stream has ended"));
  return false;
}

bool ResponseStream::Send(std::string bytes, Written written) const {
  return Send(std::vector<Chunk>{MakeChunk(std::move(bytes))}, std::move(written));
}

void ResponseStream::End() const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  state.ended = true;
  state.Wake();
}

void ResponseStream::Abort() const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  state.aborted = true;
  state.Wake();
}

bool ResponseStream::ended() const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  return state.over || state.ended || state.aborted || state.too_slow;
}

size_t ResponseStream::queued_bytes() const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  return state.queued_bytes;
}

bool Responder::Respond(HttpResponse response) const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  if (state.over || state.answered) return false;
  state.answered = true;
  state.response = std::make_unique<HttpResponse>(std::move(response));
  state.Wake();
  return true;
}

ResponseStream Responder::Begin(HttpResponse response) const {
  ExchangeState& state = exchange_->state();
  absl::MutexLock lock(&state.mu);
  if (!state.over && !state.answered) {
    state.answered = true;
    state.streams = true;
    state.response = std::make_unique<HttpResponse>(std::move(response));
    state.Wake();
  }
  return ResponseStream(exchange_);
}

void Responder::OnEnd(std::function<void(const absl::Status&)> on_end) const {
  ExchangeState& state = exchange_->state();
  absl::Status end;
  {
    absl::MutexLock lock(&state.mu);
    if (!state.over) {
      state.on_end.push_back(std::move(on_end));
      return;
    }
    end = state.end;
  }
  on_end(end);
}

Handler Whole(std::function<HttpResponse(const HttpRequest&)> answer) {
  return [answer = std::move(answer)](RequestHead head, BodyReader body, Responder responder) {
    auto request = std::make_shared<HttpRequest>();
    static_cast<RequestHead&>(*request) = std::move(head);
    if (request->content_length == uint64_t{0}) {
      responder.Respond(answer(*request));
      return;
    }
    body.ReadAll([answer, request, responder](absl::StatusOr<std::string> whole) {
      if (!whole.ok()) {
        responder.Respond(Unreadable(whole.status()));
        return;
      }
      request->body = *std::move(whole);
      responder.Respond(answer(*request));
    });
  };
}

}  // namespace tessera::http
