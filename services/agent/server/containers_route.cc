#include "services/agent/server/containers_route.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tessera::agent {
namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

// Usage of containers whose reading takes longer is left out.
constexpr absl::Duration kUsageTimeout = absl::Seconds(5);

// The answer in the making, while usages are being read.
struct Gathering {
  explicit Gathering(http::Responder answers_by) : responder(std::move(answers_by)) {}

  const http::Responder responder;
  std::vector<std::shared_ptr<const ContainerView>> containers;
  absl::Mutex mu;
  size_t left ABSL_GUARDED_BY(mu) = 0;
  std::vector<std::optional<ContainerUsage>> usage ABSL_GUARDED_BY(mu);
};

class Json {
 public:
  explicit Json(rapidjson::StringBuffer* buffer) : writer_(*buffer) {}
  Writer& writer() { return writer_; }
  void Text(const char* key, const std::string& value) {
    writer_.Key(key);
    writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  void Number(const char* key, double value) {
    writer_.Key(key);
    writer_.Double(value);
  }
  void Number(const char* key, const std::optional<int64_t>& value) {
    if (!value.has_value()) return;
    writer_.Key(key);
    writer_.Int64(*value);
  }
  void Seconds(const char* key, const std::optional<absl::Duration>& value) {
    if (value.has_value()) Number(key, absl::ToDoubleSeconds(*value));
  }

 private:
  Writer writer_;
};

void WriteStatistics(const ContainerUsage& usage, Json* json) {
  json->writer().Key("statistics");
  json->writer().StartObject();
  json->Number("timestamp", static_cast<double>(absl::ToUnixNanos(usage.taken)) / 1e9);
  json->Number("processes", usage.processes);
  json->Number("threads", usage.threads);
  json->Seconds("cpus_user_time_secs", usage.cpu_user_time);
  json->Seconds("cpus_system_time_secs", usage.cpu_system_time);
  if (usage.cpus_limit_milli) {
    json->Number("cpus_limit", static_cast<double>(*usage.cpus_limit_milli) / 1000.0);
  }
  json->Number("cpus_nr_periods", usage.cpu_periods);
  json->Number("cpus_nr_throttled", usage.cpu_throttled_periods);
  json->Seconds("cpus_throttled_time_secs", usage.cpu_throttled_time);
  json->Number("mem_total_bytes", usage.memory_total_bytes);
  json->Number("mem_limit_bytes", usage.memory_limit_bytes);
  json->Number("mem_rss_bytes", usage.memory_rss_bytes);
  json->Number("mem_anon_bytes", usage.memory_rss_bytes);
  json->Number("mem_cache_bytes", usage.memory_cache_bytes);
  json->Number("mem_file_bytes", usage.memory_cache_bytes);
  json->Number("mem_mapped_file_bytes", usage.memory_mapped_bytes);
  json->writer().EndObject();
}

void WriteContainer(const ContainerView& container, const std::optional<ContainerUsage>& usage,
                    Json* json) {
  json->writer().StartObject();
  json->Text("framework_id", container.framework_id);
  // A task without an executor of its own stands for one of the same id.
  json->Text("executor_id",
             container.executor_id.empty() ? container.task_id : container.executor_id);
  json->Text("executor_name", container.task_name);
  json->Text("source", container.task_id);
  json->Text("container_id", container.container_id);
  json->writer().Key("status");
  json->writer().StartObject();
  json->writer().Key("container_id");
  json->writer().StartObject();
  json->Text("value", container.container_id);
  json->writer().EndObject();
  if (container.init_pid != 0) {
    json->Number("executor_pid", std::optional<int64_t>(container.init_pid));
  }
  json->writer().EndObject();
  if (usage.has_value()) WriteStatistics(*usage, json);
  json->writer().EndObject();
}

// Answers with what has been read so far.
void Respond(Gathering* gathering) {
  rapidjson::StringBuffer buffer;
  {
    absl::MutexLock lock(&gathering->mu);
    Json json(&buffer);
    json.writer().StartArray();
    for (size_t i = 0; i < gathering->containers.size(); ++i) {
      WriteContainer(*gathering->containers[i], gathering->usage[i], &json);
    }
    json.writer().EndArray();
  }
  gathering->responder.Respond(
      http::HttpResponse::Json(std::string(buffer.GetString(), buffer.GetSize())));
}

}  // namespace

http::Route ContainersRoute(AgentShell* shell) {
  const auto handler = [shell](http::RequestHead request, http::BodyReader,
                               http::Responder responder) {
    const auto view = shell->View();
    if (!view->recovered) {
      responder.Respond(http::HttpResponse::Text(503, "the agent still finds its containers\n"));
      return;
    }
    const std::string wanted(request.Param("container_id"));
    auto gathering = std::make_shared<Gathering>(responder);
    view->containers.ForEachLive([&](const auto& container) {
      if (wanted.empty() || container->container_id == wanted) {
        gathering->containers.push_back(container);
      }
    });
    const size_t count = gathering->containers.size();
    if (count == 0) return Respond(gathering.get());
    {
      absl::MutexLock lock(&gathering->mu);
      gathering->left = count;
      gathering->usage.resize(count);
    }
    responder.OnEnd([weak = std::weak_ptr<Gathering>(gathering)](const absl::Status& status) {
      const auto late = weak.lock();
      if (late != nullptr && absl::IsDeadlineExceeded(status)) Respond(late.get());
    });
    for (size_t i = 0; i < count; ++i) {
      shell->runtime()->ReadUsage(gathering->containers[i]->container_id,
                                  [gathering, i](absl::StatusOr<ContainerUsage> usage) {
                                    bool last;
                                    {
                                      absl::MutexLock lock(&gathering->mu);
                                      if (usage.ok()) gathering->usage[i] = *std::move(usage);
                                      last = --gathering->left == 0;
                                    }
                                    if (last) Respond(gathering.get());
                                  });
    }
  };
  return http::Route{.path = "/containers", .handler = handler, .answer_timeout = kUsageTimeout};
}

}  // namespace tessera::agent
