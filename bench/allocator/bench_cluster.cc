#include "bench/allocator/bench_cluster.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/base/overloaded.h"
#include "services/model/parse.h"

namespace tessera::allocator::bench {
namespace {

// Between two looks at the clock. A strand takes up to 4,096 events in one batch.
constexpr size_t kEventsInBatch = 64;

AllocatorConfig Configured(AllocatorConfig config) {
  config.min_allocatable =
      Minimum(model::MinAllocatable::Parse("cpus:0.01|mem:32")->alternatives());
  return config;
}

}  // namespace

const char* const kAgentResources = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";

std::string UsedPorts() {
  std::string ports;
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(&ports, i == 0 ? "" : ", ", 31000 + 60 * i, "-", 31000 + 60 * i + 40);
  }
  return ports;
}

model::Resources Parse(const std::string& text) {
  auto resources = model::ParseResources(text);
  if (!resources.ok()) Fail(resources.status().ToString());
  return *std::move(resources);
}

BenchCluster::BenchCluster(AllocatorConfig config) : config_(Configured(std::move(config))) {
  words_ = std::make_unique<Vocabulary>();
  core_ = std::make_unique<AllocatorCore>(config_, words_.get(), 1);
}

void BenchCluster::TakeIn(Effects* effects) {
  for (Effect& effect : *effects) {
    std::visit(base::Overloaded{
                   [&](AllocationBatch& batch) {
                     ++runs_;
                     offers_ = batch.allocations.size();
                     out_.insert(out_.end(), std::make_move_iterator(batch.allocations.begin()),
                                 std::make_move_iterator(batch.allocations.end()));
                     core_->Recycle(std::move(batch.allocations));
                   },
                   [&](const Refused& refused) {
                     Fail(absl::StrCat("refused: ", RefusalReasonName(refused.reason), " ",
                                       refused.detail));
                   },
                   // Numbers are not used again here.
                   [](const FrameworkForgotten&) {},
                   [](const AgentForgotten&) {},
               },
               effect);
  }
  effects->clear();
}

void BenchCluster::Step(const Event& event) {
  core_->Step(now_, event, &effects_);
  if (!effects_.empty()) TakeIn(&effects_);
}

void BenchCluster::StepLive(const Event& event) {
  Step(event);
  if (++events_to_clock_ < kEventsInBatch) return;
  events_to_clock_ = 0;
  now_ = std::max(now_, start_ + absl::FromChrono(Now() - began_));
  if (core_->NextDeadline() <= now_) Step(Wake{});
}

void BenchCluster::Start() {
  Step(SnapshotCompleted{});
  Settle();
}

void BenchCluster::Settle() {
  now_ += config_.min_batch_interval;
  Step(Wake{});
}

double BenchCluster::TimedCycle() {
  now_ += config_.allocation_interval;
  double took = 0;
  size_t offers = 0;
  while (true) {
    const auto before = Now();
    core_->Step(now_, Wake{}, &effects_);
    took += Ms(Now() - before);
    offers_ = 0;
    TakeIn(&effects_);
    offers += offers_;
    // A run that was cut short goes on with the next one.
    if (core_->NextDeadline() > now_ + config_.min_batch_interval) break;
    now_ = core_->NextDeadline();
  }
  offers_ = offers;
  return took;
}

void BenchCluster::ReturnAll(absl::Duration refuse) {
  for (Allocation& one : out_) {
    Step(Recovered{one.agent, {one.framework, one.role, std::move(one.bag)}, refuse});
  }
  out_.clear();
}

const std::string& BenchCluster::Name(std::vector<std::string>* names, const char* prefix,
                                      size_t i) {
  while (names->size() <= i) names->push_back(absl::StrCat(prefix, names->size()));
  return (*names)[i];
}

FrameworkNum BenchCluster::F(size_t i) {
  return *words_->InternFramework(Name(&framework_ids_, "framework-", i));
}

AgentNum BenchCluster::A(size_t i) { return *words_->InternAgent(Name(&agent_ids_, "agent-", i)); }

FrameworkAdded BenchCluster::NewFramework(size_t i, RoleNum role, FrameworkCapabilities can) {
  return {F(i), {{{role}}, can}, true};
}

AgentAdded BenchCluster::NewAgent(size_t i, const model::Resources& total) {
  return {A(i), {.hostname = Name(&agent_ids_, "agent-", i)}, B(total), {}, true};
}

void BenchCluster::ExpectOffers(size_t expected, const char* where) const {
  if (offers_ == expected) return;
  Fail(absl::StrCat(where, " made ", offers_, " offers instead of ", expected));
}

}  // namespace tessera::allocator::bench
