#include "services/feed/core/kinds.h"

#include <initializer_list>
#include <utility>

namespace tessera::feed {
namespace {

// Of the fields beside descriptions and statuses.
constexpr size_t kRowBytes = 256;

const std::string* Pointer(const std::optional<std::string>& key) {
  return key.has_value() ? &*key : nullptr;
}

// Goes on in the map after *key until the piece is full; true when the map is at its end, and *key
// is unset then.
template <typename Map, typename Tell>
bool TellMap(const Map& map, std::optional<std::string>* key, Telling* telling, Tell tell) {
  const bool ended = map.ForEachAfter(Pointer(*key), [&](const auto& entry) {
    if (telling->full()) return false;
    tell(entry);
    *key = entry.key;
    return true;
  });
  if (ended) key->reset();
  return ended;
}

// The same for lists of all frameworks.
template <typename T, typename Tell>
bool TellOfFrameworks(const Snapshot& state,
                      std::initializer_list<PersistentMap<T> Framework::*> lists,
                      TellingPlace* place, Telling* telling, Tell tell) {
  const auto tell_one = [&](const Framework& framework) {
    place->in_framework = true;
    for (; place->list < lists.size(); ++place->list) {
      const auto list = *(lists.begin() + place->list);
      if (!TellMap(framework.*list, &place->key, telling, tell)) return false;
    }
    place->list = 0;
    place->in_framework = false;
    return true;
  };
  // The framework that the last piece ended in goes on where it was.
  if (place->in_framework && !tell_one(*state.frameworks.Find(*place->framework))) return false;
  return state.frameworks.ForEachAfter(Pointer(place->framework), [&](const auto& entry) {
    if (telling->full()) return false;
    place->framework = entry.key;
    return tell_one(entry.value);
  });
}

}  // namespace

// ---- applying ----------------------------------------------------------------------------------

void StateTable::Apply(Change&& change) {
  const bool applied = std::visit(
      [this](auto&& kind) {
        constexpr auto apply = Kinds::Of<std::decay_t<decltype(kind)>>().apply;
        return (this->*apply)(std::move(kind));
      },
      std::move(change));
  if (!applied) ++ignored_;
}

// ---- telling ------------------------------------------------------------------------------------

bool TellCluster(const Snapshot& state, TellingPlace*, Telling* telling) {
  if (state.cluster != nullptr) {
    telling->Add(ClusterSet{state.cluster}, state.cluster->ByteSizeLong());
  }
  return true;
}

bool TellRoles(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellMap(state.roles, &place->key, telling, [&](const auto& entry) {
    const RolePtr& record = entry.value.record;
    if (record != nullptr) telling->Add(RoleSet{record}, record->ByteSizeLong());
  });
}

bool TellAgents(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellMap(state.agents, &place->key, telling, [&](const auto& entry) {
    const AgentPtr& record = entry.value.record;
    if (record != nullptr) telling->Add(AgentSet{record}, record->ByteSizeLong());
  });
}

bool TellFrameworks(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellMap(state.frameworks, &place->key, telling, [&](const auto& entry) {
    const FrameworkPtr& row = entry.value.row;
    telling->Add(FrameworkSet{row}, kRowBytes + row->info.size());
  });
}

bool TellTasks(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellOfFrameworks<TaskRow>(
      state, {&Framework::tasks, &Framework::unreachable_tasks, &Framework::completed_tasks}, place,
      telling, [&](const auto& entry) {
        const TaskRow& task = entry.value;
        size_t bytes = kRowBytes + task.facts->info.size();
        for (const StatusPtr& status : task.statuses) bytes += status->bytes.size();
        telling->Add(TaskSet{task}, bytes);
      });
}

bool TellExecutors(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellOfFrameworks<ExecutorPtr>(
      state, {&Framework::executors}, place, telling, [&](const auto& entry) {
        telling->Add(ExecutorSet{entry.value}, kRowBytes + entry.value->info.size());
      });
}

bool TellOffers(const Snapshot& state, TellingPlace* place, Telling* telling) {
  return TellOfFrameworks<OfferPtr>(
      state, {&Framework::offers}, place, telling, [&](const auto& entry) {
        telling->Add(OfferSet{entry.value}, kRowBytes + entry.value->offer.size());
      });
}

// ---- scopes -------------------------------------------------------------------------------------

ChangeScope ScopeOfAgent(const Snapshot&, const AgentSet& set) {
  return {.agent_id = set.agent->info().id()};
}

ChangeScope ScopeOfAgentRemoved(const Snapshot&, const AgentRemoved& removed) {
  return {.agent_id = removed.agent_id};
}

ChangeScope ScopeOfFramework(const Snapshot&, const FrameworkSet& set) {
  return {.framework_id = set.framework->id};
}

ChangeScope ScopeOfFrameworkRemoved(const Snapshot&, const FrameworkRemoved& removed) {
  return {.framework_id = removed.framework_id};
}

ChangeScope ScopeOfTask(const Snapshot&, const TaskSet& set) {
  return {.framework_id = set.task.facts->framework_id, .agent_id = set.task.facts->agent_id};
}

ChangeScope ScopeOfExecutor(const Snapshot&, const ExecutorSet& set) {
  return {.framework_id = set.executor->framework_id, .agent_id = set.executor->agent_id};
}

ChangeScope ScopeOfExecutorRemoved(const Snapshot& state, const ExecutorRemoved& removed) {
  ChangeScope scope{.framework_id = removed.framework_id};
  const Framework* framework = state.frameworks.Find(removed.framework_id);
  if (framework == nullptr) return scope;
  const ExecutorPtr* executor =
      framework->executors.Find(IncarnationKey(removed.executor_id, removed.incarnation));
  if (executor != nullptr) scope.agent_id = (*executor)->agent_id;
  return scope;
}

ChangeScope ScopeOfOffer(const Snapshot&, const OfferSet& set) {
  return {.framework_id = set.offer->framework_id, .agent_id = set.offer->agent_id};
}

ChangeScope ScopeOfOfferRemoved(const Snapshot& state, const OfferRemoved& removed) {
  const std::string* framework_id = state.offers.Find(removed.offer_id);
  if (framework_id == nullptr) return {};
  const OfferPtr& offer = *state.frameworks.Find(*framework_id)->offers.Find(removed.offer_id);
  return {.framework_id = *framework_id, .agent_id = offer->agent_id};
}

ChangeScope ScopeOf(const Snapshot& state, const Change& change) {
  return std::visit(
      [&](const auto& kind) {
        return Kinds::Of<std::decay_t<decltype(kind)>>().scope(state, kind);
      },
      change);
}

}  // namespace tessera::feed
