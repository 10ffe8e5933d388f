// All commands of `tessera`, and which flags belong to which.
//
// The flags of all commands are in one binary; a command understands its own and those of every
// command, and refuses the others by name.
#pragma once

#include <string>
#include <vector>

#include "cli/commands/command.h"

namespace tessera::cli {

const std::vector<Command>& Commands();

// Flags that every command understands.
const std::vector<std::string>& FlagsOfEveryCommand();

// Those and the command's own, by name.
std::vector<std::string> FlagsOf(const Command& command);

// The commands that understand the flag, for people: "tessera frameworks and tessera tasks". Empty
// when none does.
std::string OwnersOf(const std::string& flag);

// The command whose words start `words`; `used` says how many they are. Null when there is none.
const Command* FindCommand(const std::vector<std::string>& words, size_t* used);

// The text of `tessera --help`.
std::string Overview();

}  // namespace tessera::cli
