#include "services/master/core/master_config.h"

#include "absl/strings/str_cat.h"

namespace tessera::master {
namespace {

// What the master adds to a description in a record: times, settings, an id.
constexpr size_t kRecordRoom = 64 << 10;

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

}  // namespace

absl::Status Validate(const MasterConfig& config) {
  if (config.candidate_id.empty()) return Wrong("candidate_id is empty");
  if (config.address.empty()) return Wrong("address is empty: say where others reach this master");
  if (config.heartbeat_interval < absl::Milliseconds(100)) {
    return Wrong("heartbeat_interval must be at least 100ms");
  }
  if (config.feed_heartbeat_interval <= absl::ZeroDuration()) {
    return Wrong("feed_heartbeat_interval must be positive");
  }
  if (config.offer_timeout <= absl::ZeroDuration()) {
    return Wrong("offer_timeout must be positive (or inf)");
  }
  if (config.default_refuse_duration < absl::ZeroDuration()) {
    return Wrong("default_refuse_duration must not be negative");
  }
  if (config.ping_interval < absl::Milliseconds(10) || config.ping_interval > absl::Minutes(15)) {
    return Wrong("ping_interval must be between 10ms and 15m");
  }
  if (config.ping_misses_max < 1) return Wrong("ping_misses_max must be at least 1");
  if (config.agent_reregister_timeout < config.ping_interval * config.ping_misses_max) {
    return Wrong(absl::StrCat("agent_reregister_timeout must be at least ping_interval * ",
                              "ping_misses_max, otherwise a healthy agent may be given up"));
  }
  if (config.recovery_removal_limit_percent < 0 || config.recovery_removal_limit_percent > 100) {
    return Wrong("recovery_removal_limit_percent must be between 0 and 100");
  }
  if (config.allocator_recovery_percent < 0 || config.allocator_recovery_percent > 100) {
    return Wrong("allocator_recovery_percent must be between 0 and 100");
  }
  if (config.allocator_timeout < absl::Seconds(1)) {
    return Wrong("allocator_timeout must be at least 1s");
  }
  if (config.retry_initial <= absl::ZeroDuration() || config.retry_max < config.retry_initial) {
    return Wrong("retry_initial must be positive and at most retry_max");
  }
  if (config.read_page_size == 0 || config.read_page_size > 10'000) {
    return Wrong("read_page_size must be between 1 and 10000");
  }
  if (config.commit_writes_max == 0) return Wrong("commit_writes_max must be positive");
  if (config.framework_bytes_max + kRecordRoom > config.record_bytes_max ||
      config.agent_bytes_max + kRecordRoom > config.record_bytes_max) {
    return Wrong(absl::StrCat("framework_bytes_max and agent_bytes_max must leave ", kRecordRoom,
                              " bytes of record_bytes_max, where their records are kept"));
  }
  if (config.commit_bytes_max < config.record_bytes_max + config.record_key_bytes_max) {
    return Wrong("commit_bytes_max must have room for the largest record and its key");
  }
  if (config.inventory_timeout <= absl::ZeroDuration()) {
    return Wrong("inventory_timeout must be positive");
  }
  if (config.inventories_bytes_max / 2 < config.inventory_bytes_max) {
    return Wrong("inventories_bytes_max must have room for two of inventory_bytes_max");
  }
  if (config.agent_tasks_bytes_max > config.inventory_bytes_max / 2) {
    return Wrong("agent_tasks_bytes_max must be at most half of inventory_bytes_max");
  }
  if (config.agent_tasks_bytes_max < 2 * config.task_bytes_max) {
    return Wrong("agent_tasks_bytes_max must have room for the largest task and its executor");
  }
  if (config.reregistrations_max == 0) return Wrong("reregistrations_max must be positive");
  return absl::OkStatus();
}

}  // namespace tessera::master
