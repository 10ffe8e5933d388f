// Puts /state together from what was rendered before.
//
// Each agent, task and framework is rendered once for each version of it and keeps its text
// (rendering.h); tasks and agents are joined leaf by leaf of their maps, and a leaf keeps the
// joined text until something in it changes. A new /state therefore renders what changed, joins the
// leaves around it, and lists pieces for the rest.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/feed/core/snapshot.h"
#include "services/state/json/deflate.h"
#include "services/state/json/object_json.h"

namespace tessera::state {

// A body as a list of shared pieces.
struct JsonBody {
  std::vector<RenderingPtr> pieces;

  void Add(RenderingPtr piece) { pieces.push_back(std::move(piece)); }
  void Add(std::string text) {
    pieces.push_back(std::make_shared<const Rendering>(std::move(text)));
  }
  size_t size() const;
  std::string ToString() const;
  std::vector<Chunk> Chunks() const;
};

// Plain counters for metrics.
struct RenderCounters {
  std::atomic<uint64_t> objects_rendered{0};
  std::atomic<uint64_t> objects_reused{0};
  std::atomic<uint64_t> leaves_joined{0};
  std::atomic<uint64_t> leaves_reused{0};
};

class StateRenderer {
 public:
  explicit StateRenderer(PublicAddress address) { SetAddress(std::move(address)); }

  // For a server that learns its port late.
  void SetAddress(PublicAddress address) {
    address_.store(std::make_shared<const PublicAddress>(std::move(address)));
  }
  std::shared_ptr<const PublicAddress> address() const { return address_.load(); }

  // The whole of /state.
  JsonBody State(const Snapshot& snapshot) const;

  // {frameworks, completed_frameworks, unregistered_frameworks}; only the one named unless empty.
  JsonBody Frameworks(const Snapshot& snapshot, const std::string& framework_id) const;

  // {slaves, recovered_slaves} with resources in full; only the one named unless empty.
  JsonBody Slaves(const Snapshot& snapshot, const std::string& agent_id) const;

  JsonBody Summary(const Snapshot& snapshot) const;
  JsonBody Roles(const Snapshot& snapshot) const;

  struct TaskQuery {
    std::string framework_id;
    std::string task_id;
    // Negative: no limit.
    int64_t limit = 100;
    size_t offset = 0;
    bool ascending = false;
  };
  // {tasks}, in pieces of about 64 KiB, each put together when it is asked for; null at the end.
  // Holds the snapshot and a pointer for each task. The renderer outlives it.
  std::function<Chunk()> TaskPieces(std::shared_ptr<const Snapshot> snapshot,
                                    const TaskQuery& query) const;

  JsonBody Version(const Snapshot& snapshot) const;
  JsonBody Flags(const Snapshot& snapshot) const;

  const RenderCounters& counters() const { return counters_; }

 private:
  using AgentEntry = feed::PersistentMap<Agent>::Entry;
  using FrameworkEntry = feed::PersistentMap<Framework>::Entry;
  using TaskEntry = feed::PersistentMap<TaskRow>::Entry;

  // What the query asks for, in its order.
  static std::vector<const TaskEntry*> Select(const Snapshot& snapshot, const TaskQuery& query);

  RenderingPtr AgentText(const AgentEntry& entry) const;
  RenderingPtr TaskText(const TaskEntry& entry) const;
  // The text of an object, kept in the slot.
  template <typename Slots, typename Write>
  RenderingPtr Kept(const Slots& slots, size_t slot, Write write) const;
  // The leaves of a map, each the texts of its entries with commas between them.
  template <typename Map, typename Text>
  void AddLeaves(const Map& map, Text text, JsonBody* body) const;

  void AddFramework(const FrameworkEntry& entry, JsonBody* body) const;
  void AddFrameworks(const Snapshot& snapshot, bool completed, const std::string& only,
                     JsonBody* body) const;

  std::atomic<std::shared_ptr<const PublicAddress>> address_;
  mutable RenderCounters counters_;
};

}  // namespace tessera::state
