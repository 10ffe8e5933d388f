#include "services/state/server/state_settings.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tessera::state {
namespace {

bool IsHostPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 && port < 65536;
}

absl::Status Wrong(const std::string& flag, const std::string& value, const std::string& advice) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": ", advice));
}

absl::Status CheckDuration(const std::string& flag, absl::Duration value, absl::Duration min,
                           absl::Duration max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return Wrong(flag, absl::FormatDuration(value),
               absl::StrCat("write a duration from ", absl::FormatDuration(min), " to ",
                            absl::FormatDuration(max)));
}

}  // namespace

absl::StatusOr<StateServerOptions> OptionsFromSettings(const StateSettings& settings) {
  if (settings.feed.empty()) {
    return absl::InvalidArgumentError(
        "--feed is missing: name the masters, or another state-svc, as host:port[,host:port]");
  }
  for (const std::string& feed : settings.feed) {
    if (!IsHostPort(feed)) return Wrong("feed", feed, "write host:port, e.g. 127.0.0.1:5050");
  }
  if (!settings.http_advertise.empty() && !IsHostPort(settings.http_advertise)) {
    return Wrong("http_advertise", settings.http_advertise,
                 "write host:port as browsers reach this service, e.g. state.example:5081");
  }
  if (settings.history_size < base::KiB(64)) {
    return Wrong("history_size", settings.history_size.ToString(), "write at least 64KiB");
  }
  if (settings.followers_max == 0) {
    return Wrong("followers_max", "0", "write how many streams may be open, at least 1");
  }
  for (const auto& [flag, threads] : {std::pair("http_threads", settings.http_threads),
                                      std::pair("read_threads", settings.read_threads)}) {
    if (threads < 1 || threads > 256) {
      return Wrong(flag, absl::StrCat(threads), "write a number of threads from 1 to 256");
    }
  }
  for (const absl::Status& status :
       {CheckDuration("feed_timeout", settings.feed_timeout, absl::Seconds(6), absl::Hours(1)),
        CheckDuration("slow_consumer_timeout", settings.slow_consumer_timeout,
                      absl::Milliseconds(100), absl::Hours(1)),
        CheckDuration("state_max_age", settings.state_max_age, absl::ZeroDuration(),
                      absl::Minutes(1))}) {
    if (!status.ok()) return status;
  }
  StateServerOptions options;
  options.listen = settings.listen;
  options.http_listen = settings.http_listen;
  options.http_advertise = settings.http_advertise;
  options.http_threads = settings.http_threads;
  options.read_threads = settings.read_threads;
  options.core.feeds = settings.feed;
  options.core.silence_timeout = settings.feed_timeout;
  options.core.seed = settings.seed;
  options.feed.history_bytes_max = settings.history_size.count();
  options.feed.followers_max = settings.followers_max;
  options.feed.write_timeout = settings.slow_consumer_timeout;
  options.reads.max_age = settings.state_max_age;
  return options;
}

}  // namespace tessera::state
