#include "services/registry/server/persister.h"

#include <pthread.h>

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "services/base/bug.h"

namespace tessera::registry {
namespace {

// How long one campaign waits for the store. A stop waits for it, too.
constexpr absl::Duration kCampaignPatience = absl::Milliseconds(200);

}  // namespace

Persister::Persister(std::unique_ptr<Store> store, std::string address, Answer answer)
    : store_(std::move(store)), address_(std::move(address)), answer_(std::move(answer)) {
  store_->set_on_fenced([this](Term term, const std::string& reason) {
    answer_(StoreFenced{.term = term, .reason = reason}, std::nullopt);
  });
  thread_ = std::thread([this] { Run(); });
}

Persister::~Persister() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void Persister::Submit(AcquireStore acquire) { Take(acquire); }
void Persister::Submit(Persist persist) { Take(std::move(persist)); }
void Persister::Submit(Settle settle) { Take(settle); }

void Persister::Take(Work work) {
  absl::MutexLock lock(&mu_);
  if (TESSERA_BUG_IF(submitted_.has_value(), "the store is asked two things at a time")) return;
  submitted_ = std::move(work);
}

void Persister::Run() {
  pthread_setname_np(pthread_self(), "persister");
  while (true) {
    std::optional<Work> work;
    {
      absl::MutexLock lock(&mu_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return submitted_.has_value() || stopping_;
      };
      mu_.Await(absl::Condition(&has_work));
      if (!submitted_.has_value()) return;
      work = std::exchange(submitted_, std::nullopt);
    }
    std::visit([this](const auto& one) { Do(one); }, *work);
  }
}

void Persister::Do(const AcquireStore&) {
  absl::StatusOr<CampaignResult> result = store_->Campaign(address_, kCampaignPatience);
  if (!result.ok()) {
    std::string reason(result.status().message());
    if (IsFinal(result.status())) return answer_(StoreLost{std::move(reason)}, std::nullopt);
    return answer_(StoreUnavailable{std::move(reason)}, std::nullopt);
  }
  if (auto* won = std::get_if<Won>(&*result)) {
    return answer_(StoreAcquired{won->ownership,
                                 std::make_shared<const StoreContents>(std::move(won->contents))},
                   std::nullopt);
  }
  answer_(StoreOwnedByOther{std::get<OwnedByOther>(*result).address}, std::nullopt);
}

void Persister::Do(const Persist& persist) {
  const int64_t began = absl::GetCurrentTimeNanos();
  CommitResult result = store_->Commit(persist.batch, persist.guard);
  const absl::Duration took = absl::Nanoseconds(absl::GetCurrentTimeNanos() - began);
  switch (result.outcome) {
    case CommitOutcome::kDone:
      return answer_(Persisted{persist.guard.number}, took);
    case CommitOutcome::kFenced:
      return answer_(
          StoreFenced{persist.guard.term, persist.guard.number, std::move(result.reason)}, took);
    case CommitOutcome::kUnknown:
      return answer_(PersistUnknown{persist.guard.number, std::move(result.reason)}, took);
  }
}

void Persister::Do(const Settle& settle) {
  const Guard& guard = settle.guard;
  const absl::StatusOr<SettleOutcome> outcome = store_->Settle(guard);
  if (!outcome.ok()) {
    std::string reason(outcome.status().message());
    if (IsFinal(outcome.status())) return answer_(StoreLost{std::move(reason)}, std::nullopt);
    return answer_(SettleFailed{guard.number, std::move(reason)}, std::nullopt);
  }
  switch (*outcome) {
    case SettleOutcome::kDone:
      return answer_(Settled{guard.number, /*done=*/true}, std::nullopt);
    case SettleOutcome::kNever:
      return answer_(Settled{guard.number, /*done=*/false}, std::nullopt);
    case SettleOutcome::kFenced:
      return answer_(StoreFenced{guard.term, guard.number, "another registry owns the store"},
                     std::nullopt);
  }
}

}  // namespace tessera::registry
