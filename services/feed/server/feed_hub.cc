#include "services/feed/server/feed_hub.h"

#include <utility>

#include "absl/time/clock.h"
#include "services/feed/server/shared_bytes.h"
#include "services/rpc/status.h"

namespace tessera::feed {
namespace {

// How often streams are looked at for peers that take nothing.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);

FeedLogOptions LogOptions(const FeedOptions& options) {
  return {options.history_bytes_max, options.chunk_changes, options.snapshots_in_a_row_max};
}

}  // namespace

class FeedHub::Source final : public MessageSource {
 public:
  Source(FeedHub* hub, std::unique_ptr<StreamCursor> cursor)
      : hub_(hub), cursor_(std::move(cursor)) {}

  Next Take(const std::shared_ptr<PullStream>& stream, grpc::ByteBuffer* message, bool* more,
            absl::Status* end) override {
    while (true) {
      StreamStep step = hub_->Step(cursor_.get(), stream);
      switch (step.kind) {
        case StreamStep::Kind::kEnd:
          *end = std::move(step.end);
          return Next::kEnd;
        case StreamStep::Kind::kMake:
        case StreamStep::Kind::kLater:
          return Next::kLater;
        case StreamStep::Kind::kDelta:
          step.message = cursor_->Message(step.delta);
          if (step.message == nullptr) continue;
          break;
        case StreamStep::Kind::kMessage:
          break;
      }
      hub_->messages_sent_.fetch_add(1, std::memory_order_relaxed);
      hub_->bytes_sent_.fetch_add(step.message->size(), std::memory_order_relaxed);
      *message = ShareBytes(step.message);
      *more = step.more;
      return Next::kMessage;
    }
  }

 private:
  FeedHub* const hub_;
  const std::unique_ptr<StreamCursor> cursor_;
};

FeedHub::FeedHub(const FeedOptions& options, rpc::Clock clock)
    : options_(options),
      clock_(std::move(clock)),
      log_(LogOptions(options)),
      thread_([this] { Run(); }) {}

FeedHub::~FeedHub() { Stop(); }

void FeedHub::Take(FeedEffects effects) {
  {
    absl::MutexLock lock(&mu_);
    for (FeedEffect& effect : effects) log_.Take(std::move(effect));
  }
  WakeWaiting();
}

absl::Duration FeedHub::Age() const {
  absl::MutexLock lock(&mu_);
  return clock_() - log_.newest_made();
}

void FeedHub::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  WakeWaiting();
  if (thread_.joinable()) thread_.join();
}

absl::Status FeedHub::Availability() const {
  return stopping_ ? absl::UnavailableError("the service stops") : log_.Availability();
}

StreamStep FeedHub::Step(StreamCursor* cursor, const std::shared_ptr<PullStream>& stream) {
  absl::MutexLock lock(&mu_);
  if (absl::Status available = Availability(); !available.ok()) {
    return {.kind = StreamStep::Kind::kEnd, .end = std::move(available)};
  }
  StreamStep step = cursor->Take(&log_, clock_());
  if (step.kind == StreamStep::Kind::kMake) {
    requests_.push_back({step.bytes, step.index, stream});
  }
  if (step.kind == StreamStep::Kind::kMake || step.kind == StreamStep::Kind::kLater) {
    const auto found = streams_.find(stream.get());
    if (found != streams_.end() && !std::exchange(found->second.waiting, true)) {
      waiting_.push_back(stream.get());
    }
  }
  return step;
}

PullStream::Reactor* FeedHub::Serve(grpc::CallbackServerContext* context,
                                    std::unique_ptr<StreamCursor> cursor) {
  {
    absl::MutexLock lock(&mu_);
    absl::Status available = Availability();
    if (available.ok() && streams_.size() >= options_.followers_max) {
      available = rpc::Overloaded("streams of the feed");
    }
    if (!available.ok()) return PullStream::Refuse(context, available);
  }
  return PullStream::Serve(
      context, std::make_unique<Source>(this, std::move(cursor)),
      [this](std::shared_ptr<PullStream> stream) {
        absl::MutexLock lock(&mu_);
        ++streams_total_;
        const PullStream* key = stream.get();
        streams_.emplace(key, Open{std::move(stream)});
      },
      [this](const PullStream* stream) {
        std::shared_ptr<PullStream> last;  // let go of outside the lock
        absl::MutexLock lock(&mu_);
        auto found = streams_.find(stream);
        if (found == streams_.end()) return;
        if (found->second.waiting) std::erase(waiting_, stream);
        last = std::move(found->second.stream);
        streams_.erase(found);
      });
}

SnapshotPtr FeedHub::snapshot() const {
  absl::MutexLock lock(&mu_);
  return log_.snapshot();
}

void FeedHub::WakeWaiting() {
  std::vector<std::shared_ptr<PullStream>> woken;
  {
    absl::MutexLock lock(&mu_);
    woken.reserve(waiting_.size());
    for (const PullStream* key : waiting_) {
      Open& open = streams_.find(key)->second;
      open.waiting = false;
      woken.push_back(open.stream);
    }
    waiting_.clear();
    wakes_ += woken.size();
  }
  for (const auto& stream : woken) stream->Wake();
}

void FeedHub::MakeMessages(SnapshotBytes* bytes, size_t index) {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (!bytes->Wants(index)) return;
    }
    SnapshotBytes::Piece piece = bytes->Make();
    absl::MutexLock lock(&mu_);
    bytes->Add(std::move(piece));
  }
}

void FeedHub::Run() {
  absl::Time next_check = absl::Now() + kCheckInterval;
  while (true) {
    Request request;
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithDeadline(absl::Condition(this, &FeedHub::HasRequest), next_check);
      if (stopping_) return;
      if (!requests_.empty()) {
        request = std::move(requests_.front());
        requests_.pop_front();
      }
    }
    if (request.bytes != nullptr) {
      if (std::shared_ptr<PullStream> stream = request.stream.lock()) {
        MakeMessages(request.bytes.get(), request.index);
        stream->Wake();
      }
    }
    const absl::Time now = absl::Now();
    if (now < next_check) continue;
    next_check = now + kCheckInterval;
    std::vector<std::shared_ptr<PullStream>> all;
    {
      absl::MutexLock lock(&mu_);
      all.reserve(streams_.size());
      for (const auto& [key, open] : streams_) all.push_back(open.stream);
    }
    uint64_t slow = 0;
    for (const auto& stream : all) slow += stream->CheckProgress(now, options_.write_timeout);
    absl::MutexLock lock(&mu_);
    slow_ended_ += slow;
  }
}

void FeedHub::AddCounters(FeedCounters* counters) const {
  absl::MutexLock lock(&mu_);
  const FeedLog::Counters log = log_.counters();
  counters->followers = streams_.size();
  counters->followers_total = streams_total_;
  counters->followers_resumed = log.resumed;
  counters->snapshots_started = log.snapshots_started;
  counters->slow_followers_ended = slow_ended_ + log.slow_ended;
  counters->history_bytes = log.history_bytes;
  counters->history_deltas = log.history_deltas;
  counters->follower_lag_max = log.lag_max;
  counters->streams_woken = wakes_;
  counters->messages_sent = messages_sent_.load();
  counters->bytes_sent = bytes_sent_.load();
}

}  // namespace tessera::feed
