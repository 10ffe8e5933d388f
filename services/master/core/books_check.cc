// The invariants of the books, counted anew from the rows.
#include <string>

#include "absl/strings/str_cat.h"
#include "services/master/core/books.h"

namespace tessera::master {
namespace {

absl::Status Broken(const std::string& what) { return absl::InternalError(what); }

using Sums = absl::btree_map<FrameworkIndex, model::Resources>;

model::Resources Total(const Sums& sums) {
  model::Resources total;
  for (const auto& [framework, resources] : sums) total += resources.UnallocatedCopy();
  return total;
}

}  // namespace

absl::Status Books::CheckInvariants() const {
  absl::Status broken;
  auto report = [&broken](const std::string& what) {
    if (broken.ok()) broken = Broken(what);
  };
  size_t offers_seen = 0;
  size_t inverse_offers_seen = 0;
  size_t tasks_seen = 0;
  size_t recovered = 0;

  agents.ForEach([&](const Agent& agent) {
    Sums used;
    Sums offered;
    size_t described_bytes = 0;
    for (TaskIndex index : agent.tasks) {
      const Task* task = tasks.Find(index);
      if (task == nullptr || task->agent != agent.index) {
        report(absl::StrCat("agent ", agent.id, " lists a task that is not its own"));
        return;
      }
      if (task->unreachable()) {
        report(absl::StrCat("task ", task->id(), " is unreachable but its agent is in the table"));
      }
      described_bytes += task->facts->info.size();
      if (task->holds() && !task->resources().empty()) used[task->framework] += task->resources();
    }
    for (const auto& [key, executor] : agent.executors) {
      if (!executor->resources.empty()) used[key.first] += executor->resources;
      described_bytes += executor->info.size();
    }
    if (described_bytes != agent.described_bytes) {
      report(absl::StrCat("agent ", agent.id, ": the bytes of its tasks are not the sum"));
    }
    for (OfferNumber number : agent.offers) {
      const Offer* offer = offers.Find(number);
      if (offer == nullptr || offer->agent != agent.index) {
        report(absl::StrCat("agent ", agent.id, " lists an offer that is not of it"));
        return;
      }
      offered[offer->framework] += offer->resources;
      ++offers_seen;
    }
    if (used != agent.used) report(absl::StrCat("agent ", agent.id, ": used is not the sum"));
    if (offered != agent.offered) {
      report(absl::StrCat("agent ", agent.id, ": offered is not the sum"));
    }
    if (Total(used) + Total(offered) != agent.held) {
      report(absl::StrCat("agent ", agent.id, ": held is not used plus offered"));
    }
    if (!agent.offers.empty() && !agent.total.NonShared().Contains(agent.held.NonShared())) {
      report(absl::StrCat("agent ", agent.id, ": more is used and offered than it has: ",
                          model::ToString(agent.held), " of ", model::ToString(agent.total)));
    }
    if (!agent.offers.empty() && !agent.active()) {
      report(absl::StrCat("agent ", agent.id, " takes no part in offers and has one"));
    }
    if (agent.connected() != agent.stream.valid()) {
      report(absl::StrCat("agent ", agent.id, ": stream and phase disagree"));
    }
    for (const auto& [framework, number] : agent.inverse_offers) {
      const InverseOffer* offer = inverse_offers.Find(number);
      if (offer == nullptr || offer->agent != agent.index || offer->framework != framework) {
        report(absl::StrCat("agent ", agent.id, " lists an inverse offer that is not of it"));
      }
      ++inverse_offers_seen;
    }
    if (!agent.inverse_offers.empty() && (!agent.active() || !agent.unavailability.has_value())) {
      report(absl::StrCat("agent ", agent.id, " has an inverse offer and no reason for it"));
    }
    const auto unavailability = machines.UnavailabilityOf(agent.machine);
    if (unavailability.has_value() != agent.unavailability.has_value() ||
        (unavailability.has_value() &&
         !SameUnavailability(*unavailability, *agent.unavailability))) {
      report(absl::StrCat("agent ", agent.id, ": its unavailability is not the schedule's"));
    }
    if (machines.IsDown(agent.machine) && agent.active()) {
      report(absl::StrCat("agent ", agent.id, " takes part in offers and its machine is down"));
    }
    if (agent.phase == AgentPhase::kRecovered) ++recovered;
  });
  if (recovered != agents.recovered()) report("the count of recovered agents is wrong");

  size_t framework_offers = 0;
  size_t framework_inverse_offers = 0;
  frameworks.ForEach([&](const Framework& framework) {
    if (framework.connected() != framework.stream.valid()) {
      report(absl::StrCat("framework ", framework.id, ": stream and phase disagree"));
    }
    if (!framework.connected() && !(framework.offers.empty() && framework.inverse_offers.empty())) {
      report(absl::StrCat("framework ", framework.id, " is not connected and has an offer"));
    }
    framework_offers += framework.offers.size();
    for (InverseOfferNumber number : framework.inverse_offers) {
      const InverseOffer* offer = inverse_offers.Find(number);
      if (offer == nullptr || offer->framework != framework.index) {
        report(absl::StrCat("framework ", framework.id, " lists an inverse offer not its own"));
      }
      ++framework_inverse_offers;
    }
    std::array<int64_t, kTaskStates> states{};
    for (const auto& [incarnation, index] : framework.tasks) {
      const Task* task = tasks.Find(index);
      if (task == nullptr || task->framework != framework.index ||
          task->incarnation() != incarnation) {
        report(absl::StrCat("framework ", framework.id, " lists a task that is not its own"));
        return;
      }
      ++tasks_seen;
      if (!IsTerminal(task->state)) ++states[task->state];
    }
    if (states != framework.counters.tasks) {
      report(absl::StrCat("framework ", framework.id, ": the counts of tasks by state are wrong"));
    }
  });
  if (offers_seen != offers.size() || framework_offers != offers.size()) {
    report("an offer is missing in a row");
  }
  if (inverse_offers_seen != inverse_offers.size() ||
      framework_inverse_offers != inverse_offers.size()) {
    report("an inverse offer is missing in a row");
  }
  if (tasks_seen != tasks.size()) report("a task is in no framework's row");
  if (broken.ok()) broken = task_book.CheckInvariants();
  return broken;
}

}  // namespace tessera::master
