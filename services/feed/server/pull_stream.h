// A server stream that fetches its next message when the one before has been taken by the
// transport.
//
// It holds one message, whatever the speed of its peer: nothing is queued for it. What there is to
// send is known to its source, which is shared or a cursor into something shared.
//
// Invariants: one write is in flight; the source is asked by one thread at a time; it is told of
// the end exactly once, and asked nothing after that.
//
// Threads: Wake and End from any thread. Lock order: the stream's lock, then those of its source.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tessera::feed {

class PullStream;

class MessageSource {
 public:
  enum class Next {
    kMessage,  // *message is the next one; *more says that another one waits already
    kLater,    // nothing yet: someone will Wake() the stream
    kEnd,      // the stream ends with *end
  };

  virtual ~MessageSource() = default;
  // Does not block: it is called on a thread of gRPC.
  virtual Next Take(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message,
                    bool* more, absl::Status* end) = 0;
};

class PullStream : public std::enable_shared_from_this<PullStream> {
 public:
  using Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

  // Answers a call by a stream. `on_open` gets its handle before anything is sent; `on_done` is the
  // last thing that happens.
  static Reactor* Serve(grpc::CallbackServerContext* context, std::unique_ptr<MessageSource> source,
                        const std::function<void(std::shared_ptr<PullStream>)>& on_open,
                        std::function<void(const PullStream*)> on_done);

  // Answers a call by an error.
  static Reactor* Refuse(grpc::CallbackServerContext* context, const absl::Status& status);

  PullStream(grpc::CallbackServerContext* context, Reactor* reactor,
             std::unique_ptr<MessageSource> source, std::function<void(const PullStream*)> on_done);

  // There may be something new to send.
  void Wake();

  // Ends the stream now, whatever it had to send.
  void End(absl::Status status);

  // Ends a stream whose peer has not taken a message for `write_timeout` with RESOURCE_EXHAUSTED
  // (SLOW_CONSUMER), and cuts off one whose peer does not even take its end. True in the first
  // case.
  bool CheckProgress(absl::Time now, absl::Duration write_timeout);

 private:
  class ReactorImpl;

  void OnWriteDone(bool ok);
  void OnDone();
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishNow(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::function<void(const PullStream*)> on_done_;
  mutable absl::Mutex mu_;
  // Null once gRPC is done with the call.
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mu_);
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<MessageSource> source_ ABSL_GUARDED_BY(mu_);
  grpc::ByteBuffer in_flight_ ABSL_GUARDED_BY(mu_);
  absl::Time writing_since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time finished_since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
};

}  // namespace tessera::feed
