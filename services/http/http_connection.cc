#include "services/http/http_connection.h"

#include <glog/logging.h>
#include <netinet/tcp.h>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/http/deadlines.h"
#include "services/http/exchange_state.h"
#include "services/http/gzip.h"
#include "services/http/request_reader.h"
#include "services/http/response_head.h"
#include "services/http/response_writer.h"

namespace tessera::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 4096;
constexpr size_t kPartBytes = 64 << 10;
// An answer that is served however much others leave unread.
constexpr size_t kSmallBytes = 64 << 10;
// Progress that resets the clock of a client that takes its answer slowly.
constexpr size_t kProgressBytes = 64 << 10;
// What waits in the kernel for a client beyond what it has room for.
constexpr int kUnsentBytesMax = 256 << 10;
constexpr absl::Duration kLinger = absl::Seconds(2);

size_t SizeOf(const std::vector<Chunk>& chunks) {
  size_t size = 0;
  for (const Chunk& chunk : chunks) size += chunk->size();
  return size;
}

absl::Status Gone() { return absl::CancelledError("the client is gone"); }

class Connection final : public OpenConnection,
                         public ExchangePort,
                         public std::enable_shared_from_this<Connection> {
 public:
  using Strand = tcp::socket::executor_type;

  Connection(Strand strand, ConnectionTable::Id id, const tcp::endpoint& peer,
             std::shared_ptr<ServerContext> context)
      : strand_(std::move(strand)),
        id_(id),
        context_(std::move(context)),
        options_(context_->options()),
        peer_(peer.address().is_v6()
                  ? absl::StrCat("[", peer.address().to_string(), "]:", peer.port())
                  : absl::StrCat(peer.address().to_string(), ":", peer.port())),
        deadlines_(strand_),
        reader_(options_.header_bytes_max),
        writer_(context_) {}

  ~Connection() override { context_->Remove(id_); }

  void Begin(tcp::socket socket) {
    if (phase_ == Phase::kClosed) return;
    deadlines_.read = Deadlines::After(options_.request_timeout);
    ArmTimer();
    end_handshake_ = context_->transport().Accept(
        std::move(socket),
        [self = shared_from_this()](std::unique_ptr<ByteStream> stream, auth::CallerFacts facts) {
          self->Guard([&] { self->Open(std::move(stream), std::move(facts)); });
        });
    if (phase_ != Phase::kHandshake) end_handshake_ = nullptr;
  }

  void CloseSoon() override {
    asio::post(strand_, [self = shared_from_this()] { self->Close(Gone()); });
  }
  void WakeUp() override {
    asio::post(strand_, [self = shared_from_this()] { self->Guard([&] { self->Look(); }); });
  }

 private:
  enum class Phase {
    kHandshake,
    // For a request: its first byte, or the rest of its head.
    kHead,
    // A handler has the request, or its answer is being written.
    kExchange,
    // The rest of a body that nobody wanted.
    kDropping,
    // The last answer is written; what the client still sends is dropped for a moment.
    kLingering,
    kClosed,
  };

  // Out of memory, say: this connection ends, the others go on.
  template <typename Work>
  void Guard(Work work) {
    try {
      work();
    } catch (const std::exception& error) {
      LOG(ERROR) << "an HTTP connection of " << peer_ << " failed: " << error.what();
      Close(absl::InternalError("the connection failed"));
    }
  }

  void Open(std::unique_ptr<ByteStream> stream, auth::CallerFacts facts) {
    end_handshake_ = nullptr;
    if (phase_ == Phase::kClosed) {
      if (stream != nullptr) stream->Close();
      return;
    }
    if (stream == nullptr) return Close(Gone());
    stream_ = std::move(stream);
    facts_ = std::move(facts);
    facts_.address = peer_;
    AwaitRequest();
  }

  // ---- Reading ----

  void ReadMore(size_t bytes) {
    if (reading_ || eof_ || phase_ == Phase::kClosed) return;
    reading_ = true;
    stream_->ReadSome(reader_.Prepare(bytes),
                      [self = shared_from_this()](error_code error, size_t read) {
                        self->Guard([&] { self->OnRead(error, read); });
                      });
  }

  void OnRead(error_code error, size_t bytes) {
    reading_ = false;
    if (phase_ == Phase::kClosed) return;
    reader_.Commit(bytes);
    if (error == asio::error::eof) {
      eof_ = true;
    } else if (error) {
      return Close(Gone());
    }
    Advance();
  }

  void Advance() {
    switch (phase_) {
      case Phase::kHead:
        return ReadHead();
      case Phase::kExchange:
        if (request_.reading) {
          ReadBody();
          Look();
        }
        return WatchClient();
      case Phase::kDropping:
        return DropBody();
      case Phase::kLingering:
        reader_.DropBuffered();
        if (eof_) return Close(absl::OkStatus());
        return ReadMore(kReadBytes);
      case Phase::kHandshake:
      case Phase::kClosed:
        return;
    }
  }

  // Between requests a connection may idle; from a request's first byte on, it may not.
  void AwaitRequest() {
    phase_ = Phase::kHead;
    reader_.Restart();
    request_ = {};
    deadlines_.read = Deadlines::After(options_.idle_timeout);
    ArmTimer();
    context_->Waits(id_);
    ReadHead();
  }

  void ReadHead() {
    if (reader_.buffered() > 0 && !request_.begun) {
      request_.begun = true;
      deadlines_.read = Deadlines::After(options_.request_timeout);
      ArmTimer();
    }
    std::string why;
    switch (reader_.ReadHead(&why)) {
      case RequestReader::HeadResult::kMore:
        if (eof_) return Close(absl::OkStatus());
        return ReadMore(kReadBytes);
      case RequestReader::HeadResult::kTooLarge:
        BeginExchange();
        return Answer(HttpResponse::Text(431, "the request's headers are too large\n"));
      case RequestReader::HeadResult::kMalformed:
        BeginExchange();
        return Answer(HttpResponse::Text(400, absl::StrCat("malformed request: ", why, "\n")));
      case RequestReader::HeadResult::kWhole:
        return Serve();
    }
  }

  void BeginExchange() {
    context_->Works(id_);
    phase_ = Phase::kExchange;
    deadlines_.read = Deadlines::kNever;
    NewExchange();
  }

  void NewExchange() {
    state_ = std::make_shared<ExchangeState>();
    absl::MutexLock lock(&state_->mu);
    state_->port = shared_from_this();
    state_->queued_bytes_max = options_.stream_bytes_max;
    // The connection looks when the handler has returned.
    state_->awake = true;
  }

  void Serve() {
    context_->requests.fetch_add(1, std::memory_order_relaxed);
    BeginExchange();
    request_.keep_alive = reader_.keep_alive();
    request_.http11 = reader_.http11();
    const std::optional<Method> method = reader_.method();
    request_.head_only = method == Method::kHead;
    if (!method.has_value()) {
      HttpResponse refusal =
          HttpResponse::Text(405, "only GET, HEAD, POST, PUT and DELETE are served\n");
      refusal.headers.emplace_back("Allow", "GET, HEAD, POST, PUT, DELETE");
      return Answer(std::move(refusal));
    }
    RequestHead head;
    head.method = *method;
    if (!reader_.FillHead(&head)) {
      return Answer(HttpResponse::Text(400, "the request's path or query is malformed\n"));
    }
    request_.gzip = AcceptsGzip(head.Header("accept-encoding"));
    HttpResponse refusal;
    const Route* route = context_->router().Match(head.path, *method, &refusal);
    if (route == nullptr) return Answer(std::move(refusal));
    const size_t body_max = route->body_bytes_max.value_or(options_.body_bytes_max);
    reader_.SetBodyMax(body_max);
    if (head.content_length.value_or(0) > body_max) {
      return Answer(HttpResponse::Text(413, "the request's body is too large\n"));
    }
    const absl::Duration allowed = route->answer_timeout.value_or(options_.answer_timeout);
    deadlines_.answer = Deadlines::After(allowed);
    head.deadline = absl::Now() + allowed;
    facts_.request_id = context_->request_ids().TakeOrMake(head.Header(auth::kRequestIdHeader));
    head.caller = auth::Caller(facts_);
    CallHandler(*route, std::move(head));
    Look();
    WatchClient();
  }

  void CallHandler(const Route& route, RequestHead head) {
    std::string what;
    try {
      auto exchange = std::make_shared<Exchange>(state_);
      route.handler(std::move(head), BodyReader(exchange), Responder(exchange));
      return;
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {
      what = "something that is no exception";
    }
    LOG(ERROR) << "the handler of " << route.path << " threw: " << what;
    AnswerInstead(HttpResponse::Text(500, "internal error; the service's log has the reason\n"));
  }

  // The answer, unless the handler has given one.
  void AnswerInstead(HttpResponse response) {
    absl::MutexLock lock(&state_->mu);
    if (state_->over || state_->answered) return;
    state_->answered = true;
    state_->response = std::make_unique<HttpResponse>(std::move(response));
  }

  // Of what cannot reach a handler.
  void Answer(HttpResponse response) {
    AnswerInstead(std::move(response));
    Look();
  }

  // While a handler works, a client that is gone shows by a read. What it sends ahead is bounded.
  void WatchClient() {
    if (phase_ != Phase::kExchange || !reader_.body_over()) return;
    if (reader_.buffered() < options_.header_bytes_max) ReadMore(kReadBytes);
  }

  // ---- The exchange ----

  // Does what the handles want until there is nothing left.
  void Look() {
    while (state_ != nullptr && phase_ == Phase::kExchange) {
      std::unique_ptr<HttpResponse> response;
      std::deque<ExchangeState::Send> sends;
      bool streams = false, ended = false, cut = false, slow = false, read = false;
      {
        absl::MutexLock lock(&state_->mu);
        if (state_->dropped && !state_->answered) {
          state_->answered = true;
          state_->response = std::make_unique<HttpResponse>(HttpResponse::Text(
              500, "internal error; the request was dropped without an answer\n"));
        }
        response = std::move(state_->response);
        streams = state_->streams;
        sends.swap(state_->sends);
        // A stream that nobody can go on with, or end, is cut short.
        cut = state_->aborted || (streams && state_->dropped && !state_->ended);
        ended = state_->ended && !answer_.ended;
        slow = state_->too_slow;
        read = state_->taken != nullptr && !request_.reading;
        if (response == nullptr && sends.empty() && !ended && !cut && !slow && !read) {
          state_->awake = false;
          break;
        }
      }
      if (response != nullptr) BeginAnswer(std::move(*response), streams);
      for (ExchangeState::Send& send : sends) slow = !AddSend(std::move(send)) || slow;
      if (slow) {
        context_->readers_cut.fetch_add(1);
        return Close(absl::ResourceExhaustedError("the client reads too slowly"));
      }
      if (cut) return Close(absl::CancelledError("the answer was aborted"));
      if (ended) {
        answer_.ended = true;
        writer_.EndBody();
      }
      if (read) {
        request_.reading = true;
        if (!answer_.begun && reader_.TakeWantsContinue()) {
          writer_.AddRaw("HTTP/1.1 100 Continue\r\n\r\n");
        }
        deadlines_.read = Deadlines::After(options_.request_timeout);
        ReadBody();
      }
    }
    ArmTimer();
    Pump();
  }

  // Runs a callback of the handler's; what it wants is looked at afterwards.
  template <typename Callback>
  void CallBack(Callback callback) {
    {
      absl::MutexLock lock(&state_->mu);
      state_->awake = true;
    }
    try {
      callback();
    } catch (const std::exception& error) {
      LOG(ERROR) << "a callback of an HTTP handler threw: " << error.what();
      AnswerInstead(HttpResponse::Text(500, "internal error; the service's log has the reason\n"));
    }
  }

  // Feeds the read under way from what has come. A look has to follow.
  void ReadBody() {
    if (!request_.reading) return;
    bool all;
    {
      absl::MutexLock lock(&state_->mu);
      all = state_->read_all;
    }
    const absl::StatusOr<bool> ready = reader_.ReadBody(all);
    if (!ready.ok()) return Deliver(ready.status());
    if (*ready) return Deliver(absl::OkStatus());
    if (eof_) return Deliver(Gone());
    deadlines_.read = Deadlines::After(options_.request_timeout);
    ArmTimer();
    ReadMore(kPartBytes);
  }

  void Deliver(const absl::Status& status) {
    request_.reading = false;
    deadlines_.read = Deadlines::kNever;
    if (!status.ok()) request_.keep_alive = false;
    BodyReader::Taken taken;
    {
      absl::MutexLock lock(&state_->mu);
      taken.swap(state_->taken);
      if (!status.ok()) state_->body_error = status;
    }
    std::string part = reader_.TakePart();
    if (!taken) return;
    CallBack([&] {
      if (status.ok()) {
        taken(std::move(part));
      } else {
        taken(status);
      }
    });
  }

  void BeginAnswer(HttpResponse response, bool streams) {
    answer_.begun = true;
    deadlines_.answer = Deadlines::kNever;
    const bool no_body = request_.head_only || !HasBody(response.status);
    bool gzip = false;
    bool counted = !response.shared;
    std::unique_ptr<GzipStream> compressor;
    if (request_.gzip && !streams && HasBody(response.status)) {
      if (!response.gzip_body.empty()) {
        response.body = std::move(response.gzip_body);
        gzip = true;
      } else if (response.next != nullptr) {
        compressor = std::make_unique<GzipStream>();
        gzip = compressor->ok();
        if (gzip) {
          std::vector<Chunk> smaller;
          for (const Chunk& chunk : response.body) compressor->Add(*chunk, &smaller);
          response.body = std::move(smaller);
        } else {
          compressor = nullptr;
        }
      } else if (SizeOf(response.body) >= options_.gzip_bytes_min) {
        std::vector<Chunk> smaller = Gzip(response.body);
        gzip = !smaller.empty();
        if (gzip) {
          response.body = std::move(smaller);
          counted = true;
        }
      }
    }
    const size_t size = SizeOf(response.body);
    if (counted && !no_body && !TakeRoom(size)) {
      counted = false;
      gzip = streams = false;
      compressor = nullptr;
      response =
          HttpResponse::Text(503, "too much waits to be read by clients already; try again soon\n");
      response.headers.emplace_back("Retry-After", "1");
      context_->answers_refused.fetch_add(1);
      absl::MutexLock lock(&state_->mu);
      state_->ended = true;
    }
    Framing framing;
    const bool open_ended = streams || response.next != nullptr;
    if (!open_ended && HasBody(response.status)) framing.length = SizeOf(response.body);
    framing.chunked = open_ended && request_.http11 && HasBody(response.status);
    framing.gzip = gzip;
    // Without a length or chunks, the end of the connection is the end of the body.
    if (open_ended && !request_.http11) request_.keep_alive = false;
    if (!reader_.CanDropBody()) request_.keep_alive = false;
    framing.keep_alive = request_.keep_alive;
    writer_.AddRaw(ResponseHead(response, framing, absl::Now()));
    answer_.silent = no_body;
    if (!no_body) {
      writer_.SetChunked(framing.chunked);
      writer_.AddBody(std::move(response.body), counted);
      if (response.next != nullptr && !streams) {
        writer_.SetSource(std::move(response.next), std::move(compressor));
      }
    }
    if (!streams && !writer_.has_source()) {
      answer_.ended = true;
      writer_.EndBody();
    }
  }

  // Counts bytes that will wait for the client. What is small is always let in, one answer or
  // message for each client, so that somebody who costs much does not shut others out.
  bool TakeRoom(size_t bytes) {
    if (bytes > kSmallBytes || !writer_.empty()) return context_->TakeWaiting(bytes);
    context_->AddWaiting(bytes);
    return true;
  }

  // False when there is no room for it any more.
  bool AddSend(ExchangeState::Send send) {
    const bool counted = !answer_.silent && !answer_.ended && TakeRoom(send.bytes);
    if (!counted || send.bytes == 0) {
      {
        absl::MutexLock lock(&state_->mu);
        state_->queued_bytes -= send.bytes;
      }
      const bool taken = answer_.silent || send.bytes == 0;
      if (send.written) {
        CallBack([&] { send.written(taken ? absl::OkStatus() : Gone()); });
      }
      return taken;
    }
    writer_.AddBody(std::move(send.chunks), /*counted=*/true);
    writer_.OnWritten(
        [this, bytes = send.bytes, written = std::move(send.written)](const absl::Status& status) {
          // Otherwise the exchange is over, and so are its sums.
          if (status.ok()) {
            absl::MutexLock lock(&state_->mu);
            state_->queued_bytes -= bytes;
          }
          if (written) written(status);
        });
    return true;
  }

  // ---- Writing ----

  void Pump() {
    if (writing_ || stream_ == nullptr) return;
    if (phase_ != Phase::kExchange) return;
    const auto& buffers = writer_.Gather();
    if (buffers.empty()) {
      deadlines_.write = Deadlines::kNever;
      if (answer_.begun && writer_.whole()) return AnswerDone();
      context_->Works(id_);
      return;
    }
    if (deadlines_.write == Deadlines::kNever) {
      deadlines_.write = Deadlines::After(options_.stall_timeout);
      progress_ = 0;
      ArmTimer();
    }
    writing_ = true;
    context_->Writes(id_);
    stream_->WriteSome(buffers, [self = shared_from_this()](error_code error, size_t sent) {
      self->Guard([&] { self->OnWritten(error, sent); });
    });
  }

  void OnWritten(error_code error, size_t sent) {
    writing_ = false;
    context_->bytes_sent.fetch_add(sent, std::memory_order_relaxed);
    if (phase_ == Phase::kClosed) return writer_.Clear();
    if (error) return Close(Gone());
    progress_ += sent;
    if (progress_ >= kProgressBytes) {
      progress_ = 0;
      deadlines_.write = Deadlines::After(options_.stall_timeout);
    }
    const auto due = writer_.Taken(sent);
    if (due.empty()) return Pump();
    for (const auto& written : due) CallBack([&] { written(absl::OkStatus()); });
    Look();
  }

  void AnswerDone() {
    writer_.Clear();
    FinishExchange(absl::OkStatus());
    if (phase_ == Phase::kClosed) return;
    if (!request_.keep_alive) return Linger();
    if (reader_.body_over()) return AwaitRequest();
    phase_ = Phase::kDropping;
    deadlines_.read = Deadlines::After(options_.request_timeout);
    ArmTimer();
    DropBody();
  }

  void DropBody() {
    const absl::StatusOr<bool> over = reader_.DropBody();
    if (!over.ok() || (!*over && eof_)) return Close(absl::OkStatus());
    if (*over) return AwaitRequest();
    ReadMore(kPartBytes);
  }

  // ---- The end ----

  void FinishExchange(const absl::Status& status) {
    if (state_ == nullptr) return;
    const std::shared_ptr<ExchangeState> state = std::move(state_);
    state_ = nullptr;
    std::vector<std::function<void(const absl::Status&)>> on_end;
    std::deque<ExchangeState::Send> sends;
    BodyReader::Taken taken;
    const std::vector<ResponseWriter::Written> unwritten = writer_.TakeMarks();
    {
      absl::MutexLock lock(&state->mu);
      state->over = true;
      state->end = status;
      state->port = nullptr;
      state->queued_bytes = 0;
      on_end.swap(state->on_end);
      sends.swap(state->sends);
      taken.swap(state->taken);
    }
    const absl::Status unread =
        status.ok() ? absl::CancelledError("the client has been answered") : status;
    try {
      if (taken) taken(unread);
      for (const auto& written : unwritten) written(unread);
      for (const auto& send : sends) {
        if (send.written) send.written(unread);
      }
      for (const auto& end : on_end) end(status);
    } catch (const std::exception& error) {
      LOG(ERROR) << "a callback of an HTTP handler threw: " << error.what();
    }
    request_.reading = false;
    answer_ = {};
    deadlines_.answer = deadlines_.write = Deadlines::kNever;
  }

  // Closing a socket with unread input resets it, and the client would lose the answer. So the
  // rest of what it sends is read and dropped, for a short time.
  void Linger() {
    phase_ = Phase::kLingering;
    context_->Waits(id_);
    deadlines_.read = Deadlines::After(kLinger);
    ArmTimer();
    stream_->ShutdownSend([self = shared_from_this()] {});
    Advance();
  }

  void Close(const absl::Status& why) {
    if (phase_ == Phase::kClosed) return;
    phase_ = Phase::kClosed;
    deadlines_.Cancel();
    if (end_handshake_) end_handshake_();
    end_handshake_ = nullptr;
    if (stream_ != nullptr) stream_->Close();
    // Buffers that are being written stay until that is over.
    if (!writing_) writer_.Clear();
    FinishExchange(why);
    context_->Remove(id_);
  }

  // ---- Time ----

  void ArmTimer() {
    if (phase_ == Phase::kClosed) return;
    deadlines_.Arm([self = shared_from_this()] { self->Guard([&] { self->OnTimer(); }); });
  }

  void OnTimer() {
    if (phase_ == Phase::kClosed) return;
    const auto now = Deadlines::Clock::now();
    if (now >= deadlines_.write) {
      context_->readers_cut.fetch_add(1);
      return Close(absl::ResourceExhaustedError("the client did not take its answer in time"));
    }
    if (now >= deadlines_.read) {
      deadlines_.read = Deadlines::kNever;
      if (phase_ != Phase::kExchange) return Close(Gone());
      Deliver(absl::DeadlineExceededError("the client sends its body too slowly"));
      Look();
    }
    if (now >= deadlines_.answer && phase_ == Phase::kExchange) {
      deadlines_.answer = Deadlines::kNever;
      TellDeadline();
    }
    ArmTimer();
  }

  // The handler may answer from inside its OnEnd; else the server does.
  void TellDeadline() {
    std::vector<std::function<void(const absl::Status&)>> on_end;
    {
      absl::MutexLock lock(&state_->mu);
      if (state_->answered) return;
      on_end.swap(state_->on_end);
    }
    const absl::Status late = absl::DeadlineExceededError("there was no answer in time");
    CallBack([&] {
      for (const auto& end : on_end) end(late);
    });
    AnswerInstead(HttpResponse::Text(504, "there was no answer in time\n"));
    Look();
  }

  const Strand strand_;
  const ConnectionTable::Id id_;
  const std::shared_ptr<ServerContext> context_;
  const HttpOptions& options_;
  const std::string peer_;
  auth::CallerFacts facts_;
  std::function<void()> end_handshake_;
  std::unique_ptr<ByteStream> stream_;
  Phase phase_ = Phase::kHandshake;

  Deadlines deadlines_;

  RequestReader reader_;
  bool reading_ = false;
  bool eof_ = false;

  // The request under way.
  struct {
    // Its first byte has come.
    bool begun = false;
    bool keep_alive = false;
    bool http11 = true;
    bool head_only = false;
    // Its client takes compressed answers.
    bool gzip = false;
    // Its handler waits for a part of the body.
    bool reading = false;
  } request_;

  // The exchange under way, null between two.
  std::shared_ptr<ExchangeState> state_;
  // Its answer.
  struct {
    bool begun = false;
    // Its end has been noted.
    bool ended = false;
    // It has no body on the wire, whatever the handler sends.
    bool silent = false;
  } answer_;
  ResponseWriter writer_;
  bool writing_ = false;
  // Bytes taken since the client's time began.
  size_t progress_ = 0;
};

}  // namespace

void ServeConnection(tcp::socket socket, ConnectionTable::Id id,
                     std::shared_ptr<ServerContext> context) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return context->Remove(id);
  socket.set_option(tcp::no_delay(true), error);
  socket.set_option(
      asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>(kUnsentBytesMax), error);
  const auto strand = socket.get_executor();
  auto connection = std::make_shared<Connection>(strand, id, peer, context);
  if (!context->Register(id, connection)) return;
  asio::post(strand, [connection, socket = std::make_shared<tcp::socket>(std::move(socket))] {
    connection->Begin(std::move(*socket));
  });
}

void RefuseConnection(tcp::socket socket) {
  static const std::string kRefusal =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\ntoo many connections are open";
  auto kept = std::make_shared<tcp::socket>(std::move(socket));
  asio::async_write(*kept, asio::buffer(kRefusal), [kept](error_code, size_t) {
    error_code ignored;
    kept->shutdown(tcp::socket::shutdown_send, ignored);
  });
}

}  // namespace tessera::http
