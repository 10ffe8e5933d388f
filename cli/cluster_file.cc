#include "cli/cluster_file.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::cli {

namespace {

std::string PathOf(const std::string& cluster_dir) { return cluster_dir + "/cluster.json"; }

}  // namespace

absl::StatusOr<ClusterFile> ReadClusterFile(const std::string& cluster_dir) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(PathOf(cluster_dir)));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        PathOf(cluster_dir), " is damaged: remove it if no local cluster runs any more"));
  };
  if (!json.is_object() || !json.contains("services") || !json["services"].is_array()) return bad();
  ClusterFile cluster;
  cluster.supervisor_pid = json.value("supervisor_pid", 0);
  cluster.supervisor_start_time = json.value("supervisor_start_time", uint64_t{0});
  for (const auto& entry : json["services"]) {
    if (!entry.is_object()) return bad();
    ServiceRecord record;
    record.name = entry.value("name", "");
    record.pid = entry.value("pid", 0);
    record.grpc_address = entry.value("grpc", "");
    record.http_address = entry.value("http", "");
    record.restarts = entry.value("restarts", 0);
    cluster.services.push_back(std::move(record));
  }
  return cluster;
}

absl::Status WriteClusterFile(const std::string& cluster_dir, const ClusterFile& cluster) {
  nlohmann::json json;
  json["supervisor_pid"] = cluster.supervisor_pid;
  json["supervisor_start_time"] = cluster.supervisor_start_time;
  json["services"] = nlohmann::json::array();
  for (const ServiceRecord& record : cluster.services) {
    json["services"].push_back({{"name", record.name},
                                {"pid", record.pid},
                                {"grpc", record.grpc_address},
                                {"http", record.http_address},
                                {"restarts", record.restarts}});
  }
  return base::WriteFileDurably(PathOf(cluster_dir), json.dump(2) + "\n");
}

void RemoveClusterFile(const std::string& cluster_dir) { unlink(PathOf(cluster_dir).c_str()); }

uint64_t ProcessStartTime(pid_t pid) {
  if (pid <= 0) return 0;
  const auto stat = base::ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return 0;
  // The second field is the name in parentheses and may hold anything; field 3 follows its end.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat->substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {
    if (i == 3 && field == "Z") return 0;  // ended, not reaped
    if (i == 22) return std::strtoull(field.c_str(), nullptr, 10);
  }
  return 0;
}

bool SupervisorRuns(const ClusterFile& cluster) {
  const uint64_t start = ProcessStartTime(cluster.supervisor_pid);
  return start != 0 && start == cluster.supervisor_start_time;
}

}  // namespace tessera::cli
