#include "tests/sim/cluster_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/model/quantities.h"
#include "tests/sim/quota_checker.h"

namespace tessera::sim {

namespace {

FeedOutletOptions DrawFeed(base::Rng* draws) {
  FeedOutletOptions options;
  // Short enough to be fallen out of, and not so short that nobody could ever follow: what changes
  // while a snapshot is on its way has to fit.
  options.history_bytes_max = 30'000 + draws->Below(200'000);
  options.chunk_changes = 8 + draws->Below(64);
  if (draws->Chance(0.5)) options.stall_chance = 0.02;
  return options;
}

MasterPlan DrawMaster(const std::string& address, double own_offer_timeout, base::Rng* draws) {
  MasterPlan plan;
  if (draws->Chance(own_offer_timeout)) {
    plan.config.offer_timeout = absl::Seconds(5 + draws->Below(60));
  }
  plan.config.candidate_id = address;
  plan.config.address = address;
  plan.config.http_address = address;
  plan.config.hostname = address;
  plan.config.cluster_name = "simulated";
  plan.config.version = "0.1.0";
  plan.feed = DrawFeed(draws);
  return plan;
}

void DrawSorters(base::Rng* draws, allocator::AllocatorConfig* config) {
  if (!draws->Chance(0.5)) return;
  config->role_sorter = allocator::SorterKind::kRandom;
  config->framework_sorter = allocator::SorterKind::kRandom;
}

// One state-svc follows the masters; a second one follows the first, some also the masters. In some
// runs the first lists the second, too.
std::vector<ReaderPlan> DrawReaders(const std::vector<std::string>& masters, base::Rng* draws) {
  const bool two = draws->Chance(0.7);
  std::vector<ReaderPlan> readers;
  std::vector<std::string> feeds = masters;
  if (two && draws->Chance(0.4)) {
    feeds.push_back("state-2:5060");
    draws->Shuffle(feeds);
  }
  readers.push_back({"state-1:5060", feeds, DrawFeed(draws)});
  if (!two) return readers;
  feeds = {"state-1:5060"};
  if (draws->Chance(0.6)) {
    feeds.insert(feeds.end(), masters.begin(), masters.end());
    draws->Shuffle(feeds);
  }
  readers.push_back({"state-2:5060", feeds, DrawFeed(draws)});
  return readers;
}

FaultRates DrawRates(base::Rng* draws) {
  FaultRates rates;
  for (absl::Duration* rate :
       {&rates.registry_crash, &rates.allocator_crash, &rates.master_crash, &rates.agent_crash,
        &rates.framework_crash, &rates.state_crash, &rates.wire_break, &rates.partition}) {
    if (draws->Chance(0.5)) *rate = absl::Seconds(20 + draws->Exponential(100));
  }
  if (draws->Chance(0.6)) rates.strike = absl::Seconds(10 + draws->Exponential(30));
  if (draws->Chance(0.5)) rates.orderly = draws->Unit();
  if (draws->Chance(0.5)) rates.readers_apart = draws->Unit();
  if (draws->Chance(0.5)) rates.silent = draws->Unit();
  if (draws->Chance(0.5)) rates.one_way = draws->Unit();
  if (draws->Chance(0.3)) rates.reboots = 0.5 * draws->Unit();
  if (draws->Chance(0.2)) rates.reinstalls = 0.3 * draws->Unit();
  if (draws->Chance(0.2)) rates.twin = absl::Seconds(30 + draws->Exponential(100));
  if (draws->Chance(0.2)) rates.log_space = absl::Seconds(30 + draws->Exponential(100));
  if (draws->Chance(0.3)) rates.clock_error = absl::Seconds(draws->Exponential(600));
  return rates;
}

// Tasks that run until they are let go leave room for all others, even if all of them are on the
// largest agent.
void LeaveRoom(ClusterPlan* plan) {
  // What an executor of a framework's own needs on top, and somewhat more.
  constexpr int64_t kExecutorCpus = 200, kExecutorMem = 64'000;
  AgentShape room = plan->agents.front();
  for (const AgentShape& agent : plan->agents) {
    if (std::pair(agent.cpus_milli, agent.mem_milli) > std::pair(room.cpus_milli, room.mem_milli)) {
      room = agent;
    }
  }
  FrameworkShape largest;
  largest.cpus_milli = largest.mem_milli = 0;
  for (const FrameworkShape& shape : plan->frameworks) {
    largest.cpus_milli = std::max(largest.cpus_milli, shape.cpus_milli + kExecutorCpus);
    largest.mem_milli = std::max(largest.mem_milli, shape.mem_milli + kExecutorMem);
  }
  room.cpus_milli -= largest.cpus_milli;
  room.mem_milli -= largest.mem_milli;
  for (FrameworkShape& shape : plan->frameworks) {
    const int wanted = std::exchange(shape.keepers, 0);
    for (; shape.keepers < wanted; ++shape.keepers) {
      const int64_t cpus = shape.cpus_milli + kExecutorCpus;
      const int64_t mem = shape.mem_milli + kExecutorMem;
      if (cpus > room.cpus_milli || mem > room.mem_milli) break;
      room.cpus_milli -= cpus;
      room.mem_milli -= mem;
    }
  }
}

ClusterPlan DrawOrdinary(base::Rng* draws) {
  ClusterPlan plan;
  DrawSorters(draws, &plan.allocator.allocator);
  const int masters = draws->Chance(0.7) ? 2 : 1;
  for (int i = 1; i <= masters; ++i) {
    plan.masters.push_back(DrawMaster(absl::StrCat("master-", i, ":5050"), 0.3, draws));
  }
  plan.readers = DrawReaders(plan.MasterAddresses(), draws);
  const int agents = static_cast<int>(1 + draws->Below(6));
  for (int i = 1; i <= agents; ++i) {
    AgentShape shape;
    shape.cpus_milli = static_cast<int64_t>(1 + draws->Below(8)) * 1000;
    shape.mem_milli = static_cast<int64_t>(1 + draws->Below(8)) * 1'024'000;
    plan.operators.cpus_milli += shape.cpus_milli;
    plan.operators.mem_milli += shape.mem_milli;
    plan.agents.push_back(shape);
  }
  const int frameworks = static_cast<int>(1 + draws->Below(6));
  std::vector<std::string> kinds;
  for (int i = 1; i <= frameworks; ++i) {
    FrameworkShape shape;
    const uint64_t kind = draws->Below(10);
    shape.behaviour = i == 1 || kind < 5 ? Behaviour::kBatch
                      : kind < 7         ? Behaviour::kKiller
                      : kind < 9         ? Behaviour::kDecliner
                                         : Behaviour::kHoarder;
    shape.role = std::vector<std::string>{"*", "a", "a/b", "c"}[draws->Below(4)];
    shape.tasks = static_cast<int>(1 + draws->Below(30));
    shape.cpus_milli = static_cast<int64_t>(1 + draws->Below(10)) * 100;
    shape.mem_milli = static_cast<int64_t>(1 + draws->Below(8)) * 64'000;
    shape.task_time = absl::Seconds(draws->Exponential(20));
    kinds.push_back(NameOf(shape.behaviour));
    plan.frameworks.push_back(shape);
  }
  plan.rates = DrawRates(draws);
  plan.registry_disk = DrawDisk(draws);
  const DiskShape agents_disk = DrawDisk(draws);
  for (AgentShape& shape : plan.agents) shape.disk = agents_disk;
  if (draws->Chance(0.4)) plan.operators.meddling = absl::Seconds(5 + draws->Exponential(30));
  const double groups = draws->Chance(0.4) ? draws->Unit() : 0;
  const double custom = draws->Chance(0.2) ? 0.3 * draws->Unit() : 0;
  const double reuse = draws->Chance(0.5) ? draws->Unit() : 0;
  for (FrameworkShape& shape : plan.frameworks) {
    const bool works =
        shape.behaviour == Behaviour::kBatch || shape.behaviour == Behaviour::kKiller;
    if (!works) continue;
    shape.groups = groups;
    shape.custom_executors = custom;
    shape.reuse = reuse;
    shape.keepers = static_cast<int>(draws->Below(3));
  }
  LeaveRoom(&plan);
  plan.summary = absl::StrCat(masters, " masters, ", plan.readers.size(), " state-svcs, ", agents,
                              " agents, frameworks ", absl::StrJoin(kinds, "+"));
  if (groups > 0) absl::StrAppend(&plan.summary, ", groups");
  if (reuse > 0) absl::StrAppend(&plan.summary, ", ids used again");
  if (draws->Chance(0.4)) {
    plan.operators.pause = absl::Seconds(5 + draws->Exponential(60));
    // "a" is above "a/b", and both have frameworks; "d" and those beneath it have none.
    plan.operators.roles = {"*", "a", "a/b", "a/b/c", "c", "d", "d/e"};
    absl::StrAppend(&plan.summary, ", quotas change every ",
                    absl::FormatDuration(plan.operators.pause));
  }
  return plan;
}

// ---- Crowds

constexpr int kCrowd = 100;
constexpr int kNeedy = 5;

// Whoever sits on offers for ever, or is gone.
void DrawSilent(base::Rng* draws, FrameworkShape* shape) {
  shape->behaviour = Behaviour::kHoarder;
  shape->end_after = absl::Seconds(draws->Exponential(300));
  const uint64_t kind = draws->Below(6);
  if (kind == 0) shape->end = FrameworkShape::End::kCrash;
  if (kind == 1) shape->end = FrameworkShape::End::kVanish;
  if (kind == 2) shape->hold = absl::Seconds(5 + draws->Below(110));
}

FrameworkShape DrawNeedy(base::Rng* draws) {
  FrameworkShape shape;
  shape.behaviour = Behaviour::kNeedy;
  shape.cpus_milli = static_cast<int64_t>(1 + draws->Below(4)) * 500;
  shape.mem_milli = shape.cpus_milli * 512;
  // At most ten cpus in all, the size of an agent.
  shape.tasks = static_cast<int>(1 + draws->Below(10'000 / shape.cpus_milli));
  shape.task_time = absl::Seconds(2 + draws->Exponential(20));
  shape.failures = 0;
  shape.between_wishes = absl::Seconds(10 + draws->Below(90));
  shape.states_demand = draws->Chance(0.5);
  return shape;
}

// Guarantees of some of the needy, and limits and small guarantees of roles without any. Roles with
// guarantees are not above one another, nor beneath a limit: guarantees have to fit.
void DrawAgreement(const std::map<std::string, FrameworkShape>& needy, base::Rng* draws,
                   OperatorShape* operators) {
  const auto stands_alone = [operators](const std::string& role) {
    return std::none_of(operators->agreed.begin(), operators->agreed.end(), [&](const auto& other) {
      return IsAtOrAbove(other.role, role) || IsAtOrAbove(role, other.role);
    });
  };
  for (const auto& [role, shape] : needy) {
    if (!stands_alone(role) || !draws->Chance(0.3)) continue;
    const int64_t tasks = shape.tasks + 1;
    operators->agreed.push_back({role, tasks * shape.cpus_milli, tasks * shape.mem_milli, 0, 0});
  }
  for (const std::string& role : operators->roles) {
    const bool bounds_a_guarantee = std::any_of(
        operators->agreed.begin(), operators->agreed.end(), [&](const AgreedQuota& other) {
          return other.guaranteed_cpus > 0 && IsAtOrAbove(role, other.role);
        });
    if (bounds_a_guarantee || !draws->Chance(0.5)) continue;
    AgreedQuota agreed{role};
    if (stands_alone(role) && draws->Chance(0.5)) {
      agreed.guaranteed_cpus = operators->cpus_milli / 20;
      agreed.guaranteed_mem = operators->mem_milli / 20;
    }
    agreed.most_cpus = operators->cpus_milli / static_cast<int64_t>(2 + draws->Below(15));
    agreed.most_mem = operators->mem_milli / static_cast<int64_t>(2 + draws->Below(15));
    operators->agreed.push_back(agreed);
  }
}

// The part of the cluster that a role can count on while everybody wants everything: at each level
// of its path, its part among the siblings. Where weights change, others may weigh `others_weigh`
// times as much.
double FairPart(const std::string& role, const std::vector<std::string>& roles,
                double others_weigh) {
  double part = 1;
  for (size_t end = 0; end != std::string::npos;) {
    const size_t begin = end == 0 ? 0 : end + 1;
    end = role.find('/', begin);
    const std::string above = role.substr(0, begin);  // with its last slash
    std::set<std::string> siblings;
    for (const std::string& other : roles) {
      // A role with others beneath it is a sibling of those.
      if (absl::StrCat(other, "/") == above) siblings.insert(".");
      if (!absl::StartsWith(other, above)) continue;
      siblings.insert(other.substr(begin, other.find('/', begin) - begin));
    }
    part /= 1 + static_cast<double>(siblings.size() - 1) * others_weigh;
    if (end != std::string::npos) continue;
    // It may be the one with others beneath it itself.
    const std::string beneath = absl::StrCat(role, "/");
    std::set<std::string> children;
    for (const std::string& other : roles) {
      if (!absl::StartsWith(other, beneath)) continue;
      children.insert(other.substr(beneath.size(), other.find('/', beneath.size())));
    }
    part /= 1 + static_cast<double>(children.size()) * others_weigh;
  }
  return part;
}

// In how many runs over all agents a needy framework has what it wants, when nothing is broken.
//
// Time goes in rounds of the master's offer_timeout. What anybody sits on at the beginning of a
// round has come back at its end, and whoever let it lie is not asked in the next round: for as
// long as it lay, and longer each time. Of what comes back the needy one's role gets its fair part,
// by shares (drf) or on average (random). Within the role every silent framework may have a turn
// before it, and then it takes `turns` agents, even if all are of the smallest size. Decliners pass
// on at once. What is guaranteed to others is not there for it. The cap on outstanding offers is
// above the number of agents, and takes nothing from what a silent framework may hold in a round.
//
// So it takes one round for things to come back, and then as many as it takes to hand the role
// silent + turns agents. Runs come once in an allocation_interval, and some more because of events
// (frameworks that come back, wishes); and the dice of the random sorter fall as they fall, as do
// equal shares of the other one. The factor stands for both.
uint64_t WishRunsMax(const FrameworkShape& needy, const ClusterPlan& plan,
                     const std::vector<std::string>& roles) {
  constexpr double kLuckAndEvents = 2;
  int silent = 0;
  for (const FrameworkShape& shape : plan.frameworks) {
    silent += shape.role == needy.role && shape.behaviour == Behaviour::kHoarder;
  }
  int64_t smallest = plan.agents.front().cpus_milli;
  for (const AgentShape& agent : plan.agents) smallest = std::min(smallest, agent.cpus_milli);
  const int64_t fitting = smallest / needy.cpus_milli;
  const int64_t turns = (needy.tasks + fitting - 1) / fitting;
  int64_t guaranteed = 0;
  for (const AgreedQuota& agreed : plan.operators.agreed) {
    if (agreed.role != needy.role) guaranteed += agreed.guaranteed_cpus;
  }
  const double there =
      1 - static_cast<double>(guaranteed) / static_cast<double>(plan.operators.cpus_milli);
  const bool weights_change = plan.operators.pause != absl::InfiniteDuration();
  const double part =
      FairPart(needy.role, roles, weights_change ? plan.operators.weight_max / 1000.0 : 1);
  const double agents = static_cast<double>(plan.agents.size()) * there * part;
  const double rounds = 1 + static_cast<double>(silent + turns) / agents;
  const double round_runs = absl::FDivDuration(plan.masters.front().config.offer_timeout,
                                               plan.allocator.allocator.allocation_interval);
  return static_cast<uint64_t>(kLuckAndEvents * rounds * round_runs);
}

ClusterPlan DrawCrowd(base::Rng* draws) {
  ClusterPlan plan;
  plan.kind = RunKind::kCrowd;
  DrawSorters(draws, &plan.allocator.allocator);
  // As allocator-svc has them by default.
  plan.allocator.allocator.outstanding_offers_max = 1000;
  plan.allocator.allocator.min_allocatable =
      allocator::Minimum(model::MinAllocatable::Parse("cpus:0.01|mem:32")->alternatives());
  const bool random = plan.allocator.allocator.role_sorter == allocator::SorterKind::kRandom;
  for (int i = 1; i <= 2; ++i) {
    plan.masters.push_back(DrawMaster(absl::StrCat("master-", i, ":5050"), 0, draws));
  }
  plan.readers = DrawReaders(plan.MasterAddresses(), draws);
  // Change by change, a snapshot of this size would take minutes.
  for (MasterPlan& master : plan.masters) master.feed.chunk_changes += 100;
  for (ReaderPlan& reader : plan.readers) reader.feed.chunk_changes += 100;
  const int agents = static_cast<int>(draws->Between(20, 40));
  for (int i = 1; i <= agents; ++i) {
    AgentShape shape;
    shape.cpus_milli = draws->Between(4, 16) * 1000;
    shape.mem_milli = shape.cpus_milli * 1024;
    plan.operators.cpus_milli += shape.cpus_milli;
    plan.operators.mem_milli += shape.mem_milli;
    plan.agents.push_back(shape);
  }

  std::vector<std::string> roles = {"*",           "batch",    "batch/night", "web",
                                    "web/front",   "web/back", "ml/train",    "ml/serve/eu",
                                    "ml/serve/us", "ops"};
  draws->Shuffle(roles);
  std::map<std::string, FrameworkShape> needy;
  for (int i = 0; i < kNeedy; ++i) {
    FrameworkShape shape = DrawNeedy(draws);
    shape.role = roles[i];
    needy[shape.role] = shape;
    plan.frameworks.push_back(shape);
  }
  int silent = 0;
  const double silent_part = 0.3 + 0.5 * draws->Unit();
  for (int i = kNeedy; i < kCrowd; ++i) {
    FrameworkShape shape;
    shape.role = roles[draws->Below(roles.size())];
    if (draws->Chance(silent_part)) {
      DrawSilent(draws, &shape);
      ++silent;
    } else {
      shape.behaviour = Behaviour::kDecliner;
      shape.refuse_seconds = static_cast<int>(1 + draws->Below(6));
    }
    plan.frameworks.push_back(shape);
  }
  // Who was first has no better numbers than others.
  draws->Shuffle(plan.frameworks);

  for (const std::string& role : roles) {
    const bool feeds_the_needy = std::any_of(needy.begin(), needy.end(), [&](const auto& entry) {
      return IsAtOrAbove(role, entry.first);
    });
    if (role != "*" && !feeds_the_needy) plan.operators.roles.push_back(role);
  }
  DrawAgreement(needy, draws, &plan.operators);
  plan.operators.guarantee_max = 0.05;
  plan.operators.weight_min = 500;
  plan.operators.weight_max = 2000;
  const bool operators = !plan.operators.roles.empty() && draws->Chance(0.6);
  if (operators) plan.operators.pause = absl::Seconds(60 + draws->Exponential(120));

  for (FrameworkShape& shape : plan.frameworks) {
    if (shape.behaviour != Behaviour::kNeedy) continue;
    shape.wish_runs_max = WishRunsMax(shape, plan, roles);
  }

  plan.rates = DrawRates(draws);
  for (absl::Duration* rate :
       {&plan.rates.registry_crash, &plan.rates.allocator_crash, &plan.rates.master_crash,
        &plan.rates.agent_crash, &plan.rates.framework_crash, &plan.rates.state_crash,
        &plan.rates.wire_break, &plan.rates.partition, &plan.rates.strike, &plan.rates.twin,
        &plan.rates.log_space}) {
    *rate *= 5;
  }
  plan.fault_phase = absl::Minutes(8);
  plan.wishes_after_healing = 3;
  plan.summary = absl::StrCat("a crowd: ", kNeedy, " needy among ", kCrowd, ", ", silent,
                              " silent, ", agents, " agents, ", random ? "random" : "drf",
                              " sorters", operators ? ", quotas change" : "");
  return plan;
}

}  // namespace

std::vector<std::string> ClusterPlan::MasterAddresses() const {
  std::vector<std::string> addresses;
  for (const MasterPlan& master : masters) addresses.push_back(master.config.address);
  return addresses;
}

NetworkOptions DrawNetwork(base::Rng* draws) {
  NetworkOptions options;
  options.delay_mean = absl::Microseconds(200 + draws->Exponential(5000));
  return options;
}

ClusterPlan DrawPlan(RunKind kind, base::Rng* draws) {
  return kind == RunKind::kCrowd ? DrawCrowd(draws) : DrawOrdinary(draws);
}

}  // namespace tessera::sim
