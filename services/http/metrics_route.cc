#include "services/http/metrics_route.h"

#include <dirent.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "services/base/bug.h"
#include "services/base/version.h"

namespace tessera::http {
namespace {

prometheus::MetricFamily Single(std::string name, std::string help, prometheus::MetricType type,
                                double value) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
  return family;
}

double OpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count - 3;  // ".", ".." and the directory itself
}

// When the process began, in seconds since 1970.
double StartTime() {
  std::ifstream stat_file("/proc/self/stat");
  std::string stat((std::istreambuf_iterator<char>(stat_file)), {});
  // The name may hold anything; fields are counted from the ')' that ends it.
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  const double ticks_after_boot = std::strtod(field.c_str(), nullptr);
  double boot = 0;
  std::ifstream proc_stat("/proc/stat");
  for (std::string line; std::getline(proc_stat, line);) {
    if (line.rfind("btime ", 0) == 0) boot = std::strtod(line.c_str() + 6, nullptr);
  }
  return boot + ticks_after_boot / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::vector<prometheus::MetricFamily> ServiceFamilies() {
  using prometheus::MetricType;
  prometheus::MetricFamily build =
      Single("tessera_build_info", "1; the version is in the label.", MetricType::Gauge, 1);
  build.metric.front().label.push_back({"version", base::kVersion});
  return {std::move(build),
          Single("tessera_bugs_total", "States reached that the program's own logic rules out.",
                 MetricType::Counter, static_cast<double>(base::BugCount()))};
}

std::vector<prometheus::MetricFamily> ProcessFamilies() {
  using prometheus::MetricType;
  static const double start_time = StartTime();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  int64_t virtual_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  const double page = sysconf(_SC_PAGESIZE);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  return {
      Single("process_start_time_seconds", "When the process started, in seconds since 1970.",
             MetricType::Gauge, start_time),
      Single("process_cpu_seconds_total", "User and system time used.", MetricType::Counter, cpu),
      Single("process_resident_memory_bytes", "Memory that is resident.", MetricType::Gauge,
             resident_pages * page),
      Single("process_virtual_memory_bytes", "Address space.", MetricType::Gauge,
             virtual_pages * page),
      Single("process_open_fds", "Open file descriptors.", MetricType::Gauge, OpenFiles()),
      Single("process_max_fds", "How many file descriptors may be open.", MetricType::Gauge,
             static_cast<double>(files.rlim_cur)),
  };
}

}  // namespace

Route MetricsRoute(std::shared_ptr<prometheus::Collectable> metrics,
                   std::function<void()> refresh) {
  auto handler =
      Whole([metrics = std::move(metrics), refresh = std::move(refresh)](const HttpRequest&) {
        if (refresh) refresh();
        std::vector<prometheus::MetricFamily> families = metrics->Collect();
        for (auto& family : ServiceFamilies()) families.push_back(std::move(family));
        for (auto& family : ProcessFamilies()) families.push_back(std::move(family));
        HttpResponse response =
            HttpResponse::Text(200, prometheus::TextSerializer().Serialize(families));
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        return response;
      });
  return Route{.path = "/metrics", .handler = std::move(handler)};
}

}  // namespace tessera::http
