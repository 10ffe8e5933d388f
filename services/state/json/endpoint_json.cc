// The bodies of the smaller read endpoints.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "services/base/version.h"
#include "services/model/parse.h"
#include "services/state/json/json_writer.h"
#include "services/state/json/model_json.h"
#include "services/state/json/object_json.h"
#include "services/state/json/shown.h"
#include "services/state/json/state_renderer.h"

namespace tessera::state {
namespace {

std::string FullResources(const model::Resources& resources) {
  return model::ToJson(resources, model::ResourceJsonForm::kEndpoint);
}

// Appended to an agent's object in /slaves, which is open at its end.
std::string FullSuffix(const Agent& agent) {
  const model::Resources none;
  const model::Resources& total = agent.total == nullptr ? none : *agent.total;
  std::string text = ",\"reserved_resources_full\":{";
  bool first = true;
  for (const auto& [role, reserved] : total.Reserved().ByReservationRole()) {
    if (!std::exchange(first, false)) text += ',';
    text += Rendered([&](JsonWriter* json) { WriteString(role, json); });
    text += ':' + FullResources(reserved);
  }
  text += "},\"unreserved_resources_full\":" + FullResources(total.Unreserved());
  text += ",\"used_resources_full\":" + FullResources(agent.used);
  text += ",\"offered_resources_full\":" + FullResources(agent.offered) + "}";
  return text;
}

// The text of a closed object without its brace.
std::string_view Open(const std::string& text) {
  return std::string_view(text).substr(0, text.size() - 1);
}

// An object's members alone, to follow others.
template <typename Write>
std::string Members(Write write) {
  std::string text = Rendered([&](JsonWriter* json) {
    json->StartObject();
    write(json);
    json->EndObject();
  });
  text.front() = ',';
  return text;
}

// Of a body that is put together while it is read.
constexpr size_t kPieceBytes = 64 << 10;

// What tasks are sorted by: their first status, none before any.
int64_t FirstStatusNanos(const TaskRow& task) {
  return task.statuses.empty() ? INT64_MIN : absl::ToUnixNanos(task.statuses.front()->timestamp);
}

}  // namespace

JsonBody StateRenderer::Slaves(const Snapshot& snapshot, const std::string& agent_id) const {
  std::string slaves;
  const std::string recovered = Rendered([&](JsonWriter* json) {
    json->StartArray();
    snapshot.agents.ForEach([&](const AgentEntry& entry) {
      if (entry.value.record == nullptr || (!agent_id.empty() && entry.key != agent_id)) return;
      if (entry.value.listed()) {
        if (!slaves.empty()) slaves += ',';
        slaves += Open(AgentText(entry)->text);
        slaves += FullSuffix(entry.value);
      } else if (entry.value.record->state() == pb::AGENT_STATE_RECOVERED) {
        WriteRecoveredAgent(entry.value, json);
      }
    });
    json->EndArray();
  });
  JsonBody body;
  body.Add("{\"slaves\":[" + slaves + "],\"recovered_slaves\":" + recovered + "}");
  return body;
}

JsonBody StateRenderer::Summary(const Snapshot& snapshot) const {
  std::string text = Rendered([&](JsonWriter* json) {
    json->StartObject();
    const bool known = snapshot.cluster != nullptr;
    Field("hostname", known ? snapshot.cluster->hostname() : std::string(), json);
    if (known && !snapshot.cluster->cluster_name().empty()) {
      Field("cluster", snapshot.cluster->cluster_name(), json);
    }
    json->EndObject();
  });
  text.pop_back();
  text += ",\"slaves\":[";
  bool first = true;
  snapshot.agents.ForEach([&](const AgentEntry& entry) {
    if (!entry.value.listed()) return;
    if (!std::exchange(first, false)) text += ',';
    text += Open(AgentText(entry)->text);
    text += Members([&](JsonWriter* json) {
      WriteTaskCounts(entry.value.task_counts, json);
      WriteKey("framework_ids", json);
      json->StartArray();
      entry.value.frameworks.ForEach([&](const auto& framework) {
        if (framework.value) WriteString(framework.key, json);
      });
      json->EndArray();
    });
  });
  text += "],\"frameworks\":[";
  first = true;
  snapshot.frameworks.ForEach([&](const FrameworkEntry& entry) {
    const Framework& framework = entry.value;
    if (framework.completed()) return;
    if (!std::exchange(first, false)) text += ',';
    text += Rendered([&](JsonWriter* json) {
      ShownAs<feed::FrameworkPtr>::kWrite(framework, json);
      WriteTaskCounts(framework.task_counts, json);
      WriteKey("slave_ids", json);
      json->StartArray();
      framework.holdings.ForEach([&](const auto& holding) { WriteString(holding.key, json); });
      json->EndArray();
      json->EndObject();
    });
  });
  JsonBody body;
  body.Add(text + "]}");
  return body;
}

JsonBody StateRenderer::Roles(const Snapshot& snapshot) const {
  JsonBody body;
  body.Add(Rendered([&](JsonWriter* json) {
    json->StartObject();
    WriteKey("roles", json);
    json->StartArray();
    snapshot.roles.ForEach([&](const auto& entry) {
      ShownAs<feed::RolePtr>::kWrite(snapshot, entry.key, entry.value, json);
    });
    json->EndArray();
    json->EndObject();
  }));
  return body;
}

std::vector<const StateRenderer::TaskEntry*> StateRenderer::Select(const Snapshot& snapshot,
                                                                   const TaskQuery& query) {
  std::vector<std::pair<int64_t, const TaskEntry*>> found;
  const auto add = [&](const TaskEntry& entry) {
    found.emplace_back(FirstStatusNanos(entry.value), &entry);
    return true;
  };
  snapshot.frameworks.ForEach([&](const FrameworkEntry& entry) {
    if (!query.framework_id.empty() && entry.key != query.framework_id) return;
    const Framework& framework = entry.value;
    for (const auto* list :
         {&framework.tasks, &framework.unreachable_tasks, &framework.completed_tasks}) {
      if (query.task_id.empty()) {
        list->ForEachAfter(nullptr, add);
      } else {
        feed::ForEachOfId(*list, query.task_id, nullptr, add);
      }
    }
  });
  const auto before = [&](const auto& left, const auto& right) {
    if (left.first != right.first) return (left.first < right.first) == query.ascending;
    const feed::TaskFacts& one = *left.second->value.facts;
    const feed::TaskFacts& other = *right.second->value.facts;
    return std::tie(one.task_id, one.framework_id, one.incarnation) <
           std::tie(other.task_id, other.framework_id, other.incarnation);
  };
  const size_t begin = std::min(query.offset, found.size());
  const size_t end =
      query.limit < 0 ? found.size() : begin + std::min<size_t>(query.limit, found.size() - begin);
  std::partial_sort(found.begin(), found.begin() + end, found.end(), before);
  std::vector<const TaskEntry*> selected;
  selected.reserve(end - begin);
  for (size_t i = begin; i < end; ++i) selected.push_back(found[i].second);
  return selected;
}

std::function<Chunk()> StateRenderer::TaskPieces(std::shared_ptr<const Snapshot> snapshot,
                                                 const TaskQuery& query) const {
  struct Progress {
    std::shared_ptr<const Snapshot> snapshot;
    std::vector<const TaskEntry*> selected;
    size_t next = 0;
    bool ended = false;
  };
  auto progress = std::make_shared<Progress>();
  progress->selected = Select(*snapshot, query);
  progress->snapshot = std::move(snapshot);
  return [this, progress]() -> Chunk {
    if (progress->ended) return nullptr;
    std::string text;
    if (progress->next == 0) text = "{\"tasks\":[";
    while (progress->next < progress->selected.size() && text.size() < kPieceBytes) {
      if (progress->next > 0) text += ',';
      text += TaskText(*progress->selected[progress->next++])->text;
    }
    if (progress->next == progress->selected.size()) {
      progress->ended = true;
      text += "]}";
    }
    return std::make_shared<const std::string>(std::move(text));
  };
}

JsonBody StateRenderer::Version(const Snapshot& snapshot) const {
  static const auto* const none = new v1::ClusterRecord();
  const v1::ClusterRecord& cluster = snapshot.cluster == nullptr ? *none : *snapshot.cluster;
  JsonBody body;
  body.Add(Rendered([&](JsonWriter* json) {
    json->StartObject();
    Field("version", base::kVersion, json);
    Field("build_date", cluster.build_date(), json);
    Field("build_time", cluster.build_time(), json);
    Field("build_user", cluster.build_user(), json);
    json->EndObject();
  }));
  return body;
}

JsonBody StateRenderer::Flags(const Snapshot& snapshot) const {
  std::map<std::string, std::string> flags;
  if (snapshot.cluster != nullptr) {
    flags.insert(snapshot.cluster->flags().begin(), snapshot.cluster->flags().end());
  }
  JsonBody body;
  body.Add(Rendered([&](JsonWriter* json) {
    json->StartObject();
    WriteKey("flags", json);
    json->StartObject();
    for (const auto& [name, value] : flags) Field(name, value, json);
    json->EndObject();
    json->EndObject();
  }));
  return body;
}

}  // namespace tessera::state
