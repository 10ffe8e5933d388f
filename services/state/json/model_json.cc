#include "services/state/json/model_json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "services/model/task_state.h"

namespace tessera::state {
namespace {

// All resources of one name, revocable ones apart.
struct Item {
  const std::string* name;
  bool revocable;
  model::ResourceKind kind;
  model::Scalar scalar;
  model::Ranges ranges;
  model::StringSet set;
};

std::vector<Item> AddUp(const model::Resources& resources) {
  std::vector<Item> items;
  items.reserve(resources.size());
  for (const model::Resource& object : resources) {
    auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) {
      return *item.name == object.name() && item.revocable == object.IsRevocable();
    });
    if (found == items.end()) {
      items.push_back({&object.name(), object.IsRevocable(), object.kind(), {}, {}, {}});
      found = items.end() - 1;
    }
    switch (object.kind()) {
      case model::ResourceKind::kScalar:
        found->scalar += object.scalar();
        break;
      case model::ResourceKind::kRanges:
        found->ranges += object.ranges();
        break;
      case model::ResourceKind::kSet:
        found->set += object.set();
        break;
    }
  }
  return items;
}

void WriteItem(const Item& item, std::string_view key, JsonWriter* json) {
  switch (item.kind) {
    case model::ResourceKind::kScalar:
      return Field(key, item.scalar.ToDouble(), json);
    case model::ResourceKind::kRanges:
      return Field(key, item.ranges.ToString(), json);
    case model::ResourceKind::kSet:
      return Field(key, item.set.ToString(), json);
  }
}

constexpr std::string_view kAlways[] = {"cpus", "gpus", "mem", "disk"};

bool IsAlways(const std::string& name) {
  return std::find(std::begin(kAlways), std::end(kAlways), name) != std::end(kAlways);
}

void WriteLabelList(const pb::Labels& labels, JsonWriter* json) {
  json->StartObject();
  WriteKey("labels", json);
  WriteLabels(labels, json);
  json->EndObject();
}

void WriteStrings(const google::protobuf::RepeatedPtrField<std::string>& items, JsonWriter* json) {
  json->StartArray();
  for (const std::string& item : items) WriteString(item, json);
  json->EndArray();
}

void WriteImage(const pb::Image& image, JsonWriter* json) {
  json->StartObject();
  if (image.type() == pb::Image::DOCKER) {
    Field("type", "DOCKER", json);
    WriteKey("docker", json);
    json->StartObject();
    Field("name", image.reference(), json);
    json->EndObject();
  } else {
    Field("type", "APPC", json);
    WriteKey("appc", json);
    json->StartObject();
    Field("name", image.reference(), json);
    json->EndObject();
  }
  Field("cached", image.cached(), json);
  json->EndObject();
}

void WriteNetworks(const google::protobuf::RepeatedPtrField<pb::NetworkInfo>& networks,
                   JsonWriter* json) {
  json->StartArray();
  for (const pb::NetworkInfo& network : networks) {
    json->StartObject();
    if (!network.ip_addresses().empty()) {
      WriteKey("ip_addresses", json);
      json->StartArray();
      for (const std::string& address : network.ip_addresses()) {
        json->StartObject();
        Field("protocol", address.find(':') == std::string::npos ? "IPv4" : "IPv6", json);
        Field("ip_address", address, json);
        json->EndObject();
      }
      json->EndArray();
    }
    if (!network.name().empty()) Field("name", network.name(), json);
    if (!network.groups().empty()) {
      WriteKey("groups", json);
      WriteStrings(network.groups(), json);
    }
    if (network.has_labels()) {
      WriteKey("labels", json);
      WriteLabelList(network.labels(), json);
    }
    if (!network.port_mappings().empty()) {
      WriteKey("port_mappings", json);
      json->StartArray();
      for (const pb::PortMapping& mapping : network.port_mappings()) {
        json->StartObject();
        IntegerField("host_port", mapping.host_port(), json);
        IntegerField("container_port", mapping.container_port(), json);
        if (!mapping.protocol().empty()) Field("protocol", mapping.protocol(), json);
        json->EndObject();
      }
      json->EndArray();
    }
    json->EndObject();
  }
  json->EndArray();
}

void WriteVolume(const pb::Volume& volume, JsonWriter* json) {
  json->StartObject();
  Field("mode", volume.mode() == pb::Volume::READ_ONLY ? "RO" : "RW", json);
  Field("container_path", volume.container_path(), json);
  switch (volume.source_case()) {
    case pb::Volume::kHostPath:
      Field("host_path", volume.host_path(), json);
      break;
    case pb::Volume::kImage:
      WriteKey("image", json);
      WriteImage(volume.image(), json);
      break;
    case pb::Volume::kParentSandboxPath:
      WriteKey("source", json);
      json->StartObject();
      Field("type", "SANDBOX_PATH", json);
      WriteKey("sandbox_path", json);
      json->StartObject();
      Field("type", "PARENT", json);
      Field("path", volume.parent_sandbox_path(), json);
      json->EndObject();
      json->EndObject();
      break;
    case pb::Volume::SOURCE_NOT_SET:
      break;
  }
  json->EndObject();
}

void WriteCapabilities(std::string_view key,
                       const google::protobuf::RepeatedPtrField<std::string>& names,
                       JsonWriter* json) {
  if (names.empty()) return;
  WriteKey(key, json);
  json->StartObject();
  WriteKey("capabilities", json);
  WriteStrings(names, json);
  json->EndObject();
}

void WriteLinux(const pb::LinuxInfo& info, JsonWriter* json) {
  json->StartObject();
  WriteCapabilities("bounding_capabilities", info.bounding_capabilities(), json);
  WriteCapabilities("effective_capabilities", info.effective_capabilities(), json);
  Field("share_pid_namespace", info.share_pid_namespace(), json);
  if (info.has_seccomp_profile()) {
    WriteKey("seccomp", json);
    json->StartObject();
    Field("profile_name", info.seccomp_profile(), json);
    json->EndObject();
  }
  if (info.has_share_cgroups()) Field("share_cgroups", info.share_cgroups(), json);
  json->EndObject();
}

void WriteEnvironment(const pb::CommandInfo& command, JsonWriter* json) {
  json->StartObject();
  WriteKey("variables", json);
  json->StartArray();
  for (const pb::EnvironmentVariable& variable : command.environment()) {
    json->StartObject();
    Field("name", variable.name(), json);
    Field("type", "VALUE", json);
    Field("value", variable.value(), json);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

}  // namespace

void WriteSummary(const model::Resources& resources, JsonWriter* json) {
  const std::vector<Item> items = AddUp(resources);
  json->StartObject();
  for (const std::string_view name : kAlways) {
    const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) {
      return !item.revocable && *item.name == name;
    });
    if (found == items.end()) {
      Field(name, 0.0, json);
    } else {
      WriteItem(*found, name, json);
    }
  }
  for (const Item& item : items) {
    if (!item.revocable && !IsAlways(*item.name)) WriteItem(item, *item.name, json);
  }
  for (const Item& item : items) {
    if (item.revocable) WriteItem(item, *item.name + "_revocable", json);
  }
  json->EndObject();
}

void WriteSortedSummary(const model::Resources& resources, JsonWriter* json) {
  const std::vector<Item> items = AddUp(resources);
  std::set<std::string> keys(std::begin(kAlways), std::end(kAlways));
  for (const Item& item : items) keys.insert(*item.name + (item.revocable ? "_revocable" : ""));
  json->StartObject();
  for (const std::string& key : keys) {
    const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) {
      return *item.name + (item.revocable ? "_revocable" : "") == key;
    });
    if (found == items.end() ||
        (found->kind == model::ResourceKind::kScalar && found->scalar.IsZero())) {
      IntegerField(key, 0, json);
    } else {
      WriteItem(*found, key, json);
    }
  }
  json->EndObject();
}

void WriteReserved(const model::Resources& resources, JsonWriter* json) {
  json->StartObject();
  for (const auto& [role, reserved] : resources.Reserved().ByReservationRole()) {
    WriteKey(role, json);
    WriteSummary(reserved, json);
  }
  json->EndObject();
}

void WriteAttributes(const google::protobuf::RepeatedPtrField<pb::Attribute>& attributes,
                     JsonWriter* json) {
  std::set<std::string_view> seen;
  json->StartObject();
  for (const pb::Attribute& attribute : attributes) {
    if (!seen.insert(attribute.name()).second) continue;
    switch (attribute.value_case()) {
      case pb::Attribute::kScalar:
        Field(attribute.name(),
              model::Scalar::FromThousandths(attribute.scalar().milli()).ToDouble(), json);
        break;
      case pb::Attribute::kRanges: {
        std::vector<model::Interval> intervals;
        for (const pb::Range& range : attribute.ranges().range()) {
          intervals.push_back({range.begin(), range.end()});
        }
        Field(attribute.name(), model::Ranges::UnionOf(std::move(intervals)).ToString(), json);
        break;
      }
      case pb::Attribute::kSet: {
        std::string text = "{";
        for (const std::string& item : attribute.set().item()) {
          text += (text.size() > 1 ? ", " : "") + item;
        }
        Field(attribute.name(), text + "}", json);
        break;
      }
      case pb::Attribute::kText:
      case pb::Attribute::VALUE_NOT_SET:
        Field(attribute.name(), attribute.text(), json);
        break;
    }
  }
  json->EndObject();
}

void WriteDomain(const pb::FaultDomain& domain, JsonWriter* json) {
  json->StartObject();
  WriteKey("fault_domain", json);
  json->StartObject();
  WriteKey("region", json);
  json->StartObject();
  Field("name", domain.region(), json);
  json->EndObject();
  WriteKey("zone", json);
  json->StartObject();
  Field("name", domain.zone(), json);
  json->EndObject();
  json->EndObject();
  json->EndObject();
}

void WriteLabels(const pb::Labels& labels, JsonWriter* json) {
  json->StartArray();
  for (const pb::Label& label : labels.label()) {
    json->StartObject();
    Field("key", label.key(), json);
    if (label.has_value()) Field("value", label.value(), json);
    json->EndObject();
  }
  json->EndArray();
}

void WriteCommand(const pb::CommandInfo& command, JsonWriter* json) {
  json->StartObject();
  Field("shell", command.shell(), json);
  if (!command.value().empty()) Field("value", command.value(), json);
  WriteKey("argv", json);
  WriteStrings(command.arguments(), json);
  if (!command.environment().empty()) {
    WriteKey("environment", json);
    WriteEnvironment(command, json);
  }
  WriteKey("uris", json);
  json->StartArray();
  for (const pb::Uri& uri : command.uris()) {
    json->StartObject();
    Field("value", uri.value(), json);
    Field("executable", uri.executable(), json);
    json->EndObject();
  }
  json->EndArray();
  json->EndObject();
}

void WriteDiscovery(const pb::Discovery& discovery, JsonWriter* json) {
  json->StartObject();
  if (!discovery.visibility().empty()) Field("visibility", discovery.visibility(), json);
  if (!discovery.name().empty()) Field("name", discovery.name(), json);
  if (!discovery.environment().empty()) Field("environment", discovery.environment(), json);
  if (!discovery.location().empty()) Field("location", discovery.location(), json);
  if (!discovery.version().empty()) Field("version", discovery.version(), json);
  if (!discovery.ports().empty()) {
    WriteKey("ports", json);
    json->StartObject();
    WriteKey("ports", json);
    json->StartArray();
    for (const pb::Discovery::Port& port : discovery.ports()) {
      json->StartObject();
      IntegerField("number", port.number(), json);
      if (!port.name().empty()) Field("name", port.name(), json);
      if (!port.protocol().empty()) Field("protocol", port.protocol(), json);
      if (port.has_labels()) {
        WriteKey("labels", json);
        WriteLabelList(port.labels(), json);
      }
      json->EndObject();
    }
    json->EndArray();
    json->EndObject();
  }
  if (discovery.has_labels()) {
    WriteKey("labels", json);
    WriteLabelList(discovery.labels(), json);
  }
  json->EndObject();
}

void WriteContainer(const pb::ContainerInfo& container, JsonWriter* json) {
  json->StartObject();
  Field("type", "MESOS", json);
  if (!container.volumes().empty()) {
    WriteKey("volumes", json);
    json->StartArray();
    for (const pb::Volume& volume : container.volumes()) WriteVolume(volume, json);
    json->EndArray();
  }
  if (container.has_hostname()) Field("hostname", container.hostname(), json);
  if (container.has_image()) {
    WriteKey("mesos", json);
    json->StartObject();
    WriteKey("image", json);
    WriteImage(container.image(), json);
    json->EndObject();
  }
  if (!container.networks().empty()) {
    WriteKey("network_infos", json);
    WriteNetworks(container.networks(), json);
  }
  if (container.has_linux_info()) {
    WriteKey("linux_info", json);
    WriteLinux(container.linux_info(), json);
  }
  if (!container.rlimits().empty()) {
    WriteKey("rlimit_info", json);
    json->StartObject();
    WriteKey("rlimits", json);
    json->StartArray();
    for (const pb::ContainerInfo::Rlimit& limit : container.rlimits()) {
      json->StartObject();
      Field("type", limit.type(), json);
      if (limit.has_hard()) IntegerField("hard", limit.hard(), json);
      if (limit.has_soft()) IntegerField("soft", limit.soft(), json);
      json->EndObject();
    }
    json->EndArray();
    json->EndObject();
  }
  if (container.tty()) {
    WriteKey("tty_info", json);
    json->StartObject();
    json->EndObject();
  }
  json->EndObject();
}

void WriteContainerStatus(const pb::ContainerStatus& status, JsonWriter* json) {
  json->StartObject();
  if (!status.container_id().empty()) {
    WriteKey("container_id", json);
    json->StartObject();
    Field("value", status.container_id(), json);
    json->EndObject();
  }
  if (!status.networks().empty()) {
    WriteKey("network_infos", json);
    WriteNetworks(status.networks(), json);
  }
  json->EndObject();
}

void WriteHealthCheck(const pb::HealthCheck& check, JsonWriter* json) {
  const auto seconds = [&](std::string_view key, bool given,
                           const google::protobuf::Duration& duration, double otherwise) {
    Field(key, given ? Seconds(duration) : otherwise, json);
  };
  json->StartObject();
  seconds("delay_seconds", check.has_delay(), check.delay(), 15.0);
  seconds("interval_seconds", check.has_interval(), check.interval(), 10.0);
  seconds("timeout_seconds", check.has_timeout(), check.timeout(), 20.0);
  IntegerField("consecutive_failures", check.consecutive_failures(), json);
  seconds("grace_period_seconds", check.has_grace_period(), check.grace_period(), 10.0);
  switch (check.probe_case()) {
    case pb::HealthCheck::kCommand:
      Field("type", "COMMAND", json);
      WriteKey("command", json);
      WriteCommand(check.command(), json);
      break;
    case pb::HealthCheck::kHttp:
      Field("type", "HTTP", json);
      WriteKey("http", json);
      json->StartObject();
      IntegerField("port", check.http().port(), json);
      if (!check.http().scheme().empty()) Field("scheme", check.http().scheme(), json);
      if (!check.http().path().empty()) Field("path", check.http().path(), json);
      if (!check.http().statuses().empty()) {
        WriteKey("statuses", json);
        json->StartArray();
        for (const uint32_t status : check.http().statuses()) json->Uint(status);
        json->EndArray();
      }
      json->EndObject();
      break;
    case pb::HealthCheck::kTcp:
      Field("type", "TCP", json);
      WriteKey("tcp", json);
      json->StartObject();
      IntegerField("port", check.tcp().port(), json);
      json->EndObject();
      break;
    case pb::HealthCheck::PROBE_NOT_SET:
      break;
  }
  json->EndObject();
}

std::string_view TaskStateText(pb::TaskState state) {
  if (state < pb::TASK_STAGING || state > pb::TASK_UNKNOWN) return "TASK_UNKNOWN";
  return model::TaskStateName(static_cast<model::TaskState>(state));
}

int PortOf(std::string_view address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string_view::npos ||
      !absl::SimpleAtoi(std::string(address.substr(colon + 1)), &port)) {
    return 0;
  }
  return port;
}

std::string_view HostOf(std::string_view address) {
  const size_t colon = address.rfind(':');
  return colon == std::string_view::npos ? address : address.substr(0, colon);
}

}  // namespace tessera::state
