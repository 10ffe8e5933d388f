#include "services/state/json/state_renderer.h"

#include <utility>

#include "services/state/json/json_writer.h"
#include "services/state/json/model_json.h"
#include "services/state/json/object_json.h"
#include "services/state/json/shown.h"

namespace tessera::state {
namespace {

// A framework with at most so many tasks is one piece; a larger one is its leaves.
constexpr size_t kTasksInOnePiece = 128;

// Slots of entries (of frameworks: the head, or all of a small one; the tail) and of leaves (the
// first of its list, or one that begins with a comma).
constexpr size_t kText = 0;
constexpr size_t kTail = 1;
constexpr size_t kFirst = 0;
constexpr size_t kRest = 1;

RenderingPtr Constant(const char* text) { return std::make_shared<const Rendering>(text); }

const RenderingPtr& Comma() {
  static const auto* const piece = new RenderingPtr(Constant(","));
  return *piece;
}

// An object that others go on with.
std::string WithoutLastBrace(std::string text) {
  text.pop_back();
  return text;
}

}  // namespace

size_t JsonBody::size() const {
  size_t size = 0;
  for (const RenderingPtr& piece : pieces) size += piece->text.size();
  return size;
}

std::string JsonBody::ToString() const {
  std::string text;
  text.reserve(size());
  for (const RenderingPtr& piece : pieces) text += piece->text;
  return text;
}

std::vector<Chunk> JsonBody::Chunks() const {
  std::vector<Chunk> chunks;
  chunks.reserve(pieces.size());
  for (const RenderingPtr& piece : pieces) {
    // The chunk keeps the whole rendering alive.
    chunks.emplace_back(piece, &piece->text);
  }
  return chunks;
}

template <typename Slots, typename Write>
RenderingPtr StateRenderer::Kept(const Slots& slots, size_t slot, Write write) const {
  if (RenderingPtr kept = slots.Get(slot)) {
    counters_.objects_reused.fetch_add(1, std::memory_order_relaxed);
    return kept;
  }
  counters_.objects_rendered.fetch_add(1, std::memory_order_relaxed);
  // One buffer a thread: an object is rendered without rendering another inside.
  thread_local rapidjson::StringBuffer buffer;
  buffer.Clear();
  JsonWriter json(buffer);
  write(&json);
  RenderingPtr made =
      std::make_shared<const Rendering>(std::string(buffer.GetString(), buffer.GetSize()));
  slots.Put(slot, made);
  return made;
}

RenderingPtr StateRenderer::TaskText(const TaskEntry& entry) const {
  return Kept(entry.renderings, kText,
              [&](JsonWriter* json) { ShownAs<feed::TaskRow>::kWrite(entry.value, json); });
}

RenderingPtr StateRenderer::AgentText(const AgentEntry& entry) const {
  return Kept(entry.renderings, kText, [&](JsonWriter* json) {
    ShownAs<feed::AgentPtr>::kWrite(entry.value, json);
    json->EndObject();
  });
}

template <typename Map, typename Text>
void StateRenderer::AddLeaves(const Map& map, Text text, JsonBody* body) const {
  bool first = true;
  map.ForEachLeaf([&](const typename Map::Leaf& leaf) {
    const size_t slot = first ? kFirst : kRest;
    RenderingPtr joined = leaf.renderings.Get(slot);
    if (joined != nullptr) {
      counters_.leaves_reused.fetch_add(1, std::memory_order_relaxed);
    } else {
      counters_.leaves_joined.fetch_add(1, std::memory_order_relaxed);
      std::vector<RenderingPtr> texts;
      size_t size = 0;
      for (const auto& entry : leaf.entries) {
        if (RenderingPtr piece = text(static_cast<const typename Map::Entry&>(*entry))) {
          size += piece->text.size() + 1;
          texts.push_back(std::move(piece));
        }
      }
      std::string all;
      all.reserve(size);
      for (const RenderingPtr& piece : texts) {
        if (!first || !all.empty()) all += ',';
        all += piece->text;
      }
      joined = std::make_shared<const Rendering>(std::move(all));
      leaf.renderings.Put(slot, joined);
    }
    if (joined->text.empty()) return;
    first = false;
    body->Add(std::move(joined));
  });
}

void StateRenderer::AddFramework(const FrameworkEntry& entry, JsonBody* body) const {
  static const auto* const unreachable = new RenderingPtr(Constant("],\"unreachable_tasks\":["));
  static const auto* const completed = new RenderingPtr(Constant("],\"completed_tasks\":["));
  const Framework& framework = entry.value;
  const auto add_lists = [&](JsonBody* to) {
    const auto text = [this](const TaskEntry& task) { return TaskText(task); };
    AddLeaves(framework.tasks, text, to);
    to->Add(*unreachable);
    AddLeaves(framework.unreachable_tasks, text, to);
    to->Add(*completed);
    AddLeaves(framework.completed_tasks, text, to);
  };
  const auto head = [&] {
    return WithoutLastBrace(Rendered([&](JsonWriter* json) {
             ShownAs<feed::FrameworkPtr>::kWrite(framework, json);
             WriteFrameworkRest(framework, json);
             json->EndObject();
           })) +
           ",\"tasks\":[";
  };
  const auto tail = [&] {
    // An object without its opening brace.
    return "]," + Rendered([&](JsonWriter* json) {
                    json->StartObject();
                    WriteFrameworkTail(framework, json);
                    json->EndObject();
                  }).substr(1);
  };
  const auto kept = [&](size_t slot, auto make) {
    if (RenderingPtr text = entry.renderings.Get(slot)) {
      counters_.objects_reused.fetch_add(1, std::memory_order_relaxed);
      return text;
    }
    counters_.objects_rendered.fetch_add(1, std::memory_order_relaxed);
    RenderingPtr text = std::make_shared<const Rendering>(make());
    entry.renderings.Put(slot, text);
    return text;
  };
  const size_t tasks = framework.tasks.size() + framework.unreachable_tasks.size() +
                       framework.completed_tasks.size();
  if (tasks <= kTasksInOnePiece) {
    body->Add(kept(kText, [&] {
      JsonBody lists;
      add_lists(&lists);
      return head() + lists.ToString() + tail();
    }));
    return;
  }
  body->Add(kept(kText, head));
  add_lists(body);
  body->Add(kept(kTail, tail));
}

void StateRenderer::AddFrameworks(const Snapshot& snapshot, bool completed, const std::string& only,
                                  JsonBody* body) const {
  bool first = true;
  snapshot.frameworks.ForEach([&](const FrameworkEntry& entry) {
    if (entry.value.completed() != completed) return;
    if (!only.empty() && entry.key != only) return;
    if (!std::exchange(first, false)) body->Add(Comma());
    AddFramework(entry, body);
  });
}

JsonBody StateRenderer::State(const Snapshot& snapshot) const {
  JsonBody body;
  const std::string head = Rendered([&](JsonWriter* json) {
    ShownAs<feed::ClusterPtr>::kWrite(snapshot, *address_.load(), json);
    json->EndObject();
  });
  body.Add(WithoutLastBrace(head) + ",\"slaves\":[");
  AddLeaves(
      snapshot.agents,
      [this](const AgentEntry& entry) -> RenderingPtr {
        return entry.value.listed() ? AgentText(entry) : nullptr;
      },
      &body);
  const std::string recovered = Rendered([&](JsonWriter* json) {
    json->StartArray();
    snapshot.agents.ForEach([&](const AgentEntry& entry) {
      const auto& record = entry.value.record;
      if (record == nullptr || record->state() != pb::AGENT_STATE_RECOVERED) return;
      WriteRecoveredAgent(entry.value, json);
    });
    json->EndArray();
  });
  body.Add("],\"recovered_slaves\":" + recovered + ",\"frameworks\":[");
  AddFrameworks(snapshot, false, "", &body);
  body.Add("],\"completed_frameworks\":[");
  AddFrameworks(snapshot, true, "", &body);
  body.Add("],\"orphan_tasks\":[],\"unregistered_frameworks\":[]}");
  return body;
}

JsonBody StateRenderer::Frameworks(const Snapshot& snapshot,
                                   const std::string& framework_id) const {
  JsonBody body;
  body.Add("{\"frameworks\":[");
  AddFrameworks(snapshot, false, framework_id, &body);
  body.Add("],\"completed_frameworks\":[");
  AddFrameworks(snapshot, true, framework_id, &body);
  body.Add("],\"unregistered_frameworks\":[]}");
  return body;
}

}  // namespace tessera::state
