#include "services/master/core/machine_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tessera::master {
namespace {

constexpr size_t kHostnameBytesMax = 255;

// The one spelling of an ip of version 4 or 6; empty when it is none.
std::string CanonicalIp(const std::string& text) {
  for (const int family : {AF_INET, AF_INET6}) {
    unsigned char bytes[sizeof(in6_addr)];
    char spelt[INET6_ADDRSTRLEN];
    if (inet_pton(family, text.c_str(), bytes) == 1 && text.find('\0') == std::string::npos) {
      return inet_ntop(family, bytes, spelt, sizeof(spelt));
    }
  }
  return "";
}

// `host` of `host:port`, without the brackets of an ip of version 6.
std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

auto Order(const pb::Unavailability& unavailability) {
  return std::tuple(unavailability.start().seconds(), unavailability.start().nanos(),
                    !unavailability.has_duration(), unavailability.duration().seconds(),
                    unavailability.duration().nanos());
}

// Visits each machine that the agent is on. `Rows` may be const.
template <typename Rows, typename Visit>
void ForEachOf(Rows& rows, const MachineName& agent, Visit visit) {
  if (!agent.hostname.empty()) {
    for (auto row = rows.lower_bound({agent.hostname, ""});
         row != rows.end() && row->first.hostname == agent.hostname; ++row) {
      const std::string& ip = row->first.ip;
      if (ip.empty() || agent.ip.empty() || ip == agent.ip) visit(row->second);
    }
  }
  if (agent.ip.empty()) return;
  if (auto row = rows.find({"", agent.ip}); row != rows.end()) visit(row->second);
}

}  // namespace

absl::StatusOr<MachineName> ReadMachineName(const ops::MachineId& id) {
  MachineName name;
  if (id.hostname().empty() && id.ip().empty()) {
    return absl::InvalidArgumentError("a machine has a hostname or an ip");
  }
  if (id.hostname().size() > kHostnameBytesMax ||
      !std::all_of(id.hostname().begin(), id.hostname().end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
      })) {
    return absl::InvalidArgumentError(
        "a hostname has at most 255 letters, digits, dots, hyphens and underscores");
  }
  name.hostname = absl::AsciiStrToLower(id.hostname());
  if (!id.ip().empty()) {
    name.ip = CanonicalIp(id.ip());
    if (name.ip.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("'", id.ip(), "' is not an ip"));
    }
  }
  return name;
}

MachineName MachineOf(const pb::AgentInfo& info) {
  return {absl::AsciiStrToLower(info.hostname()), CanonicalIp(HostOf(info.address()))};
}

ops::MachineId ToProto(const MachineName& name) {
  ops::MachineId id;
  id.set_hostname(name.hostname);
  id.set_ip(name.ip);
  return id;
}

std::string ToString(const MachineName& name) {
  return absl::StrCat(name.hostname, name.hostname.empty() || name.ip.empty() ? "" : ",", name.ip);
}

bool SameUnavailability(const pb::Unavailability& one, const pb::Unavailability& other) {
  return Order(one) == Order(other);
}

bool EarlierUnavailability(const pb::Unavailability& one, const pb::Unavailability& other) {
  return Order(one) < Order(other);
}

void MachineTable::Replace(MachineRows rows) {
  for (auto& [name, machine] : rows) {
    auto before = rows_.find(name);
    if (before != rows_.end() &&
        SameUnavailability(before->second.unavailability, machine.unavailability)) {
      machine.answers = std::move(before->second.answers);
    } else {
      machine.answers.clear();
    }
  }
  rows_ = std::move(rows);
}

bool MachineTable::IsDown(const MachineName& agent) const {
  bool down = false;
  ForEachOf(rows_, agent, [&down](const Machine& machine) { down = down || machine.down; });
  return down;
}

std::optional<pb::Unavailability> MachineTable::UnavailabilityOf(const MachineName& agent) const {
  const pb::Unavailability* earliest = nullptr;
  ForEachOf(rows_, agent, [&earliest](const Machine& machine) {
    if (earliest == nullptr || EarlierUnavailability(machine.unavailability, *earliest)) {
      earliest = &machine.unavailability;
    }
  });
  return earliest == nullptr ? std::nullopt : std::optional(*earliest);
}

void MachineTable::NoteAnswer(const MachineName& agent, const std::string& framework_id,
                              Machine::Answer answer) {
  ForEachOf(rows_, agent, [&](Machine& machine) {
    machine.answers[framework_id] = answer;
    if (machine.answers.size() <= Machine::kAnswersMax) return;
    machine.answers.erase(std::min_element(
        machine.answers.begin(), machine.answers.end(),
        [](const auto& one, const auto& other) { return one.second.time < other.second.time; }));
  });
}

void MachineTable::ForgetAnswersOf(const std::string& framework_id) {
  for (auto& [name, machine] : rows_) machine.answers.erase(framework_id);
}

}  // namespace tessera::master
