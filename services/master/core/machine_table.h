// Machines of the maintenance schedule, by name. A machine that is not here is up; here it drains,
// which only tells everybody when it will be unavailable, or it is down.
//
// An agent is on a machine when the fields of the machine's name are the agent's. An agent that
// others reach by a host name tells no ip: then the hostname alone decides. An agent may be on
// several machines of the schedule (one named by hostname, one by ip); the earliest window counts,
// and one that is down is enough.
//
// Invariants: names have a field at least and are spelt in one way; answers of frameworks belong to
// the unavailability that the machine has now.
//
// Threads: the core's.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/master/core/contracts.h"

namespace tessera::master {

struct MachineName {
  // In lower case; empty when the machine is named by its ip only.
  std::string hostname;
  // As inet_ntop writes it; empty when the machine is named by its hostname only.
  std::string ip;

  auto operator<=>(const MachineName&) const = default;
};

// INVALID_ARGUMENT (without a field) when neither field is given or one is malformed.
absl::StatusOr<MachineName> ReadMachineName(const ops::MachineId& id);
// Where the agent is: its hostname, and the host of its address when that is an ip.
MachineName MachineOf(const pb::AgentInfo& info);
ops::MachineId ToProto(const MachineName& name);
// For people: "host", "10.0.0.1" or "host,10.0.0.1".
std::string ToString(const MachineName& name);

bool SameUnavailability(const pb::Unavailability& one, const pb::Unavailability& other);
// By start, then by duration; one that is for ever comes last.
bool EarlierUnavailability(const pb::Unavailability& one, const pb::Unavailability& other);

struct Machine {
  // What a framework answered last to an inverse offer.
  struct Answer {
    bool accepted = false;
    absl::Time time;
  };
  bool down = false;
  pb::Unavailability unavailability;
  // By framework id; the newest so many.
  static constexpr size_t kAnswersMax = 1'000;
  std::map<std::string, Answer> answers;
};

using MachineRows = absl::btree_map<MachineName, Machine>;

class MachineTable {
 public:
  const MachineRows& rows() const { return rows_; }
  // The schedule becomes `rows`. Answers stay with machines whose unavailability stays the same.
  void Replace(MachineRows rows);

  // Of an agent's whereabouts (MachineOf):
  bool IsDown(const MachineName& agent) const;
  std::optional<pb::Unavailability> UnavailabilityOf(const MachineName& agent) const;
  void NoteAnswer(const MachineName& agent, const std::string& framework_id,
                  Machine::Answer answer);

  void ForgetAnswersOf(const std::string& framework_id);

 private:
  MachineRows rows_;
};

}  // namespace tessera::master
