// The one thread that writes to the store: append, sync, answer.
//
// Threads: Submit from the strand; the answer comes on the persister's own thread.
#pragma once

#include <functional>
#include <optional>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/registry/core/registry_events.h"
#include "services/registry/store/store.h"

namespace tessera::registry {

class Persister {
 public:
  // `answer` gets Persisted or PersistFailed for each Submit, and how long the disk took.
  using Answer = std::function<void(Event event, absl::Duration took)>;

  // `store` must outlive the persister.
  Persister(Store* store, Answer answer);
  // Finishes what was submitted.
  ~Persister();

  // One at a time: the next comes after the answer to the one before.
  void Submit(Persist persist);

 private:
  void Run();

  Store* const store_;
  const Answer answer_;
  absl::Mutex mu_;
  std::optional<Persist> submitted_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tessera::registry
