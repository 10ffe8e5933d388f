// The frameworks that the agent was told of: those with tasks here, and those that were described
// on the present link.
//
// Invariants: a framework with tasks is never forgotten; one without goes with the link on which it
// was described, by the master or in the agent's inventory. At most frameworks_max are known.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "services/base/bug.h"
#include "services/model/description.h"

namespace tessera::agent {

struct Framework {
  // A serialised model.v1.FrameworkInfo.
  model::Description info;
  // What of it the agent acts on.
  std::string user;
  bool hears_killing = false;    // TASK_KILLING_STATE
  bool partition_aware = false;  // PARTITION_AWARE
  // Of tasks that are not forgotten.
  size_t tasks = 0;
  // The description is in the log.
  bool logged = false;
  // The link on which it was described last, by either side: what an inventory lists is not
  // described again. 0: none of this process.
  uint64_t link = 0;
};

class FrameworkTable {
 public:
  // `framework.tasks` and `logged` are of no account. False when there is no room for another one.
  bool Describe(const std::string& framework_id, Framework framework, size_t frameworks_max) {
    auto found = frameworks_.find(framework_id);
    if (found == frameworks_.end()) {
      if (frameworks_.size() >= frameworks_max) return false;
      const auto refused = undescribed_.extract(framework_id);
      framework.tasks = refused.empty() ? 0 : refused.mapped();
      framework.logged = false;
      if (framework.tasks > 0) ++with_tasks_;
      frameworks_.emplace(framework_id, std::move(framework));
      return true;
    }
    Framework& known = found->second;
    framework.tasks = known.tasks;
    framework.logged = known.logged && known.info == framework.info;
    known = std::move(framework);
    return true;
  }

  Framework* Find(const std::string& framework_id) {
    auto found = frameworks_.find(framework_id);
    return found == frameworks_.end() ? nullptr : &found->second;
  }
  const Framework* Find(const std::string& framework_id) const {
    auto found = frameworks_.find(framework_id);
    return found == frameworks_.end() ? nullptr : &found->second;
  }

  // A task of the framework begins or is forgotten. Those that were refused because nobody had
  // described it are its own once somebody does.
  void AddTask(const std::string& framework_id) {
    Framework* framework = Find(framework_id);
    if (framework == nullptr) {
      ++undescribed_[framework_id];
      return;
    }
    if (framework->tasks++ == 0) ++with_tasks_;
  }
  // `link` is the present one, 0 for none.
  void RemoveTask(const std::string& framework_id, uint64_t link) {
    if (auto refused = undescribed_.find(framework_id); refused != undescribed_.end()) {
      if (--refused->second == 0) undescribed_.erase(refused);
      return;
    }
    Framework* framework = Find(framework_id);
    if (TESSERA_BUG_IF(framework == nullptr || framework->tasks == 0,
                       "a task of a framework is forgotten that has none")) {
      return;
    }
    if (--framework->tasks > 0) return;
    --with_tasks_;
    // A log that starts anew does not have it.
    framework->logged = false;
    if (link == 0 || framework->link != link) frameworks_.erase(framework_id);
  }

  // Those with tasks are listed in an inventory on this link.
  void Listed(uint64_t link) {
    for (auto& [id, framework] : frameworks_) {
      if (framework.tasks > 0) framework.link = link;
    }
  }

  // The link is over, or the log is read.
  void ForgetIdle() {
    std::erase_if(frameworks_, [](const auto& entry) { return entry.second.tasks == 0; });
  }

  size_t with_tasks() const { return with_tasks_; }
  const std::map<std::string, Framework>& frameworks() const { return frameworks_; }

 private:
  std::map<std::string, Framework> frameworks_;
  // Tasks of frameworks that are not in frameworks_; of none there are none.
  std::map<std::string, size_t> undescribed_;
  size_t with_tasks_ = 0;
};

}  // namespace tessera::agent
