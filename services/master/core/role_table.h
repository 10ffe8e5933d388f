// Roles that something is known of: a subscription, a weight or a quota.
//
// Invariant: a role is here exactly while one of these is there.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "services/master/core/contracts.h"

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
  Role& Get(const std::string& name) { return roles_[name]; }
  const Role* Find(const std::string& name) const {
    auto found = roles_.find(name);
    return found == roles_.end() ? nullptr : &found->second;
  }
  // Forgets the role when nothing is known of it; true when it was forgotten.
  bool DropIfEmpty(const std::string& name) {
    auto found = roles_.find(name);
    if (found == roles_.end() || !found->second.empty()) return false;
    roles_.erase(found);
    return true;
  }
  const std::map<std::string, Role>& roles() const { return roles_; }

 private:
  std::map<std::string, Role> roles_;
};

}  // namespace tessera::master
