#include "services/master/core/operator_flow.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/master/core/agent_settings.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"
#include "services/model/quantities.h"
#include "services/model/role.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status CheckRoleName(const std::string& role, std::set<std::string>* seen,
                           const std::string& field) {
  if (absl::Status status = model::ValidateRole(role); !status.ok()) {
    return rpc::InvalidField(field, std::string(status.message()));
  }
  if (!seen->insert(role).second) {
    return rpc::InvalidField(field, absl::StrCat("role '", role, "' is listed twice"));
  }
  return absl::OkStatus();
}

bool HasCapability(const Agent& agent, pb::AgentInfo::Capability capability) {
  for (int has : agent.info.capabilities()) {
    if (has == capability) return true;
  }
  return false;
}

}  // namespace

void OperatorFlow::Refuse(CallId call, absl::Status status) {
  books_.out.RefuseOperator(call, std::move(status));
}

void OperatorFlow::RefuseUnsupported(CallId call) {
  Refuse(call, NotSupported("this version of the master does not offer this operation"));
}

// ---- weights and quotas -------------------------------------------------------------------------

void OperatorFlow::OnCall(CallId call, const ops::UpdateWeightsRequest& request) {
  std::set<std::string> seen;
  std::vector<reg::Write> writes;
  for (const ops::RoleWeight& weight : request.weights()) {
    if (absl::Status status = CheckRoleName(weight.role(), &seen, "weights.role"); !status.ok()) {
      return Refuse(call, status);
    }
    if (weight.weight_milli() < 1 || weight.weight_milli() > model::kWeightMilliMax) {
      return Refuse(
          call, rpc::InvalidField("weights.weight_milli",
                                  absl::StrCat("must be between 1 and ", model::kWeightMilliMax)));
    }
    reg::Weight record;
    record.set_weight_milli(weight.weight_milli());
    writes.push_back(Put("weights/" + weight.role(), record));
  }
  if (writes.empty() || request.dry_run()) {
    return books_.out.ReplyOperator(call, ops::UpdateWeightsResponse());
  }
  if (!books_.HasRoomForRoles(seen)) return Refuse(call, TooMany("roles"));
  if (books_.registry.full()) return Refuse(call, TooMany("writes of the registry"));
  if (absl::Status queued = books_.registry.Write(std::move(writes), WeightsChanged{call, request});
      !queued.ok()) {
    Refuse(call, queued);
  }
}

void OperatorFlow::OnWeightsChanged(const WeightsChanged& changed) {
  bool in_use = false;
  for (const ops::RoleWeight& weight : changed.request.weights()) {
    Role& role = books_.roles.Get(weight.role());
    role.weight_milli = weight.weight_milli();
    in_use = in_use || role.frameworks > 0;
    books_.allocator_view.WeightSet(weight.role(), weight.weight_milli());
    books_.changed.RoleChanged(weight.role());
  }
  // The new shares hold at once.
  if (in_use) {
    books_.agents.ForEach([this](Agent& agent) { books_.offer_book.RescindOffersOf(agent); });
  }
  books_.out.ReplyOperator(changed.call, ops::UpdateWeightsResponse());
}

absl::Status OperatorFlow::CheckAgainstCluster(const ops::UpdateQuotaRequest& request,
                                               const Quotas& after) {
  const auto insufficient = [](const std::string& what) {
    return rpc::Error(absl::StatusCode::kFailedPrecondition,
                      pb::ErrorDetail::INSUFFICIENT_RESOURCES,
                      absl::StrCat(what, "; `force` sets them all the same"));
  };
  model::Quantities capacity;
  RoleConsumption consumption;
  books_.agents.ForEach([&](const Agent& agent) {
    capacity += model::Quantities::OfScalars(agent.total.NonRevocable());
    consumption.AddTotal(agent.total);
    for (const auto& [framework, resources] : agent.used) consumption.AddUsed(resources);
  });
  const model::Quantities guaranteed = GuaranteedIn(after);
  if (!capacity.Contains(guaranteed)) {
    return insufficient(absl::StrCat("the guarantees come to ", guaranteed.ToString(),
                                     ", the cluster has ", capacity.ToString()));
  }
  for (const ops::QuotaConfig& config : request.configs()) {
    if (config.limits().amounts().empty()) continue;
    const model::Quantities consumed = consumption.Within(config.role());
    for (const auto& [name, limit] : config.limits().amounts()) {
      const model::Scalar has = consumed.Get(name);
      const model::Scalar allowed = model::wire::FromProto(limit);
      if (has <= allowed) continue;
      return insufficient(absl::StrCat("role '", config.role(), "' has ", has.ToString(), " ", name,
                                       " reserved or in use, more than the limit of ",
                                       allowed.ToString()));
    }
  }
  return absl::OkStatus();
}

void OperatorFlow::OnCall(CallId call, const ops::UpdateQuotaRequest& request) {
  if (quota_change_under_way_) {
    return Refuse(call,
                  Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::CONFLICTING_TRANSITION,
                        absl::Milliseconds(200), "another change of quotas is under way"));
  }
  if (request.configs_size() > static_cast<int>(books_.config().commit_writes_max)) {
    return Refuse(call, TooMany("roles in one call"));
  }
  std::set<std::string> seen;
  std::vector<reg::Write> writes;
  Quotas after;
  for (const auto& [name, role] : books_.roles.roles()) {
    if (role.quota.has_value()) after[name] = *role.quota;
  }
  for (const ops::QuotaConfig& config : request.configs()) {
    if (absl::Status status = CheckRoleName(config.role(), &seen, "configs.role"); !status.ok()) {
      return Refuse(call, status);
    }
    for (const auto* quantities : {&config.guarantees(), &config.limits()}) {
      if (absl::Status wrong = model::wire::FromProto(*quantities).status(); !wrong.ok()) {
        return Refuse(call, rpc::InvalidField("configs", std::string(wrong.message())));
      }
    }
    const std::string key = "quotas/" + config.role();
    if (config.guarantees().amounts().empty() && config.limits().amounts().empty()) {
      after.erase(config.role());
      writes.push_back(Delete(key));
    } else {
      reg::Quota& record = after[config.role()];
      *record.mutable_guarantees() = config.guarantees();
      *record.mutable_limits() = config.limits();
      writes.push_back(Put(key, record));
    }
  }
  if (absl::Status status = CheckHierarchy(after, seen); !status.ok()) return Refuse(call, status);
  if (!request.force()) {
    if (absl::Status status = CheckAgainstCluster(request, after); !status.ok()) {
      return Refuse(call, status);
    }
  }
  if (writes.empty() || request.dry_run()) {
    return books_.out.ReplyOperator(call, ops::UpdateQuotaResponse());
  }
  if (!books_.HasRoomForRoles(seen)) return Refuse(call, TooMany("roles"));
  if (books_.registry.full()) return Refuse(call, TooMany("writes of the registry"));
  if (absl::Status queued = books_.registry.Write(std::move(writes), QuotaChanged{call, request});
      !queued.ok()) {
    return Refuse(call, queued);
  }
  quota_change_under_way_ = true;
}

void OperatorFlow::OnQuotaChanged(const QuotaChanged& changed) {
  quota_change_under_way_ = false;
  for (const ops::QuotaConfig& config : changed.request.configs()) {
    const bool was_there = books_.roles.Find(config.role()) != nullptr;
    Role& role = books_.roles.Get(config.role());
    books_.allocator_view.QuotaSet(config.role(), config.guarantees(), config.limits());
    if (config.guarantees().amounts().empty() && config.limits().amounts().empty()) {
      role.quota.reset();
    } else {
      role.quota.emplace();
      *role.quota->mutable_guarantees() = config.guarantees();
      *role.quota->mutable_limits() = config.limits();
    }
    // A role that readers never saw, and that is not there now, is no news.
    if (!books_.roles.DropIfEmpty(config.role()) || was_there) {
      books_.changed.RoleChanged(config.role());
    }
  }
  books_.agents.ForEach([this](Agent& agent) { books_.offer_book.RescindOffersOf(agent); });
  books_.out.ReplyOperator(changed.call, ops::UpdateQuotaResponse());
}

// ---- agents -------------------------------------------------------------------------------------

Agent* OperatorFlow::AgentForChange(CallId call, const std::string& id) {
  Agent* agent = books_.agents.FindById(id);
  if (agent == nullptr || agent->phase == AgentPhase::kAdmitting) {
    Refuse(call, UnknownAgent(id));
    return nullptr;
  }
  if (agent->transition != AgentTransition::kNone) {
    Refuse(call, Conflicting(absl::StrCat("another change of agent ", id, " is under way")));
    return nullptr;
  }
  if (books_.registry.full()) {
    Refuse(call, TooMany("writes of the registry"));
    return nullptr;
  }
  return agent;
}

void OperatorFlow::ChangeSettings(CallId call, Agent& agent, reg::AdmittedAgent settings,
                                  OperatorAnswer answer) {
  if (absl::Status queued = books_.registry.Write(
          {Put("agents/admitted/" + agent.id, settings)},
          AgentSettingsChanged{agent.index, settings, call, std::move(answer)});
      !queued.ok()) {
    if (call.valid()) return Refuse(call, queued);
    books_.out.Note(base::Severity::kError, "the settings of agent ", agent.id,
                    " cannot be kept: ", queued.ToString());
    return;
  }
  agent.transition = AgentTransition::kChangingSettings;
}

void OperatorFlow::OnSettingsChanged(const AgentSettingsChanged& changed) {
  Agent* agent = books_.agents.Find(changed.agent);
  if (agent == nullptr || agent->id != changed.settings.info().id()) {
    if (changed.call.valid()) Refuse(changed.call, UnknownAgent(changed.settings.info().id()));
    return;
  }
  if (agent->transition == AgentTransition::kChangingSettings) {
    agent->transition = AgentTransition::kNone;
  }
  ApplySettings(books_, *agent, changed.settings);
  if (agent->drain.has_value() && agent->drain->state() == pb::DRAIN_STATE_DRAINING) {
    draining_.insert(agent->index);
    if (!HasCapability(*agent, pb::AgentInfo::AGENT_DRAINING)) KillTasksOf(*agent);
  }
  if (changed.call.valid()) {
    books_.out.Push(OperatorReply{changed.call, changed.answer});
  }
}

void OperatorFlow::KillTasksOf(Agent& agent) {
  for (TaskIndex index : agent.tasks) {
    Task& task = *books_.tasks.Find(index);
    std::optional<pb::KillPolicy> policy;
    if (agent.drain->config().has_max_grace_period()) {
      pb::TaskInfo info;
      info.ParseFromString(task.facts->info.bytes());
      const pb::KillPolicy& own = info.kill_policy();
      const absl::Duration cap = DurationOf(agent.drain->config().max_grace_period());
      if (!own.has_grace_period() || DurationOf(own.grace_period()) > cap) {
        policy.emplace();
        *policy->mutable_grace_period() = agent.drain->config().max_grace_period();
      }
    }
    tasks_.Kill(*books_.frameworks.Find(task.framework), task, std::move(policy));
  }
}

void OperatorFlow::OnCall(CallId call, const ops::DrainAgentRequest& request) {
  if (request.has_max_grace_period() &&
      (!IsValid(request.max_grace_period()) ||
       DurationOf(request.max_grace_period()) < absl::ZeroDuration())) {
    return Refuse(call, rpc::InvalidField("max_grace_period", "must not be negative"));
  }
  Agent* agent = AgentForChange(call, request.agent_id());
  if (agent == nullptr) return;
  if (!agent->drain.has_value() && agent->unavailability.has_value()) {
    return Refuse(call, Conflicting(absl::StrCat("agent ", agent->id, " is on a machine of the ",
                                                 "maintenance schedule")));
  }
  if (agent->drain.has_value() || request.dry_run()) {
    return books_.out.ReplyOperator(call, ops::DrainAgentResponse());
  }
  reg::AdmittedAgent settings = RecordOf(*agent);
  settings.set_deactivated(true);
  settings.mutable_drain()->set_state(pb::DRAIN_STATE_DRAINING);
  if (request.has_max_grace_period()) {
    *settings.mutable_drain()->mutable_config()->mutable_max_grace_period() =
        request.max_grace_period();
  }
  settings.mutable_drain()->mutable_config()->set_mark_gone(request.mark_gone());
  SetTime(books_.now(), settings.mutable_drain()->mutable_start_time());
  ChangeSettings(call, *agent, std::move(settings), ops::DrainAgentResponse());
}

void OperatorFlow::OnCall(CallId call, const ops::DeactivateAgentRequest& request) {
  Agent* agent = AgentForChange(call, request.agent_id());
  if (agent == nullptr) return;
  if (agent->deactivated || request.dry_run()) {
    return books_.out.ReplyOperator(call, ops::DeactivateAgentResponse());
  }
  reg::AdmittedAgent settings = RecordOf(*agent);
  settings.set_deactivated(true);
  ChangeSettings(call, *agent, std::move(settings), ops::DeactivateAgentResponse());
}

void OperatorFlow::OnCall(CallId call, const ops::ReactivateAgentRequest& request) {
  Agent* agent = AgentForChange(call, request.agent_id());
  if (agent == nullptr) return;
  if (agent->drain.has_value() && agent->drain->state() != pb::DRAIN_STATE_DRAINED) {
    return Refuse(call, Conflicting(absl::StrCat("agent ", agent->id, " still drains")));
  }
  if ((!agent->deactivated && !agent->drain.has_value()) || request.dry_run()) {
    return books_.out.ReplyOperator(call, ops::ReactivateAgentResponse());
  }
  reg::AdmittedAgent settings = RecordOf(*agent);
  settings.set_deactivated(false);
  settings.clear_drain();
  ChangeSettings(call, *agent, std::move(settings), ops::ReactivateAgentResponse());
}

void OperatorFlow::FinishDrains() {
  for (auto it = draining_.begin(); it != draining_.end();) {
    Agent* agent = books_.agents.Find(*it);
    if (agent == nullptr || !agent->drain.has_value() ||
        agent->drain->state() != pb::DRAIN_STATE_DRAINING) {
      it = draining_.erase(it);
      continue;
    }
    if (!agent->tasks.empty() || !agent->connected() ||
        agent->transition != AgentTransition::kNone) {
      ++it;
      continue;
    }
    it = draining_.erase(it);
    if (agent->drain->config().mark_gone()) {
      losses_.MarkGone(agent->id, AgentRemoval::kGone, CallId());
    } else {
      reg::AdmittedAgent settings = RecordOf(*agent);
      settings.mutable_drain()->set_state(pb::DRAIN_STATE_DRAINED);
      ChangeSettings(CallId(), *agent, std::move(settings), ops::DrainAgentResponse());
    }
  }
}

void OperatorFlow::OnCall(CallId call, const ops::MarkAgentGoneRequest& request) {
  const std::string& id = request.agent_id();
  if (books_.agents.IsGone(id)) {
    return books_.out.ReplyOperator(call, ops::MarkAgentGoneResponse());
  }
  if (!books_.agents.UnreachableSince(id).has_value() && AgentForChange(call, id) == nullptr)
    return;
  if (request.dry_run()) return books_.out.ReplyOperator(call, ops::MarkAgentGoneResponse());
  losses_.MarkGone(id, AgentRemoval::kGone, call);
}

void OperatorFlow::OnMarkedGone(const AgentMarkedGone& marked) {
  if (!books_.agents.IsGone(marked.agent_id)) losses_.OnMarkedGone(marked);
  if (marked.call.valid()) books_.out.ReplyOperator(marked.call, ops::MarkAgentGoneResponse());
}

// ---- frameworks and tasks -----------------------------------------------------------------------

void OperatorFlow::OnCall(CallId call, const ops::TeardownFrameworkRequest& request) {
  if (books_.frameworks.IsCompleted(request.framework_id())) {
    return books_.out.ReplyOperator(call, ops::TeardownFrameworkResponse());
  }
  Framework* framework = books_.frameworks.FindById(request.framework_id());
  if (framework == nullptr || framework->phase == FrameworkPhase::kAdmitting) {
    return Refuse(call, UnknownFramework(request.framework_id()));
  }
  if (request.dry_run()) return books_.out.ReplyOperator(call, ops::TeardownFrameworkResponse());
  framework->operator_teardown_calls.push_back(call);
  sessions_.BeginRemoval(*framework);
}

void OperatorFlow::OnCall(CallId call, const ops::KillTaskRequest& request) {
  Framework* framework = books_.frameworks.FindById(request.framework_id());
  if (framework == nullptr) return Refuse(call, UnknownFramework(request.framework_id()));
  Task* task = books_.task_book.FindTask(*framework, request.task_id());
  if (task == nullptr) {
    return Refuse(call, rpc::Error(absl::StatusCode::kNotFound, pb::ErrorDetail::UNKNOWN_TASK,
                                   absl::StrCat("framework ", framework->id, " has no task '",
                                                request.task_id(), "'")));
  }
  std::optional<pb::KillPolicy> policy;
  if (request.has_grace_period()) {
    if (!IsValid(request.grace_period()) ||
        DurationOf(request.grace_period()) < absl::ZeroDuration()) {
      return Refuse(call, rpc::InvalidField("grace_period", "must not be negative"));
    }
    policy.emplace();
    *policy->mutable_grace_period() = request.grace_period();
  }
  if (!request.dry_run()) tasks_.Kill(*framework, *task, std::move(policy));
  books_.out.ReplyOperator(call, ops::KillTaskResponse());
}

}  // namespace tessera::master
