// The one thread that touches the store: strives for it, writes, settles what is in doubt, and
// answers each with the event that the core waits for.
//
// Threads: Submit from the strand; answers come on the persister's own thread, but for a
// StoreFenced that the store tells by itself, which comes on any.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/registry/core/registry_events.h"
#include "services/registry/store/store.h"

namespace tessera::registry {

class Persister {
 public:
  // `answer` gets what answers each Submit, and how long the disk took to write.
  using Answer = std::function<void(Event event, std::optional<absl::Duration> took)>;

  // `address`: where this registry serves, for those who find the store owned by it.
  Persister(std::unique_ptr<Store> store, std::string address, Answer answer);
  // Finishes what was submitted.
  ~Persister();

  // One at a time: the next comes after the answer to the one before.
  void Submit(AcquireStore acquire);
  void Submit(Persist persist);
  void Submit(Settle settle);

 private:
  using Work = std::variant<AcquireStore, Persist, Settle>;

  void Take(Work work);
  void Run();
  void Do(const AcquireStore& acquire);
  void Do(const Persist& persist);
  void Do(const Settle& settle);

  const std::unique_ptr<Store> store_;  // the thread's own
  const std::string address_;
  const Answer answer_;
  absl::Mutex mu_;
  std::optional<Work> submitted_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::registry
