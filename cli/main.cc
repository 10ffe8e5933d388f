// tessera: the command line for people and scripts.

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/cluster/cluster_commands.h"
#include "cli/command.h"
#include "cli/read/read_commands.h"
#include "cli/run/run_command.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/version.h"

namespace tessera::cli {
namespace {

const std::vector<Command>& Commands() {
  static const auto* commands = new std::vector<Command>{
      {"run", "[flags] [--] COMMAND [ARGUMENT…]",
       "Runs a command, or the tasks of a job file (--job), on the cluster.", &Run,
       /*stop_at_positional=*/true},
      {"agents", "[flags]", "Lists the machines of the cluster.", &ShowAgents},
      {"frameworks", "[flags]", "Lists frameworks.", &ShowFrameworks},
      {"tasks", "[flags]", "Lists tasks.", &ShowTasks},
      {"offers", "[flags]", "Lists outstanding offers.", &ShowOffers},
      {"state", "[flags]", "Sums the cluster up; with --output=json the whole /state.", &ShowState},
      {"logs", "[flags] TASK", "Prints the output of a task.", &ShowLogs},
      {"weights", "[flags] [ROLE=WEIGHT…]", "Sets weights of roles; lists roles.", &Weights},
      {"kill", "[flags] TASK", "Ends a task.", &Kill},
      {"cluster up", "[flags]", "Starts a whole cluster on this machine.", &ClusterUp},
      {"cluster down", "[flags]", "Ends the local cluster and all its tasks.", &ClusterDown},
      {"cluster status", "[flags]", "Shows the services of the local cluster.", &ClusterStatus},
  };
  return *commands;
}

void PrintOverview(std::ostream& out) {
  out << "tessera: runs work on a Tessera cluster and shows what it does.\n\n"
         "Usage: tessera COMMAND [flags] [arguments]\n\nCommands:\n";
  for (const Command& command : Commands()) {
    out << "  " << command.name << std::string(16 - command.name.size(), ' ') << command.purpose
        << "\n";
  }
  out << "\n`tessera COMMAND --help` lists the flags.\n";
}

// The command whose words start `words`, and how many they are.
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

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    PrintOverview(words.empty() ? std::cerr : std::cout);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version" || words[0] == "version") {
    std::cout << "tessera " << base::kVersion << "\n";
    return 0;
  }
  size_t used = 0;
  const Command* command = FindCommand(words, &used);
  if (command == nullptr) {
    std::cerr << "tessera: unknown command \"" << words[0] << "\"; `tessera help` lists them\n";
    return 2;
  }
  const base::ProgramInfo info = {"tessera " + command->name, command->purpose, command->usage,
                                  command->stop_at_positional};
  const auto parsed = base::ParseArguments({words.begin() + used, words.end()}, info);
  if (!parsed.ok()) {
    std::cerr << info.name << ": " << parsed.status().message() << "\n";
    return 2;
  }
  if (parsed->request == base::ParsedArguments::Request::kHelp) {
    std::cout << base::HelpText(info);
    return 0;
  }
  if (parsed->request == base::ParsedArguments::Request::kVersion) {
    std::cout << "tessera " << base::kVersion << "\n";
    return 0;
  }
  base::StartLogging("tessera");
  const auto result = command->run(parsed->positional);
  if (result.ok()) return *result;
  std::cerr << info.name << ": " << result.status().message() << "\n";
  return absl::IsInvalidArgument(result.status()) ? 2 : 1;
}

}  // namespace
}  // namespace tessera::cli

int main(int argc, char** argv) { return tessera::cli::Main(argc, argv); }
