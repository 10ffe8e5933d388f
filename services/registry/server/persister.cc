#include "services/registry/server/persister.h"

#include <glog/logging.h>
#include <pthread.h>

#include <string>
#include <utility>

#include "absl/time/clock.h"

namespace tessera::registry {

Persister::Persister(Store* store, Answer answer) : store_(store), answer_(std::move(answer)) {
  thread_ = std::thread([this] { Run(); });
}

Persister::~Persister() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void Persister::Submit(Persist persist) {
  absl::MutexLock lock(&mu_);
  CHECK(!submitted_.has_value());
  submitted_ = std::move(persist);
}

void Persister::Run() {
  pthread_setname_np(pthread_self(), "persister");
  while (true) {
    Persist persist;
    {
      absl::MutexLock lock(&mu_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return submitted_.has_value() || stopping_;
      };
      mu_.Await(absl::Condition(&has_work));
      if (!submitted_.has_value()) return;
      persist = *std::exchange(submitted_, std::nullopt);
    }
    const int64_t began = absl::GetCurrentTimeNanos();
    absl::Status status = store_->Append(persist.batch);
    if (status.ok()) status = store_->Sync();
    const absl::Duration took = absl::Nanoseconds(absl::GetCurrentTimeNanos() - began);
    if (status.ok()) {
      answer_(Persisted{persist.id}, took);
    } else {
      LOG(ERROR) << "the store failed: " << status;
      answer_(PersistFailed{persist.id, std::string(status.message())}, took);
    }
  }
}

}  // namespace tessera::registry
