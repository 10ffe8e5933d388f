// The command line of every binary: absl flags, read from arguments and from flag files.
//
// Beside a binary's own flags, each understands:
//   --help           what the binary is for, and each flag with its default; exit 0
//   --version        exit 0
//   --flagfile=PATH  one --flag=value a line; '#' starts a comment. Later settings win.
// An unknown flag or a value that does not parse is an error with exit code 2: a misspelt flag must
// not start a service with a default in its place.
//
// Help texts of flags state unit and effect. Whether values fit together is the concern of each
// binary's own pure check of its config.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::base {

struct ProgramInfo {
  // As people call it: "master-svc".
  std::string name;
  // One sentence: what it is for.
  std::string purpose;
  // Shown after the name in the usage line; empty: "[flags]".
  std::string usage;
  // The first argument that is no flag ends flag parsing, so that commands in front of a command
  // line of their own ("run ls -l") need no "--".
  bool stop_at_positional = false;
  // Names of the flags that are understood; empty: all that the binary has. For binaries of several
  // commands, whose flags are all in one binary.
  std::vector<std::string> flags;
  // Whose a flag is that the binary has and `flags` does not name: "tessera run". May be null.
  std::function<std::string(const std::string& flag)> owner;
};

struct ParsedArguments {
  enum class Request { kRun, kHelp, kVersion };
  Request request = Request::kRun;
  // What is not a flag, in order; all that follows "--".
  std::vector<std::string> positional;
};

// Sets the flags named by `arguments` (without the program's name). INVALID_ARGUMENT, saying what
// is wrong and what comes near, for an unknown flag, a missing or bad value, an unreadable file;
// flags before the bad one are set then.
absl::StatusOr<ParsedArguments> ParseArguments(const std::vector<std::string>& arguments,
                                               const ProgramInfo& info);

// Each of these flags with its default and what it does, as --help shows them.
std::string FlagsText(const std::vector<std::string>& flags);

// The text of --help.
std::string HelpText(const ProgramInfo& info);

// For main(): parses, answers --help and --version (exit 0) and errors (stderr, exit 2) itself.
// Returns the positional arguments.
std::vector<std::string> ParseCommandLineOrExit(int argc, char** argv, const ProgramInfo& info);

// For main(), when the values do not fit together: prints "name: message" and exits with 2.
[[noreturn]] void ExitWithUsageError(const ProgramInfo& info, const absl::Status& status);

}  // namespace tessera::base
