// What follows from the records: used and offered resources, counts, who is on which agent.
#include <utility>

#include "services/feed/core/state_table.h"

namespace tessera::feed {
namespace {

bool HasNonScalars(const model::Resources& resources) {
  for (const model::Resource& object : resources) {
    if (object.kind() != model::ResourceKind::kScalar) return true;
  }
  return false;
}

void Add(const model::Resources& what, int sign, model::Resources* sum) {
  if (sign > 0) {
    *sum += what;
  } else {
    *sum -= what;
  }
}

// Only scalars add up over agents: the same port of two agents is two ports.
void AddScalars(const model::Resources& what, int sign, model::Resources* sum) {
  if (HasNonScalars(what)) {
    Add(what.Scalars(), sign, sum);
  } else {
    Add(what, sign, sum);
  }
}

}  // namespace

StateTable::Standing StateTable::StandingOf(const TaskRow& task) {
  return {task.state, task.place == TASK_PLACE_ACTIVE, Holds(task)};
}

template <typename Change>
void StateTable::ChangeHolding(Framework* framework, const std::string& agent_id, Change change) {
  const std::string& id = framework->id();
  Agent& agent = state_.agents.GetOrAdd(agent_id);
  Holding& holding = framework->holdings.GetOrAdd(agent_id);
  const bool had = HasNonScalars(holding.used) || HasNonScalars(holding.offered);
  change(&holding, &agent);
  const bool has = HasNonScalars(holding.used) || HasNonScalars(holding.offered);
  framework->holdings_with_non_scalars += static_cast<int>(has) - static_cast<int>(had);
  if (holding.IsEmpty()) {
    framework->holdings.Erase(agent_id);
    agent.frameworks.Erase(id);
    DropAgentIfForgotten(agent_id);
  } else if (agent.frameworks.Find(id) == nullptr) {
    agent.frameworks.Set(id, !framework->completed());
  }
}

void StateTable::Tally(Framework* framework, const TaskFacts& task, const Standing* before,
                       const Standing* after) {
  if (before != nullptr) {
    --framework->task_counts[before->state];
    --state_.task_counts[before->state];
  }
  if (after != nullptr) {
    ++framework->task_counts[after->state];
    ++state_.task_counts[after->state];
  }
  const std::string& agent_id = task.agent_id;
  if (agent_id.empty()) return;
  const bool registered = !framework->completed();
  const int held = static_cast<int>(after != nullptr && after->holds) -
                   static_cast<int>(before != nullptr && before->holds);
  if (held != 0) AddScalars(task.resources, held, &framework->used_scalars);
  ChangeHolding(framework, agent_id, [&](Holding* holding, Agent* agent) {
    if (held != 0) {
      Add(task.resources, held, &holding->used);
      Add(task.resources, held, &agent->used);
    }
    agent->active_tasks += static_cast<int>(after != nullptr && after->active) -
                           static_cast<int>(before != nullptr && before->active);
    if (before != nullptr) {
      --holding->tasks[before->state];
      if (registered) --agent->task_counts[before->state];
    }
    if (after != nullptr) {
      ++holding->tasks[after->state];
      if (registered) ++agent->task_counts[after->state];
    }
  });
}

void StateTable::TallyExecutor(Framework* framework, const ExecutorRow& executor,
                               const std::string& key, int sign) {
  AddScalars(executor.resources, sign, &framework->used_scalars);
  ChangeHolding(framework, executor.agent_id, [&](Holding* holding, Agent* agent) {
    Add(executor.resources, sign, &holding->used);
    Add(executor.resources, sign, &agent->used);
    if (sign > 0) {
      holding->executors.Set(key, true);
    } else {
      holding->executors.Erase(key);
    }
  });
}

void StateTable::TallyOffer(Framework* framework, const OfferRow& offer, int sign) {
  AddScalars(offer.resources, sign, &framework->offered_scalars);
  ChangeHolding(framework, offer.agent_id, [&](Holding* holding, Agent* agent) {
    Add(offer.resources, sign, &holding->offered);
    Add(offer.resources, sign, &agent->offered);
    holding->offers += sign;
  });
}

void StateTable::TallyRegistered(const Framework& framework, int sign) {
  framework.holdings.ForEach([&](const auto& entry) {
    Agent* agent = state_.agents.Mutable(entry.key);
    if (agent == nullptr) return;
    for (size_t state = 0; state < entry.value.tasks.size(); ++state) {
      agent->task_counts[state] += sign * static_cast<int>(entry.value.tasks[state]);
    }
    agent->frameworks.Set(framework.id(), sign > 0);
  });
}

void StateTable::DropAgentIfForgotten(const std::string& id) {
  const Agent* agent = state_.agents.Find(id);
  if (agent != nullptr && agent->record == nullptr && agent->frameworks.empty()) {
    state_.agents.Erase(id);
  }
}

}  // namespace tessera::feed
