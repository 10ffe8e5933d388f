// A core with its vocabulary, a clock of its own, and the allocations that are out.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bench/allocator/figures.h"
#include "services/allocator/core/allocator_core.h"
#include "services/model/resources.h"

namespace tessera::allocator::bench {

// What most workloads' agents have.
extern const char* const kAgentResources;
// Sixteen of the port ranges that a busy agent's tasks hold, as text between brackets.
std::string UsedPorts();
model::Resources Parse(const std::string& text);

class BenchCluster {
 public:
  explicit BenchCluster(AllocatorConfig config = {});

  // Time stands still.
  void Step(const Event& event);
  // A run that is due by the machine's clock follows, as in a service whose queue is full: the
  // clock is looked at once in a batch of events.
  void StepLive(const Event& event);
  // The end of the snapshot, and the run that it causes.
  void Start();
  // Runs everything that is due until nothing but the periodic run is left.
  void Settle();
  // One full run with those that it is cut into, in milliseconds. What is allocated is charged and
  // told, but not sent.
  double TimedCycle();
  // Everything that is out comes back. Zero leaves no filter; no run is made on its behalf.
  void ReturnAll(absl::Duration refuse);

  FrameworkNum F(size_t i);
  AgentNum A(size_t i);
  RoleNum R(const std::string& path) { return *words_->InternRole(path); }
  Bag B(const model::Resources& resources) { return *BagOf(resources, words_.get()); }
  FrameworkAdded NewFramework(size_t i, RoleNum role, FrameworkCapabilities can = {});
  AgentAdded NewAgent(size_t i, const model::Resources& total);

  // Keeps the allocations among `effects` and empties it.
  void TakeIn(Effects* effects);

  // Of the last run.
  size_t offers() const { return offers_; }
  void ExpectOffers(size_t expected, const char* where) const;
  size_t runs() const { return runs_; }
  std::vector<Allocation>& out() { return out_; }
  AllocatorCore& core() { return *core_; }
  const AllocatorConfig& config() const { return config_; }
  absl::Time now() const { return now_; }
  void Advance(absl::Duration duration) { now_ += duration; }

 private:
  const std::string& Name(std::vector<std::string>* names, const char* prefix, size_t i);

  const AllocatorConfig config_;
  std::unique_ptr<Vocabulary> words_;
  std::unique_ptr<AllocatorCore> core_;
  const std::chrono::nanoseconds began_ = Now();
  const absl::Time start_ = absl::UnixEpoch();
  absl::Time now_ = start_;
  size_t events_to_clock_ = 0;
  Effects effects_;
  std::vector<Allocation> out_;
  size_t offers_ = 0;
  size_t runs_ = 0;
  std::vector<std::string> framework_ids_;
  std::vector<std::string> agent_ids_;
};

}  // namespace tessera::allocator::bench
