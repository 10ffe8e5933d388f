#include "services/master/core/maintenance_flow.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/master/core/maintenance_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"

namespace tessera::master {
namespace {

std::string KeyOf(const MachineName& name) {
  return absl::StrCat("machines/", name.hostname, ",", name.ip);
}

reg::Machine RecordOf(const MachineName& name, const Machine& machine) {
  reg::Machine record;
  record.set_hostname(name.hostname);
  record.set_ip(name.ip);
  record.set_mode(machine.down ? reg::Machine::DOWN : reg::Machine::DRAINING);
  *record.mutable_unavailability() = machine.unavailability;
  return record;
}

// Tells schedules apart: FNV-1a over machines and times.
std::string EtagOf(const MachineRows& rows) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](const std::string& bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  };
  for (const auto& [name, machine] : rows) {
    const pb::Unavailability& time = machine.unavailability;
    add(absl::StrCat(name.hostname, ",", name.ip, " ", time.start().seconds(), " ",
                     time.start().nanos(), " ", time.has_duration(), " ", time.duration().seconds(),
                     " ", time.duration().nanos(), "\n"));
  }
  return absl::StrCat(absl::Hex(hash, absl::kZeroPad16));
}

std::vector<reg::Write> Difference(const MachineRows& before, const MachineRows& after) {
  std::vector<reg::Write> writes;
  for (const auto& [name, machine] : before) {
    if (!after.contains(name)) writes.push_back(Delete(KeyOf(name)));
  }
  for (const auto& [name, machine] : after) {
    auto old = before.find(name);
    if (old == before.end() || old->second.down != machine.down ||
        !SameUnavailability(old->second.unavailability, machine.unavailability)) {
      writes.push_back(Put(KeyOf(name), RecordOf(name, machine)));
    }
  }
  return writes;
}

}  // namespace

bool MaintenanceFlow::RefuseWhileChanging(CallId call) {
  if (!changing_) return false;
  books_.out.RefuseOperator(
      call,
      Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::CONFLICTING_TRANSITION,
            absl::Milliseconds(200), "another change of the maintenance schedule is under way"));
  return true;
}

void MaintenanceFlow::Change(CallId call, MachineRows machines, OperatorAnswer answer,
                             bool dry_run) {
  std::vector<reg::Write> writes = Difference(books_.machines.rows(), machines);
  const size_t writes_max = books_.config().commit_writes_max;
  if (writes.size() > writes_max) {
    return books_.out.RefuseOperator(
        call, rpc::Error(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
                         absl::StrCat("this changes ", writes.size(), " machines, one call may ",
                                      "change ", writes_max, ": change the schedule in steps")));
  }
  if (writes.empty() || dry_run) {
    return books_.out.Push(OperatorReply{call, std::move(answer)});
  }
  if (books_.registry.full()) {
    return books_.out.RefuseOperator(call, TooMany("writes of the registry"));
  }
  absl::Status queued = books_.registry.Write(
      std::move(writes), MaintenanceChanged{std::move(machines), call, std::move(answer)});
  if (!queued.ok()) return books_.out.RefuseOperator(call, std::move(queued));
  changing_ = true;
}

void MaintenanceFlow::OnChanged(const MaintenanceChanged& changed) {
  changing_ = false;
  books_.machines.Replace(changed.machines);
  books_.out.Note(base::Severity::kInfo, "the maintenance schedule has ", changed.machines.size(),
                  " machines now");
  books_.agents.ForEach([this](Agent& agent) {
    if (books_.offer_book.UpdateUnavailability(agent)) books_.changed.AgentChanged(agent.id);
  });
  TakeDownAgents();
  books_.out.Push(OperatorReply{changed.call, changed.answer});
}

void MaintenanceFlow::TakeDownAgents() {
  std::vector<std::string> down;
  books_.agents.ForEach([&](const Agent& agent) {
    if (books_.machines.IsDown(agent.machine)) down.push_back(agent.id);
  });
  books_.agents.ForEachUnreachable([&](const std::string& id, const MachineName& machine) {
    if (books_.machines.IsDown(machine)) down.push_back(id);
  });
  for (const std::string& id : down) losses_.TakeDown(id);
}

void MaintenanceFlow::OnCall(CallId call, const ops::UpdateMaintenanceScheduleRequest& request) {
  if (RefuseWhileChanging(call)) return;
  if (!request.expected_etag().empty() &&
      request.expected_etag() != EtagOf(books_.machines.rows())) {
    return books_.out.RefuseOperator(
        call, rpc::Error(absl::StatusCode::kAborted, pb::ErrorDetail::VERSION_CONFLICT,
                         "the schedule has changed since it was read; read it again"));
  }
  auto machines = CheckSchedule(books_.config(), books_.machines.rows(), request);
  if (!machines.ok()) return books_.out.RefuseOperator(call, machines.status());
  Change(call, *std::move(machines), ops::UpdateMaintenanceScheduleResponse(), request.dry_run());
}

void MaintenanceFlow::OnCall(CallId call, const ops::StartMaintenanceRequest& request) {
  if (RefuseWhileChanging(call)) return;
  const auto names = CheckMachines(request.machines());
  if (!names.ok()) return books_.out.RefuseOperator(call, names.status());
  MachineRows machines = books_.machines.rows();
  size_t down = 0;
  for (const MachineName& name : *names) {
    auto machine = machines.find(name);
    if (machine == machines.end()) {
      return books_.out.RefuseOperator(
          call, Conflicting(absl::StrCat("machine ", ToString(name), " is not in the schedule")));
    }
    if (std::exchange(machine->second.down, true)) ++down;
  }
  // All of them are down: a repeat. Some are: somebody believes something else than what is.
  if (down > 0 && down < names->size()) {
    return books_.out.RefuseOperator(
        call, Conflicting("some of these machines are down already; name those that are not"));
  }
  Change(call, std::move(machines), ops::StartMaintenanceResponse(), request.dry_run());
}

void MaintenanceFlow::OnCall(CallId call, const ops::StopMaintenanceRequest& request) {
  if (RefuseWhileChanging(call)) return;
  const auto names = CheckMachines(request.machines());
  if (!names.ok()) return books_.out.RefuseOperator(call, names.status());
  MachineRows machines = books_.machines.rows();
  for (const MachineName& name : *names) {
    auto machine = machines.find(name);
    if (machine == machines.end() || !machine->second.down) {
      return books_.out.RefuseOperator(
          call, Conflicting(absl::StrCat("machine ", ToString(name), " is not down")));
    }
    machines.erase(machine);
  }
  Change(call, std::move(machines), ops::StopMaintenanceResponse(), request.dry_run());
}

// ---- what readers are told ----------------------------------------------------------------------

void MaintenanceFlow::OnCall(CallId call, const ops::GetMaintenanceScheduleRequest&) {
  // Machines of one time are one window, however many they were written in.
  const auto earlier = [](const pb::Unavailability* one, const pb::Unavailability* other) {
    return EarlierUnavailability(*one, *other);
  };
  std::map<const pb::Unavailability*, ops::MaintenanceWindow, decltype(earlier)> windows(earlier);
  for (const auto& [name, machine] : books_.machines.rows()) {
    ops::MaintenanceWindow& window = windows[&machine.unavailability];
    *window.mutable_unavailability() = machine.unavailability;
    *window.add_machines() = ToProto(name);
  }
  ops::GetMaintenanceScheduleResponse response;
  for (auto& [unavailability, window] : windows) *response.add_windows() = std::move(window);
  response.set_etag(EtagOf(books_.machines.rows()));
  books_.out.ReplyOperator(call, std::move(response));
}

void MaintenanceFlow::OnCall(CallId call, const ops::GetMaintenanceStatusRequest&) {
  ops::GetMaintenanceStatusResponse response;
  size_t room = books_.config().maintenance_answers_max;
  for (const auto& [name, machine] : books_.machines.rows()) {
    if (machine.down) {
      *response.add_down() = ToProto(name);
      continue;
    }
    auto* draining = response.add_draining();
    *draining->mutable_machine() = ToProto(name);
    if (machine.answers.size() > room) continue;
    room -= machine.answers.size();
    for (const auto& [framework_id, said] : machine.answers) {
      auto* answer = draining->add_answers();
      answer->set_framework_id(framework_id);
      answer->set_accepted(said.accepted);
      answer->set_time(absl::ToDoubleSeconds(said.time - absl::UnixEpoch()));
    }
  }
  books_.out.ReplyOperator(call, std::move(response));
}

}  // namespace tessera::master
