#include "tests/sim/operator_process.h"

#include <iterator>
#include <utility>

#include "tests/sim/master_process.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kRetry = absl::Seconds(1);
// An agent that is away is asked for so often, with so much time between.
constexpr int kTriesMax = 30;
constexpr absl::Duration kAwayRetry = absl::Seconds(10);
// Of the calls, this part is about weights.
constexpr double kWeights = 0.2;
// Of the quotas, this part takes away what was there.
constexpr double kNoQuota = 0.3;

void Set(model::v1::Quantities* quantities, const std::string& name, int64_t milli) {
  (*quantities->mutable_amounts())[name].set_milli(milli);
}

}  // namespace

OperatorProcess::OperatorProcess(World* world, std::vector<std::string> masters,
                                 OperatorShape shape)
    : Process(&world->loop, "operators"),
      world_(world),
      masters_(std::move(masters)),
      shape_(std::move(shape)),
      rng_(world->rng.Fork()) {}

void OperatorProcess::OnStart() {
  ChangeLater();
  MeddleLater();
}

void OperatorProcess::OnEnd() { world_->network.Drop(this); }

void OperatorProcess::ChangeLater() {
  if (shape_.pause == absl::InfiniteDuration()) return;
  Later(absl::Seconds(rng_.Exponential(absl::ToDoubleSeconds(shape_.pause))), [this] {
    if (settling_) return;
    const auto count = [this](const absl::Status& status) {
      changes_ += status.ok();
      if (status.ok()) world_->faults.Add(Bite::kQuotaChanged);
    };
    if (rng_.Chance(kWeights)) {
      Ask(DrawWeights(), count);
    } else {
      Ask(DrawQuotas(), count);
    }
    ChangeLater();
  });
}

operators::v1::UpdateQuotaRequest OperatorProcess::DrawQuotas() {
  operators::v1::UpdateQuotaRequest request;
  request.set_force(rng_.Chance(0.7));
  std::vector<std::string> roles = shape_.roles;
  rng_.Shuffle(roles);
  roles.resize(1 + rng_.Below(std::min<size_t>(3, roles.size())));
  for (const std::string& role : roles) {
    auto* config = request.add_configs();
    config->set_role(role);
    if (rng_.Chance(kNoQuota)) continue;
    for (const auto& [name, total] :
         {std::pair{"cpus", shape_.cpus_milli}, std::pair{"mem", shape_.mem_milli}}) {
      // Seldom more than there is, seldom nothing at all.
      int64_t guarantee = 0;
      if (rng_.Chance(0.4)) {
        const double part = shape_.guarantee_max * rng_.Unit();
        guarantee = static_cast<int64_t>(static_cast<double>(total) * part);
        Set(config->mutable_guarantees(), name, guarantee);
      }
      if (rng_.Chance(0.5)) {
        const double part = rng_.Chance(0.1) ? 0 : 1.2 * rng_.Unit();
        Set(config->mutable_limits(), name,
            guarantee + static_cast<int64_t>(static_cast<double>(total) * part));
      }
    }
  }
  return request;
}

operators::v1::UpdateWeightsRequest OperatorProcess::DrawWeights() {
  operators::v1::UpdateWeightsRequest request;
  auto* weight = request.add_weights();
  weight->set_role(shape_.roles[rng_.Below(shape_.roles.size())]);
  weight->set_weight_milli(rng_.Between(shape_.weight_min, shape_.weight_max));
  return request;
}

operators::v1::UpdateQuotaRequest OperatorProcess::Agreed() const {
  operators::v1::UpdateQuotaRequest request;
  request.set_force(true);
  std::set<std::string> open(shape_.roles.begin(), shape_.roles.end());
  for (const AgreedQuota& agreed : shape_.agreed) {
    open.erase(agreed.role);
    auto* config = request.add_configs();
    config->set_role(agreed.role);
    if (agreed.guaranteed_cpus > 0) {
      Set(config->mutable_guarantees(), "cpus", agreed.guaranteed_cpus);
      Set(config->mutable_guarantees(), "mem", agreed.guaranteed_mem);
    }
    if (agreed.most_cpus > 0) {
      Set(config->mutable_limits(), "cpus", agreed.most_cpus);
      Set(config->mutable_limits(), "mem", agreed.most_mem);
    }
  }
  for (const std::string& role : open) request.add_configs()->set_role(role);
  return request;
}

void OperatorProcess::MeddleLater() {
  if (shape_.meddling == absl::InfiniteDuration()) return;
  Later(absl::Seconds(rng_.Exponential(absl::ToDoubleSeconds(shape_.meddling))), [this] {
    if (settling_) return;
    Meddle();
    MeddleLater();
  });
}

void OperatorProcess::Meddle() {
  if (world_->agent_ids.empty() || rng_.Chance(0.4)) return KillTask();
  auto agent = world_->agent_ids.begin();
  std::advance(agent, rng_.Below(world_->agent_ids.size()));
  if (rng_.Chance(0.3)) return Maintain(agent->first);
  MeddleWithAgent(agent->first, agent->second);
}

void OperatorProcess::KillTask() {
  if (world_->recent_tasks.empty()) return;
  const auto& [framework, task] = world_->recent_tasks[rng_.Below(world_->recent_tasks.size())];
  operators::v1::KillTaskRequest request;
  request.set_framework_id(framework);
  request.set_task_id(task);
  Ask(std::move(request), [this](const absl::Status& status) {
    if (status.ok()) world_->faults.Add(Bite::kOperatorKill);
  });
}

void OperatorProcess::MeddleWithAgent(const std::string& hostname, const std::string& agent_id) {
  const auto count = [this](Bite bite) {
    return [this, bite](const absl::Status& status) {
      if (status.ok()) world_->faults.Add(bite);
    };
  };
  if (rng_.Chance(shape_.gone)) {
    operators::v1::MarkAgentGoneRequest request;
    request.set_agent_id(agent_id);
    return Ask(std::move(request), count(Bite::kAgentMarkedGone));
  }
  if (const auto out = out_of_service_.find(hostname); out != out_of_service_.end()) {
    operators::v1::ReactivateAgentRequest request;
    request.set_agent_id(out->second);
    out_of_service_.erase(out);
    return Ask(std::move(request), [](const absl::Status&) {});
  }
  out_of_service_[hostname] = agent_id;
  touched_.insert(agent_id);
  if (rng_.Chance(0.5)) {
    operators::v1::DeactivateAgentRequest request;
    request.set_agent_id(agent_id);
    return Ask(std::move(request), count(Bite::kAgentDeactivated));
  }
  operators::v1::DrainAgentRequest request;
  request.set_agent_id(agent_id);
  request.set_mark_gone(rng_.Chance(0.1));
  if (rng_.Chance(0.5)) request.mutable_max_grace_period()->set_seconds(rng_.Between(0, 10));
  Ask(std::move(request), count(Bite::kAgentDrained));
}

void OperatorProcess::Maintain(const std::string& hostname) {
  const auto machine = [&hostname](auto* list) { list->Add()->set_hostname(hostname); };
  const auto found = maintained_.find(hostname);
  if (found != maintained_.end() && found->second) {
    operators::v1::StopMaintenanceRequest request;
    machine(request.mutable_machines());
    return Ask(std::move(request), [this, hostname](const absl::Status& status) {
      if (status.ok()) maintained_.erase(hostname);
    });
  }
  if (found != maintained_.end()) {
    operators::v1::StartMaintenanceRequest request;
    machine(request.mutable_machines());
    return Ask(std::move(request), [this, hostname](const absl::Status& status) {
      if (!status.ok()) return;
      maintained_[hostname] = true;
      world_->faults.Add(Bite::kMaintenance);
    });
  }
  operators::v1::UpdateMaintenanceScheduleRequest request;
  maintained_[hostname] = false;
  for (const auto& [name, down] : maintained_) {
    auto* window = request.add_windows();
    window->add_machines()->set_hostname(name);
    const absl::Time start = loop().now() + absl::Minutes(1);
    window->mutable_unavailability()->mutable_start()->set_seconds(absl::ToUnixSeconds(start));
    window->mutable_unavailability()->mutable_duration()->set_seconds(60);
  }
  Ask(std::move(request), [](const absl::Status&) {});
}

void OperatorProcess::Settle() {
  if (!std::exchange(settling_, true)) {
    MendAgents();
    MendMachines();
  }
  if (shape_.roles.empty() && shape_.agreed.empty()) {
    settled_ = true;
    return;
  }
  Ask(Agreed(), [this](const absl::Status& status) {
    settled_ = status.ok();
    changes_ += status.ok();
    if (!settled_) Later(kRetry, [this] { Settle(); });
  });
}

void OperatorProcess::MendAgents() {
  agents_mended_ = touched_.empty();
  if (agents_mended_) return;
  const std::string agent_id = *touched_.begin();
  operators::v1::ReactivateAgentRequest request;
  request.set_agent_id(agent_id);
  Ask(std::move(request), [this, agent_id](const absl::Status& status) {
    // One that nobody knows may still come back, unless it is gone for good.
    const bool away = absl::IsNotFound(status);
    if (status.ok() || (away && ++tries_ > kTriesMax)) {
      touched_.erase(agent_id);
      tries_ = 0;
    }
    Later(away ? kAwayRetry : kRetry, [this] { MendAgents(); });
  });
}

// What is down, the masters know better: a call without an answer may have been carried out.
void OperatorProcess::MendMachines() {
  const auto again = [this] { Later(kRetry, [this] { MendMachines(); }); };
  AskFor(operators::v1::GetMaintenanceStatusRequest(),
         [this, again](const absl::StatusOr<master::OperatorAnswer>& answer) {
           if (!answer.ok()) return again();
           const auto& status = std::get<operators::v1::GetMaintenanceStatusResponse>(*answer);
           if (status.down().empty()) {
             return Ask(operators::v1::UpdateMaintenanceScheduleRequest(),
                        [this, again](const absl::Status& cleared) {
                          machines_mended_ = cleared.ok();
                          if (!machines_mended_) again();
                        });
           }
           operators::v1::StopMaintenanceRequest stop;
           *stop.mutable_machines() = status.down();
           Ask(std::move(stop), [again](const absl::Status&) { again(); });
         });
}

void OperatorProcess::Ask(master::OperatorRequest request,
                          std::function<void(const absl::Status&)> answer) {
  AskFor(std::move(request),
         [answer = std::move(answer)](const auto& result) { answer(result.status()); });
}

void OperatorProcess::AskFor(
    master::OperatorRequest request,
    std::function<void(const absl::StatusOr<master::OperatorAnswer>&)> answer) {
  auto answered = std::make_shared<bool>(false);
  const auto once =
      [answered, answer = std::move(answer)](const absl::StatusOr<master::OperatorAnswer>& result) {
        if (!std::exchange(*answered, true)) answer(result);
      };
  MasterProcess* master = world_->masters.at(masters_[rng_.Below(masters_.size())]);
  auto wire = world_->network.Connect({this, [once](const absl::Status& s) { once(s); }},
                                      {master, nullptr});
  Later(kCallTimeout, [once] { once(absl::DeadlineExceededError("no answer in time")); });
  if (wire == nullptr) return;
  wire->Send(this, [world = world_, master, wire, once, answered, request = std::move(request)] {
    master->OperatorCall(request, [world, master, wire, once,
                                   answered](const absl::StatusOr<master::OperatorAnswer>& result) {
      if (*answered || !wire->open()) world->faults.Add(Bite::kCallWithoutAnswer);
      wire->Send(master, [once, result] { once(result); });
    });
  });
}

}  // namespace tessera::sim
