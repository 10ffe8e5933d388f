#include "services/state/json/object_json.h"

#include <map>
#include <utility>
#include <vector>

#include "services/state/json/model_json.h"

namespace tessera::state {
namespace {

const model::Resources& Total(const Agent& agent) {
  static const auto* const none = new model::Resources();
  return agent.total == nullptr ? *none : *agent.total;
}

void WriteAgentCapabilities(const pb::AgentInfo& info, JsonWriter* json) {
  json->StartArray();
  // All agents understand roles; the names tell old clients so.
  WriteString("MULTI_ROLE", json);
  WriteString("HIERARCHICAL_ROLE", json);
  for (const int capability : info.capabilities()) {
    const auto known = static_cast<pb::AgentInfo::Capability>(capability);
    if (capability == 0 || !pb::AgentInfo::Capability_IsValid(capability)) continue;
    WriteString(pb::AgentInfo::Capability_Name(known), json);
  }
  json->EndArray();
}

void WriteFrameworkCapabilities(const pb::FrameworkInfo& info, JsonWriter* json) {
  json->StartArray();
  bool multi_role_told = false;
  for (const int capability : info.capabilities()) {
    const auto known = static_cast<pb::FrameworkInfo::Capability>(capability);
    if (capability == 0 || !pb::FrameworkInfo::Capability_IsValid(capability)) continue;
    if (known > pb::FrameworkInfo::PARTITION_AWARE && !multi_role_told) {
      WriteString("MULTI_ROLE", json);
      multi_role_told = true;
    }
    WriteString(pb::FrameworkInfo::Capability_Name(known), json);
  }
  if (!multi_role_told) WriteString("MULTI_ROLE", json);
  json->EndArray();
}

// The message of the bytes, which is good until the next one of its kind in this thread; nothing is
// set in it when they are none.
template <typename Message>
const Message& Parsed(const std::string& bytes) {
  thread_local Message message;
  if (!message.ParseFromString(bytes)) message.Clear();
  return message;
}

void WriteStatus(const feed::Status& kept, JsonWriter* json) {
  const pb::TaskStatus& status = Parsed<pb::TaskStatus>(kept.bytes);
  json->StartObject();
  Field("state", TaskStateText(kept.state), json);
  Field("timestamp", Seconds(kept.timestamp), json);
  if (status.has_labels()) {
    WriteKey("labels", json);
    WriteLabels(status.labels(), json);
  }
  if (status.has_container_status()) {
    WriteKey("container_status", json);
    WriteContainerStatus(status.container_status(), json);
  }
  if (status.has_healthy()) Field("healthy", status.healthy(), json);
  json->EndObject();
}

void WriteLimits(const google::protobuf::Map<std::string, pb::Scalar>& limits, JsonWriter* json) {
  json->StartObject();
  for (const char* name : {"cpus", "mem"}) {
    const auto found = limits.find(name);
    if (found == limits.end()) continue;
    if (found->second.milli() < 0) {
      Field(name, "Infinity", json);
    } else {
      Field(name, model::Scalar::FromThousandths(found->second.milli()).ToDouble(), json);
    }
  }
  json->EndObject();
}

// The role that resources are allocated to; they all are to the same.
std::string AllocationRole(const model::Resources& resources) {
  return resources.empty() ? ""
                           : resources.begin()->metadata().allocation_role.value_or(std::string());
}

void WriteDrain(const pb::DrainInfo& drain, JsonWriter* json) {
  WriteKey("drain_info", json);
  json->StartObject();
  Field("state", drain.state() == pb::DRAIN_STATE_DRAINED ? "DRAINED" : "DRAINING", json);
  WriteKey("config", json);
  json->StartObject();
  if (drain.config().has_max_grace_period()) {
    WriteKey("max_grace_period", json);
    json->StartObject();
    const auto& period = drain.config().max_grace_period();
    IntegerField("nanoseconds", period.seconds() * 1'000'000'000 + period.nanos(), json);
    json->EndObject();
  }
  Field("mark_gone", drain.config().mark_gone(), json);
  json->EndObject();
  json->EndObject();
}

model::Resources FromQuantities(const pb::Quantities& quantities) {
  std::vector<model::Resource> objects;
  for (const auto& [name, amount] : quantities.amounts()) {
    objects.push_back(
        model::Resource::OfScalar(name, model::Scalar::FromThousandths(amount.milli())));
  }
  return model::Resources(std::move(objects));
}

}  // namespace

void WriteOpenCluster(const Snapshot& snapshot, const PublicAddress& address, JsonWriter* json) {
  static const auto* const none = new v1::ClusterRecord();
  const v1::ClusterRecord& cluster = snapshot.cluster == nullptr ? *none : *snapshot.cluster;
  uint32_t activated = 0;
  uint32_t deactivated = 0;
  snapshot.agents.ForEach([&](const auto& entry) {
    if (!entry.value.listed()) return;
    ++(entry.value.record->active() ? activated : deactivated);
  });
  const std::string pid = "master@" + cluster.address();
  json->StartObject();
  Field("version", cluster.version(), json);
  Field("build_date", cluster.build_date(), json);
  Field("build_user", cluster.build_user(), json);
  Field("build_time", cluster.build_time(), json);
  Field("start_time", cluster.start_time(), json);
  if (cluster.elected_time() != 0) Field("elected_time", cluster.elected_time(), json);
  Field("id", cluster.master_id(), json);
  Field("pid", pid, json);
  Field("hostname", cluster.hostname(), json);
  WriteKey("capabilities", json);
  json->StartArray();
  for (const std::string& capability : cluster.capabilities()) WriteString(capability, json);
  json->EndArray();
  Field("activated_slaves", static_cast<double>(activated), json);
  Field("deactivated_slaves", static_cast<double>(deactivated), json);
  Field("unreachable_slaves",
        static_cast<double>(snapshot.agent_counts[pb::AGENT_STATE_UNREACHABLE]), json);
  if (cluster.has_domain()) {
    WriteKey("domain", json);
    WriteDomain(cluster.domain(), json);
  }
  Field("leader", pid, json);
  WriteKey("leader_info", json);
  json->StartObject();
  Field("id", cluster.master_id(), json);
  Field("pid", pid, json);
  IntegerField("port", address.port, json);
  Field("hostname", address.hostname, json);
  if (cluster.has_domain()) {
    WriteKey("domain", json);
    WriteDomain(cluster.domain(), json);
  }
  json->EndObject();
  if (!cluster.cluster_name().empty()) Field("cluster", cluster.cluster_name(), json);
  for (const char* name : {"log_dir", "external_log_file"}) {
    const auto found = cluster.flags().find(name);
    if (found != cluster.flags().end() && !found->second.empty()) {
      Field(name, found->second, json);
    }
  }
  WriteKey("flags", json);
  json->StartObject();
  const std::map<std::string, std::string> flags(cluster.flags().begin(), cluster.flags().end());
  for (const auto& [name, value] : flags) Field(name, value, json);
  json->EndObject();
}

void WriteRole(const Snapshot& snapshot, const std::string& name, const Role& role,
               JsonWriter* json) {
  const model::Resources allocated = feed::AllocatedToRole(snapshot, name);
  json->StartObject();
  WriteKey("frameworks", json);
  json->StartArray();
  role.frameworks.ForEach([&](const auto& framework) { WriteString(framework.key, json); });
  json->EndArray();
  Field("name", name, json);
  if (role.record != nullptr &&
      (!role.record->guarantees().amounts().empty() || !role.record->limits().amounts().empty())) {
    WriteKey("quota", json);
    json->StartObject();
    WriteKey("guarantee", json);
    WriteSortedSummary(FromQuantities(role.record->guarantees()), json);
    WriteKey("limit", json);
    WriteSortedSummary(FromQuantities(role.record->limits()), json);
    Field("role", name, json);
    json->EndObject();
  }
  WriteKey("resources", json);
  WriteSortedSummary(allocated, json);
  Field("weight",
        role.record == nullptr || role.record->weight_milli() == 0
            ? 1.0
            : role.record->weight_milli() / 1000.0,
        json);
  json->EndObject();
}

void WriteOffer(const feed::OfferRow& offer, JsonWriter* json) {
  json->StartObject();
  Field("id", offer.id, json);
  Field("framework_id", offer.framework_id, json);
  WriteKey("allocation_info", json);
  json->StartObject();
  Field("role", offer.role, json);
  json->EndObject();
  Field("slave_id", offer.agent_id, json);
  WriteKey("resources", json);
  WriteSummary(offer.resources, json);
  json->EndObject();
}

void WriteExecutor(const feed::ExecutorRow& executor, JsonWriter* json) {
  const pb::ExecutorInfo& info = Parsed<pb::ExecutorInfo>(executor.info.bytes());
  json->StartObject();
  Field("executor_id", executor.executor_id, json);
  Field("name", info.name(), json);
  Field("framework_id", executor.framework_id, json);
  WriteKey("command", json);
  WriteCommand(info.command(), json);
  WriteKey("resources", json);
  WriteSummary(executor.resources, json);
  if (!executor.resources.empty()) Field("role", AllocationRole(executor.resources), json);
  if (info.has_labels()) {
    WriteKey("labels", json);
    WriteLabels(info.labels(), json);
  }
  if (info.type() == pb::ExecutorInfo::DEFAULT) Field("type", "DEFAULT", json);
  if (info.type() == pb::ExecutorInfo::CUSTOM) Field("type", "CUSTOM", json);
  Field("slave_id", executor.agent_id, json);
  json->EndObject();
}

void WriteOpenAgent(const Agent& agent, JsonWriter* json) {
  const pb::AgentRecord& record = *agent.record;
  const pb::AgentInfo& info = record.info();
  const std::string& address = info.http_address().empty() ? info.address() : info.http_address();
  json->StartObject();
  Field("id", info.id(), json);
  Field("hostname", info.hostname(), json);
  IntegerField("port", PortOf(address), json);
  WriteKey("attributes", json);
  WriteAttributes(info.attributes(), json);
  if (info.has_domain()) {
    WriteKey("domain", json);
    WriteDomain(info.domain(), json);
  }
  Field("pid", "slave(1)@" + address, json);
  Field("registered_time", Seconds(record.registered_time()), json);
  if (record.has_reregistered_time()) {
    Field("reregistered_time", Seconds(record.reregistered_time()), json);
  }
  WriteKey("resources", json);
  WriteSummary(Total(agent), json);
  WriteKey("used_resources", json);
  WriteSummary(agent.used, json);
  WriteKey("offered_resources", json);
  WriteSummary(agent.offered, json);
  WriteKey("reserved_resources", json);
  WriteReserved(Total(agent), json);
  WriteKey("unreserved_resources", json);
  WriteSummary(Total(agent).Unreserved(), json);
  Field("active", record.active(), json);
  Field("version", info.version(), json);
  WriteKey("capabilities", json);
  WriteAgentCapabilities(info, json);
  Field("deactivated", record.deactivated(), json);
  if (record.has_drain()) {
    WriteDrain(record.drain(), json);
    Field("estimated_drain_start_time_seconds", Seconds(record.drain().start_time()), json);
  }
}

void WriteRecoveredAgent(const Agent& agent, JsonWriter* json) {
  const pb::AgentInfo& info = agent.record->info();
  json->StartObject();
  Field("id", info.id(), json);
  Field("hostname", info.hostname(), json);
  IntegerField("port", PortOf(info.http_address().empty() ? info.address() : info.http_address()),
               json);
  WriteKey("attributes", json);
  WriteAttributes(info.attributes(), json);
  if (info.has_domain()) {
    WriteKey("domain", json);
    WriteDomain(info.domain(), json);
  }
  json->EndObject();
}

void WriteTask(const TaskRow& task, JsonWriter* json) {
  const feed::TaskFacts& facts = *task.facts;
  const pb::TaskInfo& info = Parsed<pb::TaskInfo>(facts.info.bytes());
  json->StartObject();
  Field("id", facts.task_id, json);
  Field("name", info.name(), json);
  Field("framework_id", facts.framework_id, json);
  Field("executor_id", facts.executor_id, json);
  Field("slave_id", facts.agent_id, json);
  Field("state", TaskStateText(task.state), json);
  WriteKey("resources", json);
  WriteSummary(facts.resources, json);
  if (!info.limits().empty()) {
    WriteKey("limits", json);
    WriteLimits(info.limits(), json);
  }
  Field("role", AllocationRole(facts.resources), json);
  WriteKey("statuses", json);
  json->StartArray();
  for (const feed::StatusPtr& status : task.statuses) WriteStatus(*status, json);
  json->EndArray();
  if (info.command().has_user()) Field("user", info.command().user(), json);
  if (info.has_labels()) {
    WriteKey("labels", json);
    WriteLabels(info.labels(), json);
  }
  if (info.has_discovery()) {
    WriteKey("discovery", json);
    WriteDiscovery(info.discovery(), json);
  }
  if (info.has_container()) {
    WriteKey("container", json);
    WriteContainer(info.container(), json);
  }
  if (info.has_health_check()) {
    WriteKey("health_check", json);
    WriteHealthCheck(info.health_check(), json);
  }
  json->EndObject();
}

void WriteOpenFrameworkSummary(const Framework& framework, JsonWriter* json) {
  const pb::FrameworkInfo& info = Parsed<pb::FrameworkInfo>(framework.row->info.bytes());
  const pb::FrameworkState state = framework.row->state;
  json->StartObject();
  Field("id", framework.id(), json);
  Field("name", info.name(), json);
  WriteKey("used_resources", json);
  WriteSummary(framework.Used(), json);
  WriteKey("offered_resources", json);
  WriteSummary(framework.Offered(), json);
  WriteKey("capabilities", json);
  WriteFrameworkCapabilities(info, json);
  Field("hostname", info.hostname(), json);
  Field("webui_url", info.webui_url(), json);
  Field("active", state == pb::FRAMEWORK_STATE_ACTIVE, json);
  Field("connected", state == pb::FRAMEWORK_STATE_ACTIVE, json);
  Field("recovered", state == pb::FRAMEWORK_STATE_RECOVERED, json);
}

void WriteFrameworkRest(const Framework& framework, JsonWriter* json) {
  const feed::FrameworkRow& row = *framework.row;
  const pb::FrameworkInfo& info = Parsed<pb::FrameworkInfo>(row.info.bytes());
  Field("user", info.user(), json);
  Field("failover_timeout", Seconds(info.failover_timeout()), json);
  Field("checkpoint", info.checkpoint(), json);
  Field("registered_time", Seconds(row.registered_time), json);
  Field("unregistered_time", Seconds(row.unregistered_time), json);
  if (info.has_principal()) Field("principal", info.principal(), json);
  WriteKey("resources", json);
  WriteSummary(framework.Used() + framework.Offered(), json);
  if (row.reregistered_time != absl::InfinitePast() &&
      row.reregistered_time != row.registered_time) {
    Field("reregistered_time", Seconds(row.reregistered_time), json);
  }
  WriteKey("roles", json);
  json->StartArray();
  for (const std::string& role : row.roles) WriteString(role, json);
  json->EndArray();
}

void WriteFrameworkTail(const Framework& framework, JsonWriter* json) {
  WriteKey("offers", json);
  json->StartArray();
  framework.offers.ForEach([&](const auto& entry) { WriteOffer(*entry.value, json); });
  json->EndArray();
  WriteKey("executors", json);
  json->StartArray();
  framework.executors.ForEach([&](const auto& entry) { WriteExecutor(*entry.value, json); });
  json->EndArray();
  const pb::FrameworkInfo& info = Parsed<pb::FrameworkInfo>(framework.row->info.bytes());
  if (info.has_labels()) {
    WriteKey("labels", json);
    WriteLabels(info.labels(), json);
  }
}

void WriteTaskCounts(const TaskCounts& counts, JsonWriter* json) {
  for (const pb::TaskState state :
       {pb::TASK_STAGING, pb::TASK_STARTING, pb::TASK_RUNNING, pb::TASK_KILLING, pb::TASK_FINISHED,
        pb::TASK_KILLED, pb::TASK_FAILED, pb::TASK_LOST, pb::TASK_ERROR, pb::TASK_UNREACHABLE}) {
    IntegerField(TaskStateText(state), counts[state], json);
  }
}

}  // namespace tessera::state
