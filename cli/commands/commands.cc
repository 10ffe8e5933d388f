#include "cli/commands/commands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/cluster/cluster_commands.h"
#include "cli/maintenance/maintenance_commands.h"
#include "cli/quota/quota_commands.h"
#include "cli/read/read_commands.h"
#include "cli/run/run_command.h"
#include "cli/why/why_command.h"
#include "services/base/flags.h"

namespace tessera::cli {

const std::vector<Command>& Commands() {
  static const auto* commands = new std::vector<Command>{
      {"run",
       "[flags] [--] COMMAND [ARGUMENT…]",
       "Runs a command, or the tasks of a job file (--job), on the cluster.",
       &Run,
       {"master", "timeout", "name", "role", "cpus", "mem", "disk", "count", "env", "user", "job",
        "attempts", "follow", "output_dir", "report", "quiet"},
       /*stop_at_positional=*/true},
      {"agents",
       "[flags]",
       "Lists the machines of the cluster.",
       &ShowAgents,
       {"state", "timeout", "output"}},
      {"frameworks",
       "[flags]",
       "Lists frameworks.",
       &ShowFrameworks,
       {"state", "timeout", "output", "all"}},
      {"tasks",
       "[flags]",
       "Lists tasks.",
       &ShowTasks,
       {"state", "timeout", "output", "all", "framework"}},
      {"offers",
       "[flags]",
       "Lists outstanding offers.",
       &ShowOffers,
       {"state", "timeout", "output", "framework"}},
      {"state",
       "[flags]",
       "Sums the cluster up; with --output=json the whole /state.",
       &ShowState,
       {"state", "state_http", "timeout", "output"}},
      {"logs",
       "[flags] TASK",
       "Prints the output of a task.",
       &ShowLogs,
       {"state", "timeout", "framework", "stderr", "f", "tail"}},
      {"weights",
       "[flags] [ROLE=WEIGHT…]",
       "Sets weights of roles; lists roles.",
       &Weights,
       {"master", "state", "timeout", "output"}},
      {"quota show",
       "[flags]",
       "Lists roles with a guarantee or a limit.",
       &ShowQuotas,
       {"state", "timeout", "output"}},
      {"quota set",
       "[flags] ROLE",
       "Sets guarantee and limit of a role.",
       &SetQuota,
       {"master", "timeout", "guarantee", "limit", "force"}},
      {"quota remove",
       "[flags] ROLE…",
       "Takes guarantees and limits of roles away.",
       &RemoveQuotas,
       {"master", "timeout"}},
      {"why",
       "[flags] FRAMEWORK",
       "Tells why a framework is not offered what it wants.",
       &Why,
       {"master", "state", "timeout", "output", "role", "resources", "nearest"}},
      {"kill",
       "[flags] TASK",
       "Ends a task.",
       &Kill,
       {"master", "state", "timeout", "framework", "grace"}},
      {"maintenance schedule show",
       "[flags]",
       "Shows the maintenance schedule; with --output=json as a file to apply.",
       &ShowMaintenanceSchedule,
       {"master", "timeout", "output"}},
      {"maintenance schedule apply",
       "[flags] -f FILE",
       "Replaces the maintenance schedule.",
       &ApplyMaintenanceSchedule,
       {"master", "timeout", "f"}},
      {"maintenance start",
       "[flags] MACHINE…",
       "Takes machines of the schedule down.",
       &StartMaintenanceOf,
       {"master", "timeout"}},
      {"maintenance stop",
       "[flags] MACHINE…",
       "Brings machines back.",
       &StopMaintenanceOf,
       {"master", "timeout"}},
      {"maintenance status",
       "[flags]",
       "Shows which machines drain or are down, and what frameworks answered.",
       &ShowMaintenanceStatus,
       {"master", "timeout", "output"}},
      {"cluster up",
       "[flags]",
       "Starts a whole cluster on this machine.",
       &ClusterUp,
       {"agents", "agent_resources", "bin_dir", "service_flag"}},
      {"cluster down",
       "[flags]",
       "Ends the local cluster and all its tasks.",
       &ClusterDown,
       {"timeout", "purge"}},
      {"cluster status",
       "[flags]",
       "Shows the services of the local cluster.",
       &ClusterStatus,
       {"output"}},
  };
  return *commands;
}

const std::vector<std::string>& FlagsOfEveryCommand() {
  static const auto* flags =
      new std::vector<std::string>{"cluster_dir", "log_level", "log_verbosity"};
  return *flags;
}

std::vector<std::string> FlagsOf(const Command& command) {
  std::vector<std::string> flags = FlagsOfEveryCommand();
  flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  std::sort(flags.begin(), flags.end());
  return flags;
}

std::string OwnersOf(const std::string& flag) {
  std::vector<std::string> owners;
  for (const Command& command : Commands()) {
    const std::vector<std::string> flags = FlagsOf(command);
    if (std::find(flags.begin(), flags.end(), flag) == flags.end()) continue;
    owners.push_back(absl::StrCat("tessera ", command.name));
  }
  if (owners.size() < 2) return absl::StrJoin(owners, "");
  const std::string last = owners.back();
  owners.pop_back();
  return absl::StrCat(absl::StrJoin(owners, ", "), " and ", last);
}

const Command* FindCommand(const std::vector<std::string>& words, size_t* used) {
  for (const Command& command : Commands()) {
    const size_t count = 1 + std::count(command.name.begin(), command.name.end(), ' ');
    if (words.size() < count) continue;
    if (absl::StrJoin(words.begin(), words.begin() + count, " ") != command.name) continue;
    *used = count;
    return &command;
  }
  return nullptr;
}

std::string Overview() {
  std::string text =
      "tessera: runs work on a Tessera cluster and shows what it does.\n\n"
      "Usage: tessera COMMAND [flags] [arguments]\n\nCommands:\n";
  size_t width = 0;
  for (const Command& command : Commands()) width = std::max(width, command.name.size());
  for (const Command& command : Commands()) {
    absl::StrAppend(&text, "  ", command.name, std::string(width + 2 - command.name.size(), ' '),
                    command.purpose, "\n");
  }
  absl::StrAppend(&text, "\nFlags of every command:\n", base::FlagsText(FlagsOfEveryCommand()),
                  "\n`tessera COMMAND --help` lists all flags of a command.\n");
  return text;
}

}  // namespace tessera::cli
