#include "services/master/core/launch_request.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/master/core/times.h"
#include "services/model/ids.h"
#include "services/model/wire/description.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status CheckDuration(const google::protobuf::Duration& duration, const std::string& what) {
  if (!IsValid(duration) || DurationOf(duration) < absl::ZeroDuration()) {
    return Wrong(absl::StrCat(what, " must not be negative"));
  }
  return absl::OkStatus();
}

absl::Status CheckHealthCheck(const pb::HealthCheck& check, const std::string& what) {
  switch (check.probe_case()) {
    case pb::HealthCheck::kCommand:
      if (check.command().value().empty()) return Wrong(absl::StrCat(what, ": an empty command"));
      break;
    case pb::HealthCheck::kHttp:
      if (check.http().port() == 0 || check.http().port() > 65535) {
        return Wrong(absl::StrCat(what, ": the port must be between 1 and 65535"));
      }
      break;
    case pb::HealthCheck::kTcp:
      if (check.tcp().port() == 0 || check.tcp().port() > 65535) {
        return Wrong(absl::StrCat(what, ": the port must be between 1 and 65535"));
      }
      break;
    case pb::HealthCheck::PROBE_NOT_SET:
      return Wrong(absl::StrCat(what, ": has no probe"));
  }
  RETURN_IF_ERROR(CheckDuration(check.delay(), absl::StrCat(what, ".delay")));
  RETURN_IF_ERROR(CheckDuration(check.interval(), absl::StrCat(what, ".interval")));
  RETURN_IF_ERROR(CheckDuration(check.timeout(), absl::StrCat(what, ".timeout")));
  return CheckDuration(check.grace_period(), absl::StrCat(what, ".grace_period"));
}

absl::Status CheckCommand(const pb::CommandInfo& command) {
  if (command.value().empty()) return Wrong("the command has no value");
  if (absl::StrContains(command.value(), '\0')) return Wrong("the command holds a zero byte");
  for (const auto& variable : command.environment()) {
    if (variable.name().empty() || absl::StrContains(variable.name(), '=') ||
        absl::StrContains(variable.name(), '\0') || absl::StrContains(variable.value(), '\0')) {
      return Wrong(absl::StrCat("the environment variable '", variable.name(), "' is malformed"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckContainer(const pb::ContainerInfo& container) {
  for (const pb::Volume& volume : container.volumes()) {
    if (volume.source_case() == pb::Volume::SOURCE_NOT_SET) {
      return Wrong(absl::StrCat("the volume at '", volume.container_path(), "' has no source"));
    }
    if (volume.container_path().empty()) return Wrong("a volume has no container_path");
    if (volume.mode() == pb::Volume::MODE_UNSPECIFIED) {
      return Wrong(absl::StrCat("the volume at '", volume.container_path(), "' has no mode"));
    }
  }
  if (container.has_image() && (container.image().type() == pb::Image::TYPE_UNSPECIFIED ||
                                container.image().reference().empty())) {
    return Wrong("the image needs a type and a reference");
  }
  return absl::OkStatus();
}

absl::StatusOr<model::Resources> ReadResources(const model::wire::ResourceMessages& messages,
                                               const std::string& what) {
  auto resources = model::wire::FromProto(messages);
  if (!resources.ok()) return Wrong(absl::StrCat(what, ": ", resources.status().message()));
  for (const model::Resource& resource : *resources) {
    if (resource.name() == "gpus" && !resource.scalar().IsWhole()) {
      return Wrong(absl::StrCat(what, ": gpus must be a whole number"));
    }
    if (!resource.IsRevocable()) continue;
    for (const model::Resource& other : *resources) {
      if (other.name() == resource.name() && !other.IsRevocable()) {
        return Wrong(absl::StrCat(what, ": '", resource.name(), "' is both revocable and not"));
      }
    }
  }
  return resources;
}

absl::Status CheckExecutor(const pb::ExecutorInfo& executor, model::Resources* resources) {
  RETURN_IF_ERROR(model::ValidateId("executor id", executor.id()));
  switch (executor.type()) {
    case pb::ExecutorInfo::DEFAULT:
      if (executor.has_command()) return Wrong("a DEFAULT executor has no command");
      if (executor.has_container() && executor.container().has_image()) {
        return Wrong("a DEFAULT executor has no image");
      }
      break;
    case pb::ExecutorInfo::CUSTOM:
      if (!executor.has_command()) return Wrong("a CUSTOM executor needs a command");
      RETURN_IF_ERROR(CheckCommand(executor.command()));
      break;
    default:
      return Wrong("the executor's type is missing or unknown");
  }
  if (executor.has_shutdown_grace_period()) {
    RETURN_IF_ERROR(CheckDuration(executor.shutdown_grace_period(), "shutdown_grace_period"));
  }
  if (executor.has_container()) RETURN_IF_ERROR(CheckContainer(executor.container()));
  ASSIGN_OR_RETURN(*resources, ReadResources(executor.resources(), "the executor's resources"));
  if (!resources->Shared().empty()) return Wrong("an executor cannot use shared resources");
  return absl::OkStatus();
}

absl::Status CheckTask(const pb::TaskInfo& task, model::Resources* resources) {
  RETURN_IF_ERROR(model::ValidateId("task id", task.id()));
  if (task.has_kill_policy() && task.kill_policy().has_grace_period()) {
    RETURN_IF_ERROR(CheckDuration(task.kill_policy().grace_period(), "kill_policy.grace_period"));
  }
  if (task.has_max_completion_time()) {
    RETURN_IF_ERROR(CheckDuration(task.max_completion_time(), "max_completion_time"));
  }
  if (task.has_check()) RETURN_IF_ERROR(CheckHealthCheck(task.check(), "check"));
  if (task.has_health_check()) {
    RETURN_IF_ERROR(CheckHealthCheck(task.health_check(), "health_check"));
  }
  if (task.has_command()) RETURN_IF_ERROR(CheckCommand(task.command()));
  if (task.has_container()) RETURN_IF_ERROR(CheckContainer(task.container()));
  ASSIGN_OR_RETURN(*resources, ReadResources(task.resources(), "the task's resources"));
  if (resources->empty()) return Wrong("the task uses no resources");
  for (const auto& [name, limit] : task.limits()) {
    if (name != "cpus" && name != "mem") {
      return Wrong(absl::StrCat("limits are for cpus and mem, not for '", name, "'"));
    }
    if (limit.milli() >= 0 && limit.milli() < resources->SumOf(name).thousandths()) {
      return Wrong(absl::StrCat("the limit of ", name, " is below the request"));
    }
  }
  return absl::OkStatus();
}

// The bytes of the message, and the same without its field `data`.
template <typename Message>
void Describe(const Message& message, model::Description* info, model::Description* shown) {
  *info = model::wire::Describe(message);
  *shown = *info;
  if (message.data().empty()) return;
  auto without = model::wire::WithoutField(info->bytes(), Message::kDataFieldNumber);
  // What was written just now can be read.
  if (without.ok()) *shown = model::Description(*std::move(without));
}

template <typename Message>
absl::Status CheckReadable(const std::string& bytes, Message* message, const char* field) {
  if (message->ParseFromString(bytes)) return absl::OkStatus();
  return rpc::InvalidField(field, "cannot be read");
}

}  // namespace

ExecutorRequest ReadExecutor(const pb::ExecutorInfo& executor) {
  ExecutorRequest read;
  read.id = executor.id();
  read.framework_id = executor.framework_id();
  read.type = executor.type();
  read.wrong = CheckExecutor(executor, &read.resources);
  Describe(executor, &read.info, &read.shown);
  return read;
}

TaskRequest ReadTask(const pb::TaskInfo& task) {
  TaskRequest read;
  read.id = task.id();
  read.agent_id = task.agent_id();
  read.has_command = task.has_command();
  read.wrong = CheckTask(task, &read.resources);
  if (task.has_executor()) read.executor = ReadExecutor(task.executor());
  Describe(task, &read.info, &read.shown);
  return read;
}

AcceptOffers ReadAcceptOffers(const sched::AcceptOffersRequest& request) {
  AcceptOffers read;
  read.session = request.session();
  read.offer_ids = {request.offer_ids().begin(), request.offer_ids().end()};
  read.filters = request.filters();
  read.operations.reserve(request.operations_size());
  for (const pb::Operation& operation : request.operations()) {
    OperationRequest& own = read.operations.emplace_back();
    own.kind = operation.kind_case();
    own.has_id = !operation.id().empty();
    if (operation.has_launch()) {
      own.tasks.reserve(operation.launch().tasks_size());
      for (const pb::TaskInfo& task : operation.launch().tasks()) {
        own.tasks.push_back(ReadTask(task));
      }
    } else if (operation.has_launch_group()) {
      own.executor = ReadExecutor(operation.launch_group().executor());
      own.tasks.reserve(operation.launch_group().group().tasks_size());
      for (const pb::TaskInfo& task : operation.launch_group().group().tasks()) {
        own.tasks.push_back(ReadTask(task));
      }
    }
  }
  return read;
}

bool SameExecutor(const model::Description& left, const model::Description& right) {
  if (left == right) return true;
  pb::ExecutorInfo one;
  pb::ExecutorInfo other;
  if (!one.ParseFromString(left.bytes()) || !other.ParseFromString(right.bytes())) return false;
  for (pb::ExecutorInfo* info : {&one, &other}) {
    info->clear_framework_id();
    info->clear_resources();
    info->clear_data();
  }
  return model::wire::Describe(one) == model::wire::Describe(other);
}

absl::Status CheckDescriptions(const link::ConnectRequest& batch) {
  // Read into one message each: their memory is used again.
  pb::FrameworkInfo framework;
  pb::TaskInfo task;
  pb::ExecutorInfo executor;
  for (const link::AgentMessage& message : batch.messages()) {
    if (!message.has_inventory()) continue;
    for (const std::string& bytes : message.inventory().frameworks()) {
      RETURN_IF_ERROR(CheckReadable(bytes, &framework, "inventory.frameworks"));
    }
    for (const link::TaskEntry& entry : message.inventory().tasks()) {
      RETURN_IF_ERROR(CheckReadable(entry.info(), &task, "inventory.tasks.info"));
    }
    for (const link::ExecutorEntry& entry : message.inventory().executors()) {
      RETURN_IF_ERROR(CheckReadable(entry.info(), &executor, "inventory.executors.info"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::master
