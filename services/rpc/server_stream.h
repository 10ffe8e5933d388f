// The serving side of streams, on gRPC's callback API.
//
//   grpc::ServerBidiReactor<In, Out>* Link(grpc::CallbackServerContext* context) override {
//     return rpc::AcceptBidi<In, Out>(context, options, [&](rpc::StreamPtr<Out> stream) {
//       return rpc::StreamHandlers<In>{...};   // called once, before anything is read
//     });
//   }
//
// A server stream is the same without reading: AcceptServerStream. For fan-out, use the service's
// WithRawCallbackMethod_<Rpc> and Out = grpc::ByteBuffer. Refuse finishes a stream at once.
//
// Lifetime: the reactor deletes itself when gRPC is done with it; handles outlive it and become
// no-ops. The context is valid until on_done has returned.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/rpc/outbox.h"
#include "services/rpc/status.h"
#include "services/rpc/stream.h"

namespace tessera::rpc {

namespace stream_internal {

// The write side of a server reactor and the state that handles share with it. Reactor is
// grpc::ServerBidiReactor<In, Out> or grpc::ServerWriteReactor<Out>; it is null once gRPC is done.
template <typename Reactor, typename Out>
class ServerSide final : public Stream<Out>,
                         public std::enable_shared_from_this<ServerSide<Reactor, Out>> {
 public:
  ServerSide(const StreamOptions& options, grpc::CallbackServerContext* context, Reactor* reactor)
      : options_(options), context_(context), reactor_(reactor), outbox_(options) {}

  bool Send(Out message) override {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kOpen) return false;
    if (!outbox_.Push(std::move(message))) {
      FinishNow(SlowConsumer(outbox_.size()));
      return false;
    }
    WriteNext();
    return true;
  }

  void Close(absl::Status status) override {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kOpen) return;
    state_ = State::kDraining;
    final_ = std::move(status);
    if (!writing_ && outbox_.empty()) {
      FinishNow(final_);
    } else {
      ArmLinger();
    }
  }

  void Cancel(absl::Status reason) override {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kFinished) FinishNow(std::move(reason));
  }

  bool closed() const override {
    absl::MutexLock lock(&mu_);
    return state_ != State::kOpen;
  }

  size_t queued() const override {
    absl::MutexLock lock(&mu_);
    return outbox_.size();
  }

  void OnWriteDone(bool ok) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    outbox_.Written();
    if (state_ == State::kFinished) return;
    if (!ok) {
      FinishNow(absl::CancelledError("the peer is gone"));
    } else if (!outbox_.empty()) {
      WriteNext();
    } else if (state_ == State::kDraining) {
      FinishNow(final_);
    }
  }

  // Runs `start_read` unless the stream has been finished, when nothing more may be started.
  template <typename StartRead>
  void IfReadable(StartRead start_read) {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kFinished) start_read();
  }

  // The reactor is about to be deleted. Returns the status that the stream ended with.
  absl::Status Detach() {
    absl::MutexLock lock(&mu_);
    state_ = State::kFinished;
    // A peer that cancels looks like one that half-closes until gRPC has seen all of its end.
    if (final_.ok() && context_->IsCancelled()) final_ = absl::CancelledError("the peer is gone");
    reactor_ = nullptr;
    context_ = nullptr;
    linger_.reset();
    outbox_.Clear();
    return final_;
  }

 private:
  enum class State { kOpen, kDraining, kFinished };

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || outbox_.empty()) return;
    const Out* message = outbox_.StartNext();
    writing_ = true;
    grpc::WriteOptions write;
    if (!outbox_.empty()) write.set_buffer_hint();
    reactor_->StartWrite(message, write);
  }

  void FinishNow(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    state_ = State::kFinished;
    final_ = std::move(status);
    outbox_.Clear();
    if (writing_) ArmLinger();
    reactor_->Finish(ToGrpc(final_));
  }

  // A peer that reads nothing would keep the stream for ever.
  void ArmLinger() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (linger_ != nullptr) return;
    linger_ = std::make_unique<grpc::Alarm>();
    linger_->Set(absl::ToChronoTime(absl::Now() + options_.linger),
                 [weak = this->weak_from_this()](bool expired) {
                   auto self = weak.lock();
                   if (!expired || self == nullptr) return;
                   absl::MutexLock lock(&self->mu_);
                   if (self->context_ != nullptr) self->context_->TryCancel();
                 });
  }

  const StreamOptions options_;
  mutable absl::Mutex mu_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mu_);
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  Outbox<Out> outbox_ ABSL_GUARDED_BY(mu_);
  State state_ ABSL_GUARDED_BY(mu_) = State::kOpen;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status final_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Alarm> linger_ ABSL_GUARDED_BY(mu_);
};

template <typename In, typename Out>
class BidiReactor final : public grpc::ServerBidiReactor<In, Out> {
 public:
  using Side = ServerSide<grpc::ServerBidiReactor<In, Out>, Out>;

  BidiReactor(grpc::CallbackServerContext* context, const StreamOptions& options)
      : side_(std::make_shared<Side>(options, context, this)) {}

  StreamPtr<Out> stream() const { return side_; }

  void Begin(StreamHandlers<In> handlers) {
    handlers_ = std::move(handlers);
    Read();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      side_->Close(absl::OkStatus());
      return;
    }
    if (!handlers_.on_message) return Read();
    absl::Status taken = handlers_.on_message(std::move(incoming_));
    if (!taken.ok()) {
      side_->Cancel(std::move(taken));
      return;
    }
    Read();
  }

  void OnWriteDone(bool ok) override { side_->OnWriteDone(ok); }
  void OnCancel() override { side_->Cancel(absl::CancelledError("the peer is gone")); }

  void OnDone() override {
    const absl::Status status = side_->Detach();
    if (handlers_.on_done) handlers_.on_done(status);
    delete this;
  }

 private:
  void Read() {
    incoming_ = In();
    side_->IfReadable([this] { this->StartRead(&incoming_); });
  }

  std::shared_ptr<Side> side_;
  StreamHandlers<In> handlers_;
  In incoming_;
};

template <typename Out>
class WriteReactor final : public grpc::ServerWriteReactor<Out> {
 public:
  using Side = ServerSide<grpc::ServerWriteReactor<Out>, Out>;

  WriteReactor(grpc::CallbackServerContext* context, const StreamOptions& options)
      : side_(std::make_shared<Side>(options, context, this)) {}

  StreamPtr<Out> stream() const { return side_; }
  void Begin(std::function<void(const absl::Status&)> on_done) { on_done_ = std::move(on_done); }

  void OnWriteDone(bool ok) override { side_->OnWriteDone(ok); }
  void OnCancel() override { side_->Cancel(absl::CancelledError("the peer is gone")); }

  void OnDone() override {
    const absl::Status status = side_->Detach();
    if (on_done_) on_done_(status);
    delete this;
  }

 private:
  std::shared_ptr<Side> side_;
  std::function<void(const absl::Status&)> on_done_;
};

}  // namespace stream_internal

// Accepts a bidi stream. `make_handlers` gets the handle, may send on it already, and returns the
// callbacks. To refuse, it cancels the stream and returns empty handlers.
template <typename In, typename Out>
grpc::ServerBidiReactor<In, Out>* AcceptBidi(
    grpc::CallbackServerContext* context, const StreamOptions& options,
    absl::FunctionRef<StreamHandlers<In>(StreamPtr<Out>)> make_handlers) {
  auto* reactor = new stream_internal::BidiReactor<In, Out>(context, options);
  reactor->Begin(make_handlers(reactor->stream()));
  return reactor;
}

// Accepts a server stream. `make_on_done` gets the handle, may send on it already, and returns the
// callback for its end. To refuse, it cancels the stream.
template <typename Out>
grpc::ServerWriteReactor<Out>* AcceptServerStream(
    grpc::CallbackServerContext* context, const StreamOptions& options,
    absl::FunctionRef<std::function<void(const absl::Status&)>(StreamPtr<Out>)> make_on_done) {
  auto* reactor = new stream_internal::WriteReactor<Out>(context, options);
  reactor->Begin(make_on_done(reactor->stream()));
  return reactor;
}

}  // namespace tessera::rpc
