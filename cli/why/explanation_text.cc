#include "cli/why/explanation_text.h"

#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/table.h"

namespace tessera::cli {

namespace {

using Explanation = allocator::v1::ExplainAllocationResponse;
using Count = Explanation::Count;

struct Words {
  const char* why;
  const char* advice;
};

Words WordsOf(Count::Reason reason) {
  switch (reason) {
    case Count::OFFERABLE:
      return {"nothing in the way",
              "wait for the next run; frameworks whose turn is earlier may take it first"};
    case Count::FILTERED:
      return {"refused by the framework",
              "wait until the refusal ends, or revive: the framework declined this lately"};
    case Count::SUPPRESSED:
      return {"role suppressed", "the framework must revive or unsuppress the role"};
    case Count::OVER_LIMIT:
      return {"over the role's limit",
              "raise the limit of the role or of one above it, or end tasks"};
    case Count::HEADROOM_HELD:
      return {"held for guarantees",
              "other roles' guarantees hold it back: add agents, lower those "
              "guarantees, or guarantee this role its share"};
    case Count::GATE:
      return {"capability lacking",
              "what is free is revocable, shared or reserved twice: the "
              "framework needs the capability for it"};
    case Count::TOO_LITTLE_LEFT:
      return {"others hold too much",
              "see the holders below; wait, weigh the roles "
              "(`tessera weights`), or add agents"};
    case Count::NO_DEMAND:
      return {"demand met", "the framework must state a new demand"};
    case Count::CONSTRAINT:
      return {"offer constraints",
              "the agent's attributes do not satisfy what the framework asks "
              "of them"};
    case Count::AGENT_INACTIVE:
      return {"agent inactive",
              "reactivate the agent, end its drain, or see why it is disconnected "
              "(`tessera agents`)"};
    case Count::PAUSED:
      return {"allocation paused", "agents are awaited after a fail-over: wait"};
    case Count::FRAMEWORK_INACTIVE:
      return {"framework not connected", "the framework must subscribe again"};
    case Count::NOT_WHITELISTED:
      return {"not on the whitelist", "add the agent's hostname to the whitelist"};
    case Count::GPU_GATE:
      return {"has gpus", "only frameworks with GPU_RESOURCES are offered agents with gpus"};
    case Count::REGION_GATE:
      return {"in another region", "only frameworks with REGION_AWARE are offered remote agents"};
    case Count::RESERVED_FOR_OTHERS:
      return {"reserved for others",
              "what is free is reserved for other roles: unreserve it, or "
              "subscribe to one of them"};
    case Count::AGENT_TOO_SMALL:
      return {"agent too small", "even empty it would not do: ask for less, or add larger agents"};
    case Count::HELD_BY_ITSELF:
      return {"held by itself",
              "the framework has it already, in offers or tasks: answer the "
              "offers, or end tasks"};
    case Count::OFFER_CAP:
      return {"too many offers unanswered", "the framework must answer the offers that it holds"};
    case Count::SILENCE:
      return {"let offers lie",
              "it is asked again after as long a time, or when it revives or "
              "accepts; answer offers, or decline them"};
    default:
      return {"unknown", "this command is older than the master"};
  }
}

// "cpus:0.5 mem:64", in order of names; "-" for nothing.
std::string Text(const model::v1::Quantities& quantities) {
  std::map<std::string, int64_t> sorted;
  for (const auto& [name, amount] : quantities.amounts()) sorted[name] = amount.milli();
  std::vector<std::string> parts;
  for (const auto& [name, milli] : sorted) {
    parts.push_back(absl::StrCat(name, ":", FormatMilli(milli)));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, " ");
}

uint64_t AgentsUnder(const Explanation& role, Count::Reason reason) {
  for (const Count& count : role.counts()) {
    if (count.reason() == reason) return count.agents();
  }
  return 0;
}

std::string Headline(const Explanation& role) {
  if (role.agents() == 0) return "the cluster has no agents";
  const uint64_t offerable = AgentsUnder(role, Count::OFFERABLE);
  if (offerable > 0) {
    return absl::StrCat(offerable, " of ", role.agents(),
                        role.agents() == 1 ? " agent can" : " agents can", " be offered now");
  }
  return absl::StrCat("none of ", role.agents(), role.agents() == 1 ? " agent" : " agents",
                      " can be offered now, mostly: ", WordsOf(role.counts(0).reason()).why);
}

std::string RoleText(const Explanation& role) {
  std::string text = absl::StrCat("Role ", role.role(), ": ", Headline(role), "\n");
  if (role.agents() == 0) return text;
  Table reasons({"AGENTS", "WHY", "WHAT TO DO"});
  for (const Count& count : role.counts()) {
    const Words words = WordsOf(count.reason());
    reasons.Add({absl::StrCat(count.agents()), words.why, words.advice});
  }
  absl::StrAppend(&text, reasons.Format());
  if (role.nearest_size() > 0) {
    Table nearest({"NEAREST AGENT", "HOSTNAME", "WHY", "AVAILABLE", "MISSING"});
    for (const auto& agent : role.nearest()) {
      nearest.Add({agent.agent_id(), agent.hostname(), WordsOf(agent.reason()).why,
                   Text(agent.available()), Text(agent.missing())});
    }
    absl::StrAppend(&text, "\n", nearest.Format());
  }
  if (role.holders_size() > 0) {
    Table holders({"HOLDER", "ROLE", "AGENTS", "HELD THERE"});
    for (const auto& holder : role.holders()) {
      holders.Add({holder.framework_id(), holder.role(), absl::StrCat(holder.agents()),
                   Text(holder.held())});
    }
    absl::StrAppend(&text, "\n", holders.Format());
  }
  return text;
}

}  // namespace

std::string ExplanationText(const operators::v1::ExplainAllocationRequest& request,
                            const operators::v1::ExplainAllocationResponse& answer) {
  // Names come from frameworks: as a cell of a table, so that they cannot steer a terminal.
  Table asked({"FRAMEWORK", "NAME", "NEEDS"});
  asked.Add({request.framework_id(), answer.framework_name(),
             request.needed().amounts().empty() ? "any offer" : Text(request.needed())});
  std::string text = asked.Format();
  for (const Explanation& role : answer.roles()) absl::StrAppend(&text, "\n", RoleText(role));
  if (answer.roles().empty()) absl::StrAppend(&text, "\nIt subscribes to no role.\n");
  if (answer.offer_holders_size() > 0) {
    Table offers({"OFFERS NOT ANSWERED BY", "NAME", "OFFERS", "OFFERED"});
    for (const auto& holder : answer.offer_holders()) {
      offers.Add({holder.framework_id(), holder.framework_name(), absl::StrCat(holder.offers()),
                  Text(holder.offered())});
    }
    absl::StrAppend(&text, "\n", offers.Format());
  }
  return text;
}

}  // namespace tessera::cli
