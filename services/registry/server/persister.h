// The one thread that touches the store: append, sync, answer; and after a failure open it anew.
//
// Threads: Submit from the strand; the answer comes on the persister's own thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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

  // A null `reopen`: a store that failed is lost.
  Persister(std::unique_ptr<Store> store, StoreOpener reopen, Answer answer);
  // Finishes what was submitted, but for the reopening of a store whose disk still fails.
  ~Persister();

  // One at a time: the next comes after the answer to the one before.
  void Submit(Persist persist);
  // Tries until the disk lets it, or tells that it never will.
  void Submit(ReopenStore reopen);

 private:
  void Run();
  void Write(const Persist& persist);
  void Reopen();

  std::unique_ptr<Store> store_;  // the thread's own
  const StoreOpener reopen_;
  const Answer answer_;
  absl::Mutex mu_;
  std::optional<std::variant<Persist, ReopenStore>> submitted_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::registry
