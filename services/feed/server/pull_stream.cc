#include "services/feed/server/pull_stream.h"

#include <utility>

#include "absl/time/clock.h"
#include "services/rpc/status.h"

namespace tessera::feed {

// How long a peer may take to read the end of its stream.
constexpr absl::Duration kLinger = absl::Seconds(5);

class PullStream::ReactorImpl final : public Reactor {
 public:
  std::shared_ptr<PullStream> stream;

  void OnWriteDone(bool ok) override { stream->OnWriteDone(ok); }
  void OnCancel() override { stream->End(absl::CancelledError("the peer is gone")); }
  void OnDone() override {
    stream->OnDone();
    delete this;
  }
};

PullStream::PullStream(grpc::CallbackServerContext* context, Reactor* reactor,
                       std::unique_ptr<MessageSource> source,
                       std::function<void(const PullStream*)> on_done)
    : on_done_(std::move(on_done)),
      context_(context),
      reactor_(reactor),
      source_(std::move(source)) {}

PullStream::Reactor* PullStream::Serve(
    grpc::CallbackServerContext* context, std::unique_ptr<MessageSource> source,
    const std::function<void(std::shared_ptr<PullStream>)>& on_open,
    std::function<void(const PullStream*)> on_done) {
  auto* reactor = new ReactorImpl();
  reactor->stream =
      std::make_shared<PullStream>(context, reactor, std::move(source), std::move(on_done));
  const std::shared_ptr<PullStream> stream = reactor->stream;
  on_open(stream);
  stream->Wake();
  return reactor;
}

PullStream::Reactor* PullStream::Refuse(grpc::CallbackServerContext*, const absl::Status& status) {
  class Refusal final : public Reactor {
   public:
    explicit Refusal(const grpc::Status& status) { Finish(status); }
    void OnDone() override { delete this; }
  };
  return new Refusal(rpc::ToGrpc(status));
}

void PullStream::Wake() {
  absl::MutexLock lock(&mu_);
  Pump();
}

void PullStream::Pump() {
  if (finished_ || writing_since_ != absl::InfiniteFuture()) return;
  absl::Status end;
  bool more = false;
  switch (source_->Take(shared_from_this(), &in_flight_, &more, &end)) {
    case MessageSource::Next::kLater:
      return;
    case MessageSource::Next::kEnd:
      return FinishNow(std::move(end));
    case MessageSource::Next::kMessage:
      break;
  }
  writing_since_ = absl::Now();
  grpc::WriteOptions options;
  // The first message takes the initial metadata along, which a hint would hold back for ever.
  if (more && started_) options.set_buffer_hint();
  started_ = true;
  reactor_->StartWrite(&in_flight_, options);
}

void PullStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  writing_since_ = absl::InfiniteFuture();
  in_flight_.Clear();
  if (finished_) return;
  if (!ok) return FinishNow(absl::CancelledError("the peer is gone"));
  Pump();
}

void PullStream::End(absl::Status status) {
  absl::MutexLock lock(&mu_);
  if (!finished_) FinishNow(std::move(status));
}

void PullStream::FinishNow(absl::Status status) {
  finished_ = true;
  finished_since_ = absl::Now();
  reactor_->Finish(rpc::ToGrpc(status));
}

void PullStream::OnDone() {
  {
    absl::MutexLock lock(&mu_);
    finished_ = true;
    context_ = nullptr;
    reactor_ = nullptr;
  }
  on_done_(this);
  absl::MutexLock lock(&mu_);
  source_.reset();
}

bool PullStream::CheckProgress(absl::Time now, absl::Duration write_timeout) {
  absl::MutexLock lock(&mu_);
  if (finished_) {
    // A peer that takes nothing would keep the message in flight, and the call, for ever.
    if (context_ != nullptr && now - finished_since_ > kLinger) context_->TryCancel();
    return false;
  }
  if (now - writing_since_ <= write_timeout) return false;
  FinishNow(rpc::Error(absl::StatusCode::kResourceExhausted, model::v1::ErrorDetail::SLOW_CONSUMER,
                       "what was sent has not been taken for too long"));
  return true;
}

}  // namespace tessera::feed
