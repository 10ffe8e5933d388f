#include "cli/read/read_tables.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cli/table.h"

namespace tessera::cli {

namespace {

template <typename Resources>
std::map<std::string, int64_t> Scalars(const Resources& resources) {
  std::map<std::string, int64_t> sums;
  for (const auto& resource : resources) {
    if (resource.has_scalar()) sums[resource.name()] += resource.scalar().milli();
  }
  return sums;
}

// "used/total" of one resource.
template <typename Used, typename Total>
std::string Share(const Used& used, const Total& total, const std::string& name) {
  auto used_sums = Scalars(used);
  auto total_sums = Scalars(total);
  return absl::StrCat(FormatMilli(used_sums[name]), "/", FormatMilli(total_sums[name]));
}

// "cpus:0.5 mem:64".
template <typename Resources>
std::string Amounts(const Resources& resources) {
  std::vector<std::string> parts;
  for (const auto& [name, milli] : Scalars(resources)) {
    parts.push_back(absl::StrCat(name, ":", FormatMilli(milli)));
  }
  return absl::StrJoin(parts, " ");
}

// "connected" for AGENT_STATE_CONNECTED.
std::string Word(const std::string& enum_name, const std::string& prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

std::string AgeOf(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return "-";
  return FormatAge(absl::ToDoubleSeconds(now - absl::FromUnixSeconds(time.seconds())));
}

}  // namespace

std::string AgentsTable(const std::vector<state::v1::AgentView>& agents, absl::Time now) {
  Table table({"ID", "HOSTNAME", "ADDRESS", "STATE", "TASKS", "CPUS", "MEM", "DISK", "SINCE"});
  for (const auto& view : agents) {
    const auto& record = view.agent();
    std::string agent_state = Word(model::v1::AgentState_Name(record.state()), "AGENT_STATE_");
    if (record.has_drain()) {
      agent_state += absl::StrCat(
          " ", Word(model::v1::DrainState_Name(record.drain().state()), "DRAIN_STATE_"));
    } else if (record.deactivated()) {
      agent_state += " deactivated";
    }
    table.Add({record.info().id(), record.info().hostname(), record.info().address(), agent_state,
               absl::StrCat(view.tasks()), Share(view.used(), record.total_resources(), "cpus"),
               Share(view.used(), record.total_resources(), "mem"),
               Share(view.used(), record.total_resources(), "disk"),
               AgeOf(record.registered_time(), now)});
  }
  return table.Format();
}

std::string FrameworksTable(const std::vector<state::v1::FrameworkView>& frameworks,
                            absl::Time now) {
  Table table({"ID", "NAME", "STATE", "ROLES", "TASKS", "ENDED", "USED", "OFFERED", "SINCE"});
  for (const auto& view : frameworks) {
    const auto& record = view.framework();
    table.Add({record.info().id(), record.info().name(),
               Word(model::v1::FrameworkState_Name(record.state()), "FRAMEWORK_STATE_"),
               absl::StrJoin(record.info().roles(), ","), absl::StrCat(view.active_tasks()),
               absl::StrCat(view.completed_tasks()), Amounts(view.used()), Amounts(view.offered()),
               AgeOf(record.registered_time(), now)});
  }
  return table.Format();
}

std::string TasksTable(const std::vector<state::v1::TaskView>& tasks) {
  Table table({"ID", "FRAMEWORK", "AGENT", "STATE", "RESOURCES", "MESSAGE"});
  for (const auto& view : tasks) {
    const auto& task = view.task();
    table.Add({task.info().id(), task.framework_id(), task.agent_id(),
               Word(model::v1::TaskState_Name(task.state()), "TASK_"), Amounts(task.resources()),
               task.statuses().empty() ? "" : task.statuses().rbegin()->message()});
  }
  return table.Format();
}

std::string OffersTable(const std::vector<model::v1::Offer>& offers) {
  Table table({"ID", "FRAMEWORK", "ROLE", "AGENT", "HOSTNAME", "RESOURCES"});
  for (const auto& offer : offers) {
    table.Add({offer.id(), offer.framework_id(), offer.role(), offer.agent_id(), offer.hostname(),
               Amounts(offer.resources())});
  }
  return table.Format();
}

std::string RolesTable(const std::vector<state::v1::RoleView>& roles) {
  Table table({"ROLE", "WEIGHT", "FRAMEWORKS", "ALLOCATED"});
  for (const auto& view : roles) {
    table.Add({view.role().name(), FormatMilli(view.role().weight_milli()),
               absl::StrCat(view.framework_ids_size()), Amounts(view.allocated())});
  }
  return table.Format();
}

std::string ClusterTable(const state::v1::GetClusterResponse& answer) {
  Table table({"CLUSTER", ""});
  table.Add({"name", answer.cluster().cluster_name()});
  table.Add({"master", answer.cluster().address()});
  table.Add({"version", answer.cluster().version()});
  table.Add({"epoch", absl::StrCat(answer.epoch())});
  table.Add({"agents", absl::StrCat(answer.agents_active(), " active, ", answer.agents_inactive(),
                                    " inactive, ", answer.agents_unreachable(), " unreachable")});
  table.Add({"frameworks", absl::StrCat(answer.frameworks_active(), " active, ",
                                        answer.frameworks_inactive(), " inactive")});
  table.Add({"offers", absl::StrCat(answer.offers())});
  const std::map<std::string, uint64_t> tasks(answer.tasks_by_state().begin(),
                                              answer.tasks_by_state().end());
  for (const auto& [task_state, count] : tasks) {
    table.Add({absl::StrCat("tasks ", Word(task_state, "TASK_")), absl::StrCat(count)});
  }
  table.Add({"age of this view", FormatAge(answer.feed_age_seconds())});
  return table.Format();
}

absl::StatusOr<std::map<std::string, int64_t>> ParseWeights(
    const std::vector<std::string>& arguments) {
  std::map<std::string, int64_t> weights;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.rfind('=');
    double weight = 0;
    if (equals == std::string::npos || !absl::SimpleAtod(argument.substr(equals + 1), &weight) ||
        !(weight >= 0.001) || weight > 1e9) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", argument, "\" is malformed: write ROLE=WEIGHT with a weight of at least 0.001"));
    }
    weights[argument.substr(0, equals)] = std::llround(weight * 1000);
  }
  return weights;
}

}  // namespace tessera::cli
