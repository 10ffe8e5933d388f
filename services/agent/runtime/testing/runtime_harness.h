// What tests of container runtimes stand on: a machine with one runtime, whatever kind of runtime
// it is.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "services/agent/container/container_runtime.h"

namespace tessera::agent {

// A machine with one runtime on it.
class RuntimeHarness {
 public:
  virtual ~RuntimeHarness() = default;

  virtual ContainerRuntime* runtime() = 0;
  // Lets time pass until `done` holds; false when it does not within the harness's patience.
  virtual bool WaitUntil(const std::function<bool()>& done) = 0;
  // The agent dies without a farewell and starts again, not recovered yet.
  virtual void Restart() = 0;
  // Waits until the container has written something.
  virtual bool WaitForOutput(const std::string& id) = 0;
  virtual std::string SandboxOf(const std::string& id) = 0;

  void Terminated(const ContainerTermination& termination) {
    absl::MutexLock lock(&mutex_);
    terminations_.push_back(termination);
  }
  std::vector<ContainerTermination> TerminationsOf(const std::string& id) {
    absl::MutexLock lock(&mutex_);
    std::vector<ContainerTermination> found;
    for (const ContainerTermination& termination : terminations_) {
      if (termination.container_id == id) found.push_back(termination);
    }
    return found;
  }
  void ForgetTerminations() {
    absl::MutexLock lock(&mutex_);
    terminations_.clear();
  }

  // Calls with an answer, waited for.
  LaunchResult Launch(ContainerSpec spec) {
    return Await<LaunchResult>([this, &spec](std::function<void(LaunchResult)> done) {
      runtime()->Launch(std::move(spec), std::move(done));
    });
  }
  PodResult CreatePod(PodSpec spec) {
    return Await<PodResult>([this, &spec](std::function<void(PodResult)> done) {
      runtime()->CreatePod(std::move(spec), std::move(done));
    });
  }
  absl::Status UpdatePod(const std::string& id, const ContainerResources& limits) {
    return Await<absl::Status>(
        [this, &id, &limits](auto done) { runtime()->UpdatePod(id, limits, std::move(done)); });
  }
  absl::Status DestroyPod(const std::string& id) {
    return Await<absl::Status>(
        [this, &id](auto done) { runtime()->DestroyPod(id, std::move(done)); });
  }
  absl::Status Kill(const std::string& id, absl::Duration grace) {
    return Await<absl::Status>(
        [this, &id, grace](auto done) { runtime()->Kill(id, grace, std::move(done)); });
  }
  absl::Status Destroy(const std::string& id) {
    return Await<absl::Status>([this, &id](auto done) { runtime()->Destroy(id, std::move(done)); });
  }
  absl::Status Signal(const std::string& id, int number) {
    return Await<absl::Status>(
        [this, &id, number](auto done) { runtime()->Signal(id, number, std::move(done)); });
  }
  absl::Status Release(const std::string& id) {
    return Await<absl::Status>([this, &id](auto done) { runtime()->Release(id, std::move(done)); });
  }
  absl::Status Update(const std::string& id, const ContainerResources& resources) {
    return Await<absl::Status>(
        [this, &id, &resources](auto done) { runtime()->Update(id, resources, std::move(done)); });
  }
  absl::StatusOr<ContainerUsage> ReadUsage(const std::string& id) {
    return Await<absl::StatusOr<ContainerUsage>>(
        [this, &id](auto done) { runtime()->ReadUsage(id, std::move(done)); });
  }
  absl::StatusOr<RecoveryResult> Recover(const std::vector<ContainerId>& containers,
                                         const std::vector<ContainerId>& pods = {}) {
    return Await<absl::StatusOr<RecoveryResult>>([this, &containers, &pods](auto done) {
      runtime()->Recover({.pods = pods, .containers = containers}, std::move(done));
    });
  }

 private:
  template <typename Answer>
  Answer Await(const std::function<void(std::function<void(Answer)>)>& call) {
    struct Slot {
      absl::Mutex mutex;
      std::optional<Answer> answer;
    };
    auto slot = std::make_shared<Slot>();
    call([slot](Answer answer) {
      absl::MutexLock lock(&slot->mutex);
      slot->answer.emplace(std::move(answer));
    });
    const bool came = WaitUntil([slot] {
      absl::MutexLock lock(&slot->mutex);
      return slot->answer.has_value();
    });
    if (!came) {
      ADD_FAILURE() << "no answer came";
      abort();
    }
    absl::MutexLock lock(&slot->mutex);
    return *std::move(slot->answer);
  }

  absl::Mutex mutex_;
  std::vector<ContainerTermination> terminations_;
};

}  // namespace tessera::agent
