// tessera: the command line for people and scripts.

#include <iostream>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/version.h"

namespace tessera::cli {
namespace {

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    (words.empty() ? std::cerr : std::cout) << Overview();
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
  const base::ProgramInfo info = {.name = "tessera " + command->name,
                                  .purpose = command->purpose,
                                  .usage = command->usage,
                                  .stop_at_positional = command->stop_at_positional,
                                  .flags = FlagsOf(*command),
                                  .owner = OwnersOf};
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
