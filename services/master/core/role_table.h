// Roles that something is known of: a subscription, a weight or a quota.
//
// Invariants: a role is here exactly while one of these is there; `nodes` is the number of the
// roles and of all that are above them, each counted once.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "services/master/core/contracts.h"
#include "services/model/role.h"

namespace tessera::master {

struct Role {
  // Frameworks that are subscribed to it.
  int frameworks = 0;
  // Absent: the default of 1000.
  std::optional<int64_t> weight_milli;
  std::optional<reg::Quota> quota;

  bool empty() const { return frameworks == 0 && !weight_milli && !quota; }
};

class RoleTable {
 public:
  Role& Get(const std::string& name) {
    auto [found, fresh] = roles_.try_emplace(name);
    if (fresh) {
      for (std::string_view node = name; !node.empty(); node = model::ParentRole(node)) {
        ++nodes_[std::string(node)];
      }
    }
    return found->second;
  }
  const Role* Find(const std::string& name) const {
    auto found = roles_.find(name);
    return found == roles_.end() ? nullptr : &found->second;
  }
  // Forgets the role when nothing is known of it; true when it was forgotten.
  bool DropIfEmpty(const std::string& name) {
    auto found = roles_.find(name);
    if (found == roles_.end() || !found->second.empty()) return false;
    for (std::string_view node = name; !node.empty(); node = model::ParentRole(node)) {
      auto counted = nodes_.find(node);
      if (--counted->second == 0) nodes_.erase(counted);
    }
    roles_.erase(found);
    return true;
  }
  const std::map<std::string, Role>& roles() const { return roles_; }
  // So many as the allocator's tree of these roles has, without its root.
  size_t nodes() const { return nodes_.size(); }
  // How many more there were with these roles.
  template <typename Names>
  size_t NewNodes(const Names& names) const {
    std::set<std::string_view> fresh;
    for (std::string_view node : names) {
      // What is above a node that is here is here, too.
      for (; !node.empty() && !nodes_.contains(node); node = model::ParentRole(node)) {
        if (!fresh.insert(node).second) break;
      }
    }
    return fresh.size();
  }

 private:
  std::map<std::string, Role> roles_;
  // How many roles are at or beneath each node.
  std::map<std::string, size_t, std::less<>> nodes_;
};

}  // namespace tessera::master
