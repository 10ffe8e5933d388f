#include "services/agent/server/agent_settings.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/base/status_macros.h"
#include "services/base/version.h"
#include "services/model/attributes.h"
#include "services/model/parse.h"
#include "services/model/wire/attributes.h"
#include "services/model/wire/resources.h"
#include "services/rpc/advertised_address.h"

namespace tessera::agent {
namespace {

absl::Status Wrong(const char* flag, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", what));
}

absl::Status CheckAddress(const char* flag, const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return Wrong(flag,
                 absl::StrCat("\"", address, "\" is not host:port; write e.g. 127.0.0.1:5090"));
  }
  return absl::OkStatus();
}

std::vector<std::string> Masters(const AgentSettings& settings) {
  std::vector<std::string> masters;
  for (const auto part : absl::StrSplit(settings.master, ',')) {
    const std::string address(absl::StripAsciiWhitespace(part));
    if (!address.empty()) masters.push_back(address);
  }
  return masters;
}

}  // namespace

std::string CgroupsRootOf(const AgentSettings& settings) {
  if (!settings.cgroups_root.empty()) return settings.cgroups_root;
  // FNV-1a: the same work directory must give the same name for ever.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : settings.work_dir) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return absl::StrCat("tessera/agent-", absl::Hex(hash, absl::kZeroPad16));
}

absl::Status CheckSettings(const AgentSettings& settings) {
  const std::vector<std::string> masters = Masters(settings);
  if (masters.empty()) {
    return Wrong("master", "is missing; give host:port of each master, separated by commas");
  }
  for (const std::string& master : masters) RETURN_IF_ERROR(CheckAddress("master", master));
  RETURN_IF_ERROR(CheckAddress("listen", settings.listen));
  RETURN_IF_ERROR(CheckAddress("http_listen", settings.http_listen));
  if (!settings.advertise.empty()) RETURN_IF_ERROR(CheckAddress("advertise", settings.advertise));
  if (!settings.http_advertise.empty()) {
    RETURN_IF_ERROR(CheckAddress("http_advertise", settings.http_advertise));
  }
  if (settings.work_dir.empty()) {
    return Wrong("work_dir", "is missing; give a folder that survives reboots");
  }
  if (settings.work_dir[0] != '/') return Wrong("work_dir", "must be an absolute path");
  if (settings.runtime_dir.empty() || settings.runtime_dir[0] != '/') {
    return Wrong("runtime_dir", "must be an absolute path, best on a tmpfs such as /run");
  }
  if (const auto resources = model::ParseResources(settings.resources, settings.default_role);
      !resources.ok()) {
    return Wrong("resources", std::string(resources.status().message()));
  }
  if (const auto attributes = model::Attributes::Parse(settings.attributes); !attributes.ok()) {
    return Wrong("attributes", std::string(attributes.status().message()));
  }
  if (settings.region.empty() != settings.zone.empty()) {
    return Wrong("region", "a fault domain needs both --region and --zone");
  }
  if (settings.launch_workers < 1 || settings.launch_workers > 256) {
    return Wrong("launch_workers", "must be 1 to 256");
  }
  if (settings.parked_containers < 0 || settings.parked_containers > 10'000) {
    return Wrong("parked_containers", "must be 0 to 10000");
  }
  if (settings.gc_delay < absl::ZeroDuration()) return Wrong("gc_delay", "must not be negative");
  if (settings.status_retry < absl::Milliseconds(10)) {
    return Wrong("status_retry", "must be at least 10ms");
  }
  if (settings.registration_backoff < absl::Milliseconds(1) ||
      settings.registration_backoff_max < settings.registration_backoff) {
    return Wrong("registration_backoff",
                 "must be at least 1ms and at most --registration_backoff_max");
  }
  return absl::OkStatus();
}

void TellAddresses(const AgentSettings& settings, const std::string& grpc_bound,
                   const std::string& http_bound, model::v1::AgentInfo* info) {
  info->set_address(rpc::AdvertisedAddress(settings.advertise, grpc_bound, settings.hostname));
  info->set_http_address(
      rpc::AdvertisedAddress(settings.http_advertise, http_bound, settings.hostname));
}

absl::StatusOr<AgentConfig> MakeConfig(const AgentSettings& settings, const MachineFacts& facts) {
  AgentConfig config;
  ASSIGN_OR_RETURN(const model::Resources stated,
                   model::ParseResources(settings.resources, settings.default_role));
  model::wire::ToProto(CompleteResources(stated, settings.resources, facts),
                       config.info.mutable_resources());
  ASSIGN_OR_RETURN(const model::Attributes attributes,
                   model::Attributes::Parse(settings.attributes));
  model::wire::ToProto(attributes, config.info.mutable_attributes());
  config.info.set_hostname(settings.hostname);
  if (!settings.region.empty()) {
    config.info.mutable_domain()->set_region(settings.region);
    config.info.mutable_domain()->set_zone(settings.zone);
  }
  config.info.add_capabilities(model::v1::AgentInfo::RESERVATION_REFINEMENT);
  config.info.add_capabilities(model::v1::AgentInfo::AGENT_DRAINING);
  config.info.add_capabilities(model::v1::AgentInfo::TASK_RESOURCE_LIMITS);
  config.info.set_version(base::kVersion);
  config.masters = Masters(settings);
  config.sandbox_root = absl::StrCat(settings.work_dir, "/sandboxes");
  config.switch_user = settings.switch_user;
  config.limit_cpu_to_request = settings.limit_cpu_to_request;
  config.gc_delay = settings.gc_delay;
  config.dial_backoff_min = settings.registration_backoff;
  config.dial_backoff_max = settings.registration_backoff_max;
  config.status_retry_min = settings.status_retry;
  config.status_retry_max = std::max(config.status_retry_max, settings.status_retry);
  return config;
}

}  // namespace tessera::agent
