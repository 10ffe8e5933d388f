// What the allocator must do, written down slowly and plainly: for tests only.
//
// It keeps names and model::Resources, works every order, sum and room out anew whenever it needs
// one, and remembers nothing but the facts. Check() replays the allocations of a run of the real
// core and says where they differ. The order of agents within a run is random; it is taken from the
// core. An agent that got nothing has no place in that order, so it is tried at the end of its
// stage: what nobody could take at that time must have been out of reach, or still is not taken.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/model/quantities.h"
#include "services/model/resources.h"
#include "services/model/role.h"

namespace tessera::allocator {

class ReferenceAllocator {
 public:
  using Resources = model::Resources;
  using Wide = __int128;

  struct RefFramework {
    std::set<std::string> roles;
    std::set<std::string> suppressed;
    bool gpu = false, revocable = false, refinement = false, region_aware = false;
    bool shared = false;
    bool active = true;
  };
  struct RefFilter {
    std::string framework, role, agent;
    Resources refused;
    absl::Time deadline;
  };
  struct RefAgent {
    Resources total;
    bool active = true, remote = false;
    std::map<std::pair<std::string, std::string>, Resources> holdings;  // by framework and role
    // Without shared volumes, which are there for everybody.
    Resources Free() const {
      Resources free = total.NonShared();
      for (const auto& [who, held] : holdings) free -= held.NonShared();
      return free;
    }
  };
  struct RefQuota {
    std::map<std::string, int64_t> guarantee, limit;  // thousandths
  };
  struct Given {
    std::string framework, role, agent;
    Resources resources;
    friend bool operator==(const Given&, const Given&) = default;
  };

  std::map<std::string, RefFramework> frameworks;
  std::map<std::string, RefAgent> agents;
  std::map<std::string, int64_t> weights;  // by role; thousandths
  std::map<std::string, RefQuota> quotas;
  std::vector<RefFilter> filters;
  std::function<bool(const Resources&)> is_worth_offering = [](const Resources& resources) {
    return !resources.empty();
  };

  // Names that count for shares.
  std::function<bool(const std::string&)> is_counted = [](const std::string&) { return true; };

  // Facts that a client exists or has gone change the tree of roles.
  void Sync() {
    const std::set<std::pair<std::string, std::string>> now = Clients();
    // New ones first: a node that has one client or another all the time keeps its count.
    for (const auto& client : now) {
      if (clients_.count(client) == 0) Learn(client);
    }
    const std::set<std::pair<std::string, std::string>> before = clients_;
    for (const auto& client : before) {
      if (now.count(client) == 0) Forget(client);
    }
  }

  void Give(const Given& given) {
    agents[given.agent].holdings[{given.framework, given.role}] += given.resources;
    Sync();
    ++framework_count_[{given.role, given.framework}];
    for (const std::string& node : NodesOf(given.role)) ++role_count_[node];
  }
  void TakeBack(const Given& given) {
    RefAgent& agent = agents[given.agent];
    Resources& held = agent.holdings[{given.framework, given.role}];
    held -= given.resources;
    if (held.empty()) agent.holdings.erase({given.framework, given.role});
    Sync();
  }

  // Which agents a run looks at.
  enum class Scope {
    kAll,
    // Those with news: what others could take is left to a later run.
    kNews,
  };
  // Replays one run. Empty when it is as it must be.
  std::string Check(const std::vector<Given>& allocations, Scope scope = Scope::kAll) {
    size_t next = 0;
    std::set<std::string> guaranteed, served;
    shared_left_.clear();
    for (const auto& [id, agent] : agents) shared_left_[id] = agent.total.Shared();
    for (int stage = 1; stage <= 2;) {
      if (next == allocations.size()) {
        if (scope == Scope::kNews) return "";
        // Nobody may be able to take anything from here on.
        for (const auto& [id, agent] : agents) {
          for (int last = stage; last <= 2; ++last) {
            if (last == 1 && guaranteed.count(id) > 0) continue;
            if (last == 2 && served.count(id) > 0) continue;
            const auto turn = Turn(id, last);
            if (!turn.empty()) return absl::StrCat("left unallocated: ", Text(turn[0]));
          }
        }
        return "";
      }
      const std::string& agent = allocations[next].agent;
      std::set<std::string>& had = stage == 1 ? guaranteed : served;
      const std::vector<Given> turn =
          had.count(agent) > 0 ? std::vector<Given>() : Turn(agent, stage);
      if (turn.empty()) {
        if (stage == 2) return absl::StrCat("too much: ", Text(allocations[next]));
        stage = 2;
        continue;
      }
      had.insert(agent);
      for (const Given& expected : turn) {
        if (next == allocations.size()) return absl::StrCat("missing: ", Text(expected));
        if (!(allocations[next] == expected)) {
          return absl::StrCat("expected ", Text(expected), ", got ", Text(allocations[next]));
        }
        ++next;
      }
      for (const Given& given : turn) {
        Give(given);
        shared_left_[given.agent] -= given.resources.Shared();
      }
    }
    return "";
  }

  static std::string Text(const Given& given) {
    return absl::StrCat(given.framework, " ", given.role, " ", given.agent, " ",
                        model::ToString(given.resources));
  }

 private:
  // ---- Clients and the tree.

  std::set<std::pair<std::string, std::string>> Clients() const {
    std::set<std::pair<std::string, std::string>> clients;  // role, framework
    for (const auto& [id, framework] : frameworks) {
      for (const std::string& role : framework.roles) clients.insert({role, id});
    }
    for (const auto& [id, agent] : agents) {
      for (const auto& [who, held] : agent.holdings) clients.insert({who.second, who.first});
    }
    return clients;
  }
  std::set<std::string> RolesOf(
      const std::set<std::pair<std::string, std::string>>& clients) const {
    std::set<std::string> roles;
    for (const auto& client : clients) roles.insert(client.first);
    return roles;
  }
  bool HasDescendants(const std::string& role) const {
    for (const std::string& other : RolesOf(clients_)) {
      if (model::IsStrictSubrole(other, role)) return true;
    }
    return false;
  }
  // The paths of the nodes that a role's client is charged to, the leaf first.
  std::vector<std::string> NodesOf(const std::string& role) const {
    std::vector<std::string> nodes;
    if (HasDescendants(role)) nodes.push_back(role + "/.");
    for (std::string_view at = role; !at.empty(); at = model::ParentRole(at)) {
      nodes.emplace_back(at);
    }
    return nodes;
  }
  void Learn(const std::pair<std::string, std::string>& client) {
    const bool new_role = RolesOf(clients_).count(client.first) == 0;
    if (new_role) {
      // A leaf above becomes a node with a virtual leaf that begins with the node's count.
      for (std::string_view up = model::ParentRole(client.first); !up.empty();
           up = model::ParentRole(up)) {
        const std::string above(up);
        if (RolesOf(clients_).count(above) > 0 && !HasDescendants(above)) {
          role_count_[above + "/."] = role_count_[above];
        }
      }
    }
    clients_.insert(client);
  }
  void Forget(const std::pair<std::string, std::string>& client) {
    clients_.erase(client);
    framework_count_.erase(client);
    const std::set<std::string> roles = RolesOf(clients_);
    for (auto count = role_count_.begin(); count != role_count_.end();) {
      std::string path = count->first;
      bool needed = false;
      if (path.size() > 2 && path.substr(path.size() - 2) == "/.") {
        path.resize(path.size() - 2);
        needed = roles.count(path) > 0 && HasDescendants(path);
      } else {
        for (const std::string& role : roles) {
          needed |= role == path || model::IsStrictSubrole(role, path);
        }
      }
      count = needed ? std::next(count) : role_count_.erase(count);
    }
  }

  // ---- Sums.

  static std::map<std::string, int64_t> Sum(const Resources& resources) {
    std::map<std::string, int64_t> sum;
    for (const auto& [name, amount] : model::Quantities::OfScalars(resources)) {
      sum[name] = amount.thousandths();
    }
    return sum;
  }
  static void AddTo(std::map<std::string, int64_t>* sum, const Resources& resources) {
    for (const auto& [name, amount] : Sum(resources)) (*sum)[name] += amount;
  }
  std::map<std::string, int64_t> Total() const {
    std::map<std::string, int64_t> total;
    for (const auto& [id, agent] : agents) AddTo(&total, agent.total);
    return total;
  }
  // Of a subtree (a path) or of one client.
  std::map<std::string, int64_t> Held(
      const std::function<bool(const std::string& framework, const std::string& role)>& of) const {
    std::map<std::string, int64_t> held;
    for (const auto& [id, agent] : agents) {
      // A shared volume counts once, however many hold copies of it.
      std::vector<model::Resource> volumes;
      for (const auto& [who, resources] : agent.holdings) {
        if (!of(who.first, who.second)) continue;
        AddTo(&held, resources.NonShared());
        for (model::Resource volume : resources.Shared()) {
          volume.set_copies(1);
          if (std::find(volumes.begin(), volumes.end(), volume) != volumes.end()) continue;
          held[volume.name()] += volume.scalar().thousandths();
          volumes.push_back(volume);
        }
      }
    }
    return held;
  }

  // ---- Orders.

  struct Share {
    Wide numerator = 0, denominator = 1;
  };
  Share ShareOf(const std::map<std::string, int64_t>& held, int64_t weight) const {
    Share best;
    for (const auto& [name, total] : Total()) {
      const auto amount = held.find(name);
      if (total <= 0 || amount == held.end() || !is_counted(name)) continue;
      const Share one{Wide{amount->second}, Wide{total} * weight};
      if (one.numerator * best.denominator > best.numerator * one.denominator) best = one;
    }
    return best;
  }
  struct Ranked {
    Share share;
    uint64_t count;
    std::string path;
    bool operator<(const Ranked& that) const {
      const Wide left = share.numerator * that.share.denominator;
      const Wide right = that.share.numerator * share.denominator;
      if (left != right) return left < right;
      if (count != that.count) return count < that.count;
      return path < that.path;
    }
  };

  bool IsActive(const std::string& role, const std::string& framework) const {
    const auto found = frameworks.find(framework);
    return found != frameworks.end() && found->second.active &&
           found->second.roles.count(role) > 0 && found->second.suppressed.count(role) == 0;
  }
  void Descend(const std::string& parent, std::vector<std::string>* order) const {
    std::set<std::string> paths;
    for (const auto& [role, framework] : clients_) {
      if (!IsActive(role, framework)) continue;
      if (!parent.empty() && role != parent && !model::IsStrictSubrole(role, parent)) continue;
      if (role == parent) {
        paths.insert(parent + "/.");
        continue;
      }
      const size_t from = parent.empty() ? 0 : parent.size() + 1;
      paths.insert(role.substr(0, role.find('/', from)));
    }
    std::vector<Ranked> ranked;
    for (const std::string& path : paths) {
      const bool is_virtual = path == parent + "/.";
      const auto held = Held([&](const std::string&, const std::string& role) {
        return is_virtual ? role == parent : role == path || model::IsStrictSubrole(role, path);
      });
      const auto weight = weights.find(path);
      const auto count = role_count_.find(path);
      ranked.push_back({ShareOf(held, weight == weights.end() ? 1000 : weight->second),
                        count == role_count_.end() ? 0 : count->second, path});
    }
    std::sort(ranked.begin(), ranked.end());
    for (const Ranked& one : ranked) {
      if (one.path == parent + "/.") {
        order->push_back(parent);
      } else if (RolesOf(clients_).count(one.path) > 0 && !HasDescendants(one.path)) {
        order->push_back(one.path);
      } else {
        Descend(one.path, order);
      }
    }
  }
  std::vector<std::string> RoleOrder() const {
    std::vector<std::string> order;
    Descend("", &order);
    return order;
  }
  std::vector<std::string> FrameworkOrder(const std::string& role) const {
    std::vector<Ranked> ranked;
    for (const auto& [client_role, framework] : clients_) {
      if (client_role != role || !IsActive(role, framework)) continue;
      const auto held = Held([&, id = framework](const std::string& one, const std::string& in) {
        return one == id && in == role;
      });
      const auto count = framework_count_.find({role, framework});
      ranked.push_back(
          {ShareOf(held, 1000), count == framework_count_.end() ? 0 : count->second, framework});
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::string> order;
    for (const Ranked& one : ranked) order.push_back(one.path);
    return order;
  }

  // ---- Quota.

  int64_t Consumed(const std::string& role, const std::string& name) const {
    int64_t consumed = 0;
    const auto within = [&](const std::string& other) {
      return other == role || model::IsStrictSubrole(other, role);
    };
    for (const auto& [id, agent] : agents) {
      for (const model::Resource& one : agent.total) {
        if (one.name() == name && one.IsReserved() && !one.IsRevocable() &&
            within(one.ReservationRole())) {
          consumed += one.scalar().thousandths();
        }
      }
      for (const auto& [who, held] : agent.holdings) {
        if (!within(who.second)) continue;
        for (const model::Resource& one : held) {
          if (one.name() == name && one.IsUnreserved() && !one.IsRevocable()) {
            consumed += one.scalar().thousandths();
          }
        }
      }
    }
    return consumed;
  }
  int64_t Guarantee(const std::string& role, const std::string& name) const {
    const auto quota = quotas.find(role);
    if (quota == quotas.end()) return 0;
    const auto amount = quota->second.guarantee.find(name);
    return amount == quota->second.guarantee.end() ? 0 : amount->second;
  }
  // Roles with a quota that lie directly or deeper beneath `role`, nearest level only by recursion.
  int64_t Required(const std::string& role, const std::string& name) const {
    std::set<std::string> children;
    for (const auto& [path, quota] : quotas) {
      if (!model::IsStrictSubrole(path, role)) continue;
      children.insert(path.substr(0, path.find('/', role.size() + 1)));
    }
    int64_t below = 0;
    for (const std::string& child : children) below += Required(child, name);
    return std::max({int64_t{0}, Guarantee(role, name) - Consumed(role, name), below});
  }
  int64_t RequiredHeadroom(const std::string& name) const {
    std::set<std::string> tops;
    for (const auto& [path, quota] : quotas) tops.insert(path.substr(0, path.find('/')));
    int64_t required = 0;
    for (const std::string& top : tops) required += Required(top, name);
    return required;
  }
  int64_t Surplus(const std::string& name) const {
    int64_t available = 0;
    for (const auto& [id, agent] : agents) {
      if (!agent.active) continue;
      for (const model::Resource& one : agent.Free()) {
        if (one.name() == name && one.IsUnreserved() && !one.IsRevocable()) {
          available += one.scalar().thousandths();
        }
      }
    }
    return std::max<int64_t>(0, available - RequiredHeadroom(name));
  }
  int64_t LimitRoom(const std::string& role, const std::string& name) const {
    int64_t room = INT64_MAX;
    for (std::string_view at = role; !at.empty(); at = model::ParentRole(at)) {
      const auto quota = quotas.find(std::string(at));
      if (quota == quotas.end()) continue;
      const auto limit = quota->second.limit.find(name);
      if (limit == quota->second.limit.end()) continue;
      room = std::min(room, std::max<int64_t>(0, limit->second - Consumed(std::string(at), name)));
    }
    return room;
  }
  int64_t GuaranteeRoom(const std::string& role, const std::string& name) const {
    int64_t room = 0;
    for (std::string_view up = role; !up.empty(); up = model::ParentRole(up)) {
      const std::string at(up);
      room = std::max(room, Guarantee(at, name) - Consumed(at, name) - Others(at, role, name));
    }
    return room;
  }
  // What roles beneath `at` are guaranteed, but for `role` and those between the two.
  int64_t Others(const std::string& at, const std::string& role, const std::string& name) const {
    std::set<std::string> children;
    for (const auto& [path, quota] : quotas) {
      if (model::IsStrictSubrole(path, at)) {
        children.insert(path.substr(0, path.find('/', at.size() + 1)));
      }
    }
    int64_t others = 0;
    for (const std::string& child : children) {
      const bool on_the_way = role == child || model::IsStrictSubrole(role, child);
      others += on_the_way ? Others(child, role, name) : Required(child, name);
    }
    return others;
  }

  // ---- One agent's turn, by the book.

  std::vector<Given> Turn(const std::string& id, int stage) {
    std::vector<Given> turn;
    const RefAgent before = agents[id];
    Resources shared_left = shared_left_[id];
    if (before.active) {
      for (const std::string& role : RoleOrder()) {
        for (const std::string& framework : FrameworkOrder(role)) {
          Resources candidate = Candidate(id, role, framework, stage);
          // Shared volumes never go alone, and once in a run.
          if (!candidate.empty() && frameworks[framework].shared) {
            for (const model::Resource& volume : shared_left) {
              if (volume.IsAllocatableTo(role)) candidate += volume;
            }
          }
          if (!is_worth_offering(candidate)) continue;
          if (std::any_of(filters.begin(), filters.end(), [&](const RefFilter& filter) {
                return filter.framework == framework && filter.role == role && filter.agent == id &&
                       filter.refused.Contains(candidate);
              })) {
            continue;
          }
          turn.push_back({framework, role, id, candidate});
          shared_left -= candidate.Shared();
          // Held at once, for all rooms; orders are those of the turn's beginning because
          // RoleOrder and FrameworkOrder are not asked again for what has been passed.
          agents[id].holdings[{framework, role}] += candidate;
        }
      }
    }
    agents[id] = before;
    return turn;
  }

  Resources Candidate(const std::string& id, const std::string& role,
                      const std::string& framework_id, int stage) const {
    const RefAgent& agent = agents.at(id);
    const RefFramework& framework = frameworks.at(framework_id);
    if (agent.remote && !framework.region_aware) return {};
    if (agent.total.SumOf("gpus").IsPositive() && !framework.gpu) return {};
    Resources candidate;
    bool contributes = false;
    for (model::Resource one : agent.Free()) {
      if (!one.IsAllocatableTo(role)) continue;
      if (one.IsRevocable() && !framework.revocable) continue;
      if (one.HasRefinedReservations() && !framework.refinement) continue;
      const bool counts =
          one.kind() == model::ResourceKind::kScalar && one.IsUnreserved() && !one.IsRevocable();
      if (counts && !quotas.empty()) {
        const std::string& name = one.name();
        const int64_t limit = LimitRoom(role, name);
        const int64_t guaranteed = stage == 1 ? std::min(GuaranteeRoom(role, name), limit) : 0;
        const int64_t room = std::min(limit, guaranteed + Surplus(name));
        contributes |= guaranteed > 0;
        if (room <= 0) continue;
        one.ShrinkTo(model::Scalar::FromThousandths(room));
      }
      candidate += one;
    }
    if (stage == 1 && !contributes) return {};
    return InProportion(agent.Free(), candidate);
  }

  static int64_t Lasting(const Resources& resources, const std::string& name) {
    int64_t sum = 0;
    for (const model::Resource& one : resources) {
      if (one.name() == name && !one.IsRevocable()) sum += one.scalar().thousandths();
    }
    return sum;
  }
  // Unreserved ranges go with the part of cpus or memory that is given, rounded up.
  static Resources InProportion(const Resources& free, const Resources& candidate) {
    Wide part = -1, whole = 1;
    for (const char* name : {"cpus", "mem"}) {
      const Wide there = Lasting(free, name);
      const Wide given = Lasting(candidate, name);
      if (there <= 0) continue;
      if (part < 0 || given * whole > part * there) {
        part = given;
        whole = there;
      }
    }
    if (part < 0) return candidate;
    Resources shared;
    for (model::Resource one : candidate) {
      if (one.kind() == model::ResourceKind::kRanges && one.IsUnreserved()) {
        Wide numbers = (static_cast<Wide>(one.ranges().Count()) * part + whole - 1) / whole;
        std::vector<model::Interval> kept;
        for (const model::Interval& interval : one.ranges().intervals()) {
          for (uint64_t number = interval.begin; number <= interval.end && numbers > 0; --numbers) {
            kept.push_back({number, number});
            ++number;
          }
        }
        if (kept.empty()) continue;
        one.set_ranges(model::Ranges::UnionOf(std::move(kept)));
      }
      shared += one;
    }
    return shared;
  }

  std::set<std::pair<std::string, std::string>> clients_;  // role, framework
  std::map<std::string, uint64_t> role_count_;             // by path of node
  std::map<std::string, Resources> shared_left_;           // by agent, in this run
  std::map<std::pair<std::string, std::string>, uint64_t> framework_count_;
};

}  // namespace tessera::allocator
