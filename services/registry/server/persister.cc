#include "services/registry/server/persister.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"

namespace tessera::registry {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(2);

}  // namespace

Persister::Persister(std::unique_ptr<Store> store, StoreOpener reopen, Answer answer)
    : store_(std::move(store)), reopen_(std::move(reopen)), answer_(std::move(answer)) {
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

void Persister::Submit(ReopenStore) {
  absl::MutexLock lock(&mu_);
  CHECK(!submitted_.has_value());
  submitted_ = ReopenStore{};
}

void Persister::Run() {
  pthread_setname_np(pthread_self(), "persister");
  while (true) {
    std::variant<Persist, ReopenStore> work;
    {
      absl::MutexLock lock(&mu_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return submitted_.has_value() || stopping_;
      };
      mu_.Await(absl::Condition(&has_work));
      if (!submitted_.has_value()) return;
      work = *std::exchange(submitted_, std::nullopt);
    }
    if (const auto* persist = std::get_if<Persist>(&work)) {
      Write(*persist);
    } else {
      Reopen();
    }
  }
}

void Persister::Write(const Persist& persist) {
  const int64_t began = absl::GetCurrentTimeNanos();
  absl::Status status = store_->Append(persist.batch);
  if (status.ok()) status = store_->Sync();
  const absl::Duration took = absl::Nanoseconds(absl::GetCurrentTimeNanos() - began);
  if (status.ok()) {
    answer_(Persisted{persist.id}, took);
  } else {
    answer_(PersistFailed{persist.id, std::string(status.message())}, took);
  }
}

void Persister::Reopen() {
  if (reopen_ == nullptr) return answer_(StoreLost{"it failed"}, std::nullopt);
  // Only one at a time has the disk.
  store_.reset();
  absl::Duration wait = kFirstRetry;
  while (true) {
    absl::StatusOr<std::unique_ptr<Store>> opened = reopen_();
    absl::Status status = opened.status();
    if (opened.ok()) {
      const absl::StatusOr<StoreContents> contents = (*opened)->Recover();
      status = contents.status();
      if (contents.ok()) {
        LOG(WARNING) << "the store works again, at version " << contents->version;
        store_ = *std::move(opened);
        return answer_(StoreReopened{contents->version}, std::nullopt);
      }
    }
    if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) {
      return answer_(StoreLost{std::string(status.message())}, std::nullopt);
    }
    LOG_EVERY_N(ERROR, 10) << "the store cannot be opened again yet: " << status;
    absl::MutexLock lock(&mu_);
    if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), wait)) return;
    wait = std::min(wait * 2, kLastRetry);
  }
}

}  // namespace tessera::registry
