// A core with names instead of numbers and text instead of bags, for tests. Each call steps the
// core once and checks every sum of its tables.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "services/allocator/core/allocator_core.h"
#include "services/model/parse.h"

namespace tessera::allocator {

struct TestRole {
  std::string path;
  bool suppressed = false;
  std::optional<std::string> minimum;
  TestRole(const char* name, bool is_suppressed = false)  // NOLINT: tests pass plain names
      : path(name), suppressed(is_suppressed) {}
  TestRole(const std::string& name) : path(name) {}  // NOLINT
};

class AllocatorHarness {
 public:
  explicit AllocatorHarness(const AllocatorConfig& config = {}, uint64_t seed = 1)
      : config(config), core(config, &words, seed) {}

  // ---- Time and runs.
  void Start() { Step(SnapshotCompleted{}); }
  // Lets time pass, waking the core whenever it is due; what it allocates gathers in `offers`.
  void Advance(absl::Duration duration) {
    const absl::Time end = now + duration;
    while (core.NextDeadline() <= end) {
      now = std::max(now, core.NextDeadline());
      Step(Wake{});
    }
    now = end;
  }
  // One due run, and nothing more.
  void Settle() { Advance(config.min_batch_interval); }
  void NextFullRun() { Advance(config.allocation_interval); }

  void Step(const Event& event) {
    Effects effects;
    core.Step(now, event, &effects);
    for (Effect& effect : effects) {
      if (auto* batch = std::get_if<AllocationBatch>(&effect)) {
        ++runs;
        for (const InverseAllocation& one : batch->inverse) {
          asked_to_leave.push_back(words.FrameworkId(one.framework) + " " +
                                   words.AgentId(one.agent));
        }
        for (Allocation& one : batch->allocations) {
          offers.push_back({words.FrameworkId(one.framework), words.role(one.role).path,
                            words.AgentId(one.agent), ToString(one.bag, words), one.bag});
        }
      } else if (auto* refused = std::get_if<Refused>(&effect)) {
        refusals.push_back(refused->reason);
      } else if (auto* framework = std::get_if<FrameworkForgotten>(&effect)) {
        forgotten.push_back(words.FrameworkId(framework->framework));
        words.ReleaseFramework(framework->framework);
      } else if (auto* agent = std::get_if<AgentForgotten>(&effect)) {
        forgotten.push_back(words.AgentId(agent->agent));
        words.ReleaseAgent(agent->agent);
      }
    }
    const absl::Status status = core.CheckInvariants();
    EXPECT_TRUE(status.ok()) << status;
  }

  // ---- Names.
  FrameworkNum F(const std::string& id) { return *words.InternFramework(id); }
  AgentNum A(const std::string& id) { return *words.InternAgent(id); }
  RoleNum R(const std::string& path) { return *words.InternRole(path); }
  Bag B(const std::string& text) { return *BagOf(*model::ParseResources(text), &words); }
  Bag B(const model::Resources& resources) { return *BagOf(resources, &words); }

  FrameworkSpec Spec(const std::vector<TestRole>& roles, FrameworkCapabilities can = {}) {
    FrameworkSpec spec;
    spec.capabilities = can;
    for (const TestRole& role : roles) {
      RoleSubscription one{R(role.path), role.suppressed, std::nullopt};
      if (role.minimum) {
        one.min_allocatable = Minimum(model::MinAllocatable::Parse(*role.minimum)->alternatives());
      }
      spec.roles.push_back(one);
    }
    return spec;
  }

  // ---- Events.
  void AddFramework(const std::string& id, const std::vector<TestRole>& roles,
                    FrameworkCapabilities can = {}, bool active = true) {
    Step(FrameworkAdded{F(id), Spec(roles, can), active});
  }
  void UpdateFramework(const std::string& id, const std::vector<TestRole>& roles,
                       FrameworkCapabilities can = {}) {
    Step(FrameworkUpdated{F(id), Spec(roles, can)});
  }
  void AddAgent(const std::string& id, const std::string& total, AgentSpec spec = {}) {
    AddAgent(id, B(total), std::move(spec));
  }
  void AddAgent(const std::string& id, Bag total, AgentSpec spec = {}) {
    if (spec.hostname.empty()) spec.hostname = id;
    Step(AgentAdded{A(id), spec, std::move(total), {}, true});
  }
  void Recover(const std::string& framework, const std::string& role, const std::string& agent,
               const Bag& bag, std::optional<absl::Duration> refuse = std::nullopt) {
    Step(Recovered{A(agent), {F(framework), R(role), bag}, refuse});
  }
  struct Offer {
    std::string framework, role, agent, text;
    Bag bag;
  };
  void Decline(const Offer& offer, absl::Duration refuse) {
    Recover(offer.framework, offer.role, offer.agent, offer.bag, refuse);
  }
  void GiveBack(const Offer& offer) {
    Recover(offer.framework, offer.role, offer.agent, offer.bag);
  }
  std::vector<Offer> TakeOffers() { return std::exchange(offers, {}); }
  void SetQuota(const std::string& role, const std::string& guarantee,
                const std::string& limit = "") {
    Quota quota;
    quota.guarantee = B(guarantee).plain;
    const Amounts limits = B(limit).plain;
    for (size_t name = 0; name < kScalarNamesMax; ++name) {
      if (limits[name] > 0) quota.limit[name] = limits[name];
    }
    Step(QuotaSet{R(role), quota});
  }
  void SetWeight(const std::string& role, double weight) {
    Step(WeightSet{R(role), static_cast<int64_t>(weight * kWeightOne)});
  }

  // "framework role agent resources" of each offer since the last call, in order.
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    for (const Offer& offer : TakeOffers()) {
      told.push_back(offer.framework + " " + offer.role + " " + offer.agent + " " + offer.text);
    }
    return told;
  }

  // "framework agent" of each inverse offer since the last call.
  std::vector<std::string> Asked() { return std::exchange(asked_to_leave, {}); }

  const AllocatorConfig config;
  Vocabulary words;
  AllocatorCore core;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  std::vector<Offer> offers;
  std::vector<std::string> asked_to_leave;
  std::vector<RefusalReason> refusals;
  std::vector<std::string> forgotten;
  int runs = 0;
};

}  // namespace tessera::allocator
