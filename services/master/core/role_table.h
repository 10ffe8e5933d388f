// Roles that something is known of: a subscription, a weight or a quota.
//
// Invariant: a role is here exactly while one of these is there; `levels` is the number of their
// components, all roles together.
#pragma once

#include <map>
#include <optional>
#include <string>

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
    if (fresh) levels_ += model::RoleDepth(name);
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
    levels_ -= model::RoleDepth(name);
    roles_.erase(found);
    return true;
  }
  const std::map<std::string, Role>& roles() const { return roles_; }
  // At least as many as the allocator's tree of these roles has nodes.
  size_t levels() const { return levels_; }

 private:
  std::map<std::string, Role> roles_;
  size_t levels_ = 0;
};

}  // namespace tessera::master
