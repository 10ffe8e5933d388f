// state_pollers: clients that read one HTTP path as fast as they are answered, each on a connection
// of its own. Prints one JSON object: requests, bytes, latencies.

#include <arpa/inet.h>
#include <glog/logging.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/status_macros.h"
#include "services/base/unique_fd.h"

ABSL_FLAG(std::string, address, "", "IPv4 address and port of the server, host:port");
ABSL_FLAG(std::string, path, "/state", "what is asked for");
ABSL_FLAG(int, pollers, 32, "clients");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(5), "how long to ask");
ABSL_FLAG(absl::Duration, interval, absl::ZeroDuration(),
          "pause of a client between an answer and its next request");

namespace tessera::bench {
namespace {

constexpr size_t kBuffer = 1 << 20;

absl::StatusOr<base::UniqueFd> Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr) != 1) {
    return absl::InvalidArgumentError("--address must be an IPv4 address and a port");
  }
  peer.sin_port = htons(static_cast<uint16_t>(port));
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot connect to ", address, ": ", std::strerror(errno)));
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

// Reads one answer with Content-Length; returns the bytes of its body. The body is not kept.
absl::StatusOr<size_t> ReadAnswer(int fd, std::vector<char>& buffer) {
  size_t have = 0, body = 0, head = 0;
  for (;;) {
    const ssize_t got = read(fd, buffer.data() + have, buffer.size() - have);
    if (got <= 0) return absl::UnavailableError("the server closed the connection");
    have += static_cast<size_t>(got);
    const absl::string_view text(buffer.data(), have);
    const size_t end = text.find("\r\n\r\n");
    if (end == absl::string_view::npos) continue;
    head = end + 4;
    const std::string lower = absl::AsciiStrToLower(text.substr(0, head));
    if (!absl::StrContains(lower.substr(0, lower.find('\r')), " 200")) {
      return absl::InternalError(std::string(text.substr(0, text.find('\r'))));
    }
    const size_t length = lower.find("content-length:");
    if (length == std::string::npos) return absl::InternalError("an answer without a length");
    const size_t line_end = lower.find('\r', length);
    const std::string value = lower.substr(length + 15, line_end - length - 15);
    if (!absl::SimpleAtoi(value, &body)) return absl::InternalError("a malformed length");
    break;
  }
  for (size_t rest = body - std::min(body, have - head); rest > 0;) {
    const ssize_t got = read(fd, buffer.data(), std::min(buffer.size(), rest));
    if (got <= 0) return absl::UnavailableError("the server closed the connection");
    rest -= static_cast<size_t>(got);
  }
  return body;
}

struct Totals {
  std::mutex mu;
  std::vector<double> latencies_ms;
  uint64_t bytes = 0;
  uint64_t errors = 0;
  std::string first_error;
};

void Poll(absl::Time deadline, Totals& totals) {
  std::vector<char> buffer(kBuffer);
  std::vector<double> latencies;
  uint64_t bytes = 0;
  const std::string request =
      absl::StrCat("GET ", absl::GetFlag(FLAGS_path),
                   " HTTP/1.1\r\nHost: ", absl::GetFlag(FLAGS_address), "\r\n\r\n");
  const absl::Duration pause = absl::GetFlag(FLAGS_interval);
  const auto run = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const base::UniqueFd fd, Connect(absl::GetFlag(FLAGS_address)));
    while (absl::Now() < deadline) {
      const absl::Time began = absl::Now();
      if (write(fd.get(), request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
        return absl::UnavailableError("cannot send the request");
      }
      ASSIGN_OR_RETURN(const size_t body, ReadAnswer(fd.get(), buffer));
      latencies.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
      bytes += body;
      if (pause > absl::ZeroDuration()) absl::SleepFor(pause);
    }
    return absl::OkStatus();
  };
  const absl::Status status = run();
  const std::lock_guard<std::mutex> lock(totals.mu);
  totals.latencies_ms.insert(totals.latencies_ms.end(), latencies.begin(), latencies.end());
  totals.bytes += bytes;
  if (!status.ok()) {
    ++totals.errors;
    if (totals.first_error.empty()) totals.first_error = status.ToString();
  }
}

int Main() {
  Totals totals;
  const absl::Time began = absl::Now();
  std::vector<std::thread> threads;
  for (int i = 0; i < absl::GetFlag(FLAGS_pollers); ++i) {
    threads.emplace_back([&] { Poll(began + absl::GetFlag(FLAGS_duration), totals); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  std::vector<double>& latencies = totals.latencies_ms;
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double quantile) {
    if (latencies.empty()) return 0.0;
    const auto index = static_cast<size_t>(quantile * static_cast<double>(latencies.size()));
    return latencies[std::min(index, latencies.size() - 1)];
  };
  std::cout << nlohmann::json{{"requests", latencies.size()},
                              {"seconds", seconds},
                              {"bytes", totals.bytes},
                              {"latency_p50_ms", at(0.5)},
                              {"latency_p99_ms", at(0.99)},
                              {"errors", totals.errors},
                              {"first_error", totals.first_error}}
                   .dump()
            << std::endl;
  return totals.errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  const tessera::base::ProgramInfo info = {
      "state_pollers", "Reads an HTTP path by many clients at once.", "", false};
  tessera::base::ParseCommandLineOrExit(argc, argv, info);
  tessera::base::StartLogging("state_pollers");
  return tessera::bench::Main();
}
