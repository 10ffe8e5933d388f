// The calling side of streams, on gRPC's callback API.
//
//   auto link = rpc::OpenBidi<Out, In>(options, handlers, [&](auto* context, auto* reactor) {
//     context->AddMetadata(...);
//     stub->async()->Link(context, reactor);
//   });
//   link->Send(message);
//
// A server stream is the same without writing: OpenServerStream gives a StreamControl.
//
// Lifetime: reactor and context delete themselves when the call is over; handles outlive them and
// become no-ops. The stub's channel is kept by the call itself.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

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

// The state of a call that handles share with its reactor. `context_` and `reactor_` are null once
// the call is over. Reactor is grpc::ClientBidiReactor<Out, In>.
template <typename Reactor, typename Out>
class ClientSide final : public Stream<Out>,
                         public std::enable_shared_from_this<ClientSide<Reactor, Out>> {
 public:
  ClientSide(const StreamOptions& options, grpc::ClientContext* context, Reactor* reactor)
      : options_(options), context_(context), reactor_(reactor), outbox_(options) {}

  bool Send(Out message) override {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kOpen) return false;
    if (!outbox_.Push(std::move(message))) {
      CancelNow(SlowConsumer(outbox_.size()));
      return false;
    }
    WriteNext();
    return true;
  }

  void Close(absl::Status status) override {
    absl::MutexLock lock(&mu_);
    if (state_ != State::kOpen) return;
    if (!status.ok()) {
      CancelNow(std::move(status));
      return;
    }
    state_ = State::kDraining;
    ArmLinger();
    if (!writing_ && outbox_.empty()) HalfClose();
  }

  void Cancel(absl::Status reason) override {
    absl::MutexLock lock(&mu_);
    if (context_ != nullptr && reason_.ok()) CancelNow(std::move(reason));
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
    if (!ok || state_ == State::kEnded) return;
    if (!outbox_.empty()) {
      WriteNext();
    } else if (state_ == State::kDraining) {
      HalfClose();
    }
  }

  // Nothing more can be read: no operation may be started from outside any more.
  void ReadsEnded() {
    absl::MutexLock lock(&mu_);
    state_ = State::kEnded;
    outbox_.Clear();
    reactor_->RemoveHold();
  }

  // The reactor is about to be deleted. Returns the local reason for the end, OK if there is none.
  absl::Status Detach() {
    absl::MutexLock lock(&mu_);
    state_ = State::kEnded;
    reactor_ = nullptr;
    context_ = nullptr;
    linger_.reset();
    return reason_;
  }

 private:
  // kCancelled: TryCancel was called, the end is on its way. kEnded: it has come.
  enum class State { kOpen, kDraining, kHalfClosed, kCancelled, kEnded };

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || outbox_.empty()) return;
    const Out* message = outbox_.StartNext();
    writing_ = true;
    grpc::WriteOptions write;
    if (!outbox_.empty()) write.set_buffer_hint();
    reactor_->StartWrite(message, write);
  }

  void HalfClose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    state_ = State::kHalfClosed;
    reactor_->StartWritesDone();
  }

  void CancelNow(absl::Status reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (state_ == State::kEnded) return;
    state_ = State::kCancelled;
    reason_ = std::move(reason);
    outbox_.Clear();
    context_->TryCancel();
  }

  // A server that never ends its side would keep the call for ever.
  void ArmLinger() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
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
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_);
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  Outbox<Out> outbox_ ABSL_GUARDED_BY(mu_);
  State state_ ABSL_GUARDED_BY(mu_) = State::kOpen;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status reason_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Alarm> linger_ ABSL_GUARDED_BY(mu_);
};

template <typename Out, typename In>
class CallReactor final : public grpc::ClientBidiReactor<Out, In> {
 public:
  using Side = ClientSide<grpc::ClientBidiReactor<Out, In>, Out>;

  CallReactor(const StreamOptions& options, StreamHandlers<In> handlers)
      : handlers_(std::move(handlers)), side_(std::make_shared<Side>(options, &context_, this)) {}

  grpc::ClientContext* context() { return &context_; }

  StreamPtr<Out> Begin() {
    StreamPtr<Out> stream = side_;
    this->AddHold();
    Read();
    this->StartCall();
    return stream;
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      side_->ReadsEnded();
      return;
    }
    // After a refusal reading goes on, because a failing read is what ends the call. But what came
    // behind the refused message is not delivered: the owner would see a gap.
    if (!handlers_.on_message || refused_) return Read();
    absl::Status taken = handlers_.on_message(std::move(incoming_));
    if (!taken.ok()) {
      refused_ = true;
      side_->Cancel(std::move(taken));
    }
    Read();
  }

  void OnWriteDone(bool ok) override { side_->OnWriteDone(ok); }

  void OnDone(const grpc::Status& status) override {
    const absl::Status reason = side_->Detach();
    if (handlers_.on_done) handlers_.on_done(reason.ok() ? FromGrpc(status) : reason);
    delete this;
  }

 private:
  void Read() {
    incoming_ = In();
    this->StartRead(&incoming_);
  }

  grpc::ClientContext context_;
  StreamHandlers<In> handlers_;
  std::shared_ptr<Side> side_;
  In incoming_;
  // A message was not taken.
  bool refused_ = false;
};

// A call that only reads.
template <typename In>
class FollowReactor final : public grpc::ClientReadReactor<In> {
 public:
  class Side final : public StreamControl {
   public:
    explicit Side(grpc::ClientContext* context) : context_(context) {}
    void Close(absl::Status status) override { Cancel(std::move(status)); }
    void Cancel(absl::Status reason) override {
      absl::MutexLock lock(&mu_);
      if (context_ == nullptr || cancelled_) return;
      cancelled_ = true;
      reason_ = std::move(reason);
      context_->TryCancel();
    }
    bool closed() const override {
      absl::MutexLock lock(&mu_);
      return context_ == nullptr || cancelled_;
    }
    size_t queued() const override { return 0; }

    // The call is over with `status`; returns what its owner is told.
    absl::Status Detach(absl::Status status) {
      absl::MutexLock lock(&mu_);
      context_ = nullptr;
      return cancelled_ ? reason_ : status;
    }

   private:
    mutable absl::Mutex mu_;
    grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_);
    bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
    absl::Status reason_ ABSL_GUARDED_BY(mu_);
  };

  explicit FollowReactor(StreamHandlers<In> handlers)
      : handlers_(std::move(handlers)), side_(std::make_shared<Side>(&context_)) {}

  grpc::ClientContext* context() { return &context_; }

  std::shared_ptr<StreamControl> Begin() {
    std::shared_ptr<StreamControl> control = side_;
    Read();
    this->StartCall();
    return control;
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (!handlers_.on_message || refused_) return Read();
    absl::Status taken = handlers_.on_message(std::move(incoming_));
    if (!taken.ok()) {
      refused_ = true;
      side_->Cancel(std::move(taken));
    }
    Read();
  }

  void OnDone(const grpc::Status& status) override {
    const absl::Status told = side_->Detach(FromGrpc(status));
    if (handlers_.on_done) handlers_.on_done(told);
    delete this;
  }

 private:
  void Read() {
    incoming_ = In();
    this->StartRead(&incoming_);
  }

  grpc::ClientContext context_;
  StreamHandlers<In> handlers_;
  std::shared_ptr<Side> side_;
  In incoming_;
  // A message was not taken; nothing behind it is delivered.
  bool refused_ = false;
};

}  // namespace stream_internal

// Opens a bidi stream. `start` calls `stub->async()->Rpc(context, reactor)` after setting metadata
// or a deadline on the context; it must start the call. Never fails itself: what goes wrong comes
// by on_done. Messages sent before the connection is up wait in the queue.
template <typename Out, typename In, typename StartCall>
StreamPtr<Out> OpenBidi(const StreamOptions& options, StreamHandlers<In> handlers,
                        StartCall start) {
  auto* reactor = new stream_internal::CallReactor<Out, In>(options, std::move(handlers));
  start(reactor->context(), static_cast<grpc::ClientBidiReactor<Out, In>*>(reactor));
  return reactor->Begin();
}

// Opens a server stream. `start` calls `stub->async()->Rpc(context, &request, reactor)`; the
// request is serialised at once and may be a local of the caller. Close and Cancel of the control
// both cancel the call; on_done then gets their status.
template <typename In, typename StartCall>
std::shared_ptr<StreamControl> OpenServerStream(StreamHandlers<In> handlers, StartCall start) {
  auto* reactor = new stream_internal::FollowReactor<In>(std::move(handlers));
  start(reactor->context(), static_cast<grpc::ClientReadReactor<In>*>(reactor));
  return reactor->Begin();
}

}  // namespace tessera::rpc
