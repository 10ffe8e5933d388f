// What a handler's handles and the connection share of one exchange. The handles note here what
// they want and wake the connection, which does it on its strand.
//
// Invariants: while `over` is false the port is there, and the connection will look here once more
// after each wake; once it is true nothing is accepted and nobody is woken.
//
// Threads: `mu` guards all of it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/http/exchange.h"

namespace tessera::http {

// The connection, as the handles see it.
class ExchangePort {
 public:
  virtual ~ExchangePort() = default;
  // Has the connection look at the exchange, soon and never from inside this call.
  virtual void WakeUp() = 0;
};

struct ExchangeState {
  struct Send {
    std::vector<Chunk> chunks;
    size_t bytes = 0;
    ResponseStream::Written written;
  };

  absl::Mutex mu;
  // Null once it is over.
  std::shared_ptr<ExchangePort> port ABSL_GUARDED_BY(mu);
  // The connection looks here anyway when it is done with what it does.
  bool awake ABSL_GUARDED_BY(mu) = false;
  bool over ABSL_GUARDED_BY(mu) = false;
  absl::Status end ABSL_GUARDED_BY(mu);
  std::vector<std::function<void(const absl::Status&)>> on_end ABSL_GUARDED_BY(mu);

  // All handles are gone.
  bool dropped ABSL_GUARDED_BY(mu) = false;
  // There is an answer, or the beginning of one.
  bool answered ABSL_GUARDED_BY(mu) = false;
  bool streams ABSL_GUARDED_BY(mu) = false;
  // Until the connection takes it.
  std::unique_ptr<HttpResponse> response ABSL_GUARDED_BY(mu);

  // Of a stream: what the connection has not taken yet, and its end.
  std::deque<Send> sends ABSL_GUARDED_BY(mu);
  bool ended ABSL_GUARDED_BY(mu) = false;
  bool aborted ABSL_GUARDED_BY(mu) = false;
  bool too_slow ABSL_GUARDED_BY(mu) = false;
  // Bytes of the stream that are not with the kernel yet, and how many there may be.
  size_t queued_bytes ABSL_GUARDED_BY(mu) = 0;
  size_t queued_bytes_max ABSL_GUARDED_BY(mu) = 0;

  // The read under way.
  BodyReader::Taken taken ABSL_GUARDED_BY(mu);
  bool read_all ABSL_GUARDED_BY(mu) = false;
  // What reads get once no more can be had; OK before.
  absl::Status body_error ABSL_GUARDED_BY(mu);

  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (over || awake) return;
    awake = true;
    port->WakeUp();
  }
};

// What the handles hold together: its end is the end of the last of them.
class Exchange {
 public:
  explicit Exchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
  ~Exchange() {
    absl::MutexLock lock(&state_->mu);
    state_->dropped = true;
    state_->Wake();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  ExchangeState& state() const { return *state_; }

 private:
  const std::shared_ptr<ExchangeState> state_;
};

}  // namespace tessera::http
