// One command of the command line.
//
// A command gets its positional arguments after flags were parsed, prints what it found to stdout,
// and returns the exit status: 0, or 1 when what it did failed. Errors come back as a status;
// main() prints them and exits with 1 (INVALID_ARGUMENT: 2, wrong usage).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

struct Command {
  // Its words: "run", "cluster up", "maintenance schedule show".
  std::string name;
  // What follows the name in the usage line.
  std::string usage;
  std::string purpose;
  absl::StatusOr<int> (*run)(const std::vector<std::string>& arguments);
  // Names of the flags that it understands besides those of every command.
  std::vector<std::string> flags;
  // The first argument that is no flag begins a command line of its own.
  bool stop_at_positional = false;
};

}  // namespace tessera::cli
