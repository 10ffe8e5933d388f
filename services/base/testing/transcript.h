// Golden transcripts: a script of commands with what came of each, kept in a file and compared.
//
//   # A comment, anywhere before a command.
//   agent a1 cpus:4
//   ----
//   to agent 1: registered { agent_id: "..." }
//
//   wait 75s
//   ----
//   (nothing)
//
// A command is the line before `----`; what follows up to an empty line is what it is expected to
// say. The test gives a function that carries a command out and returns its lines. When they
// differ, the failure shows both; with $TESSERA_RENEW_TRANSCRIPTS set, the file in the tree is
// written anew instead (`make transcripts`), and the difference is for the reviewer to read.
//
// Pure but for RunTranscript, which reads and writes files. For tests; no threads.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::base {

// One command of a script.
struct TranscriptStep {
  // Comments and empty lines above the command, as they are in the file, with line ends.
  std::string above;
  // Without blanks at its ends; never empty.
  std::string command;
  // What it is expected to say: lines with their ends, or empty.
  std::string expected;
  // The command's line in the file, from 1.
  int line = 0;
};

struct Transcript {
  std::vector<TranscriptStep> steps;
  // Comments after the last command.
  std::string below;
};

// INVALID_ARGUMENT names the line: a command without `----`, or one that is missing.
absl::StatusOr<Transcript> ParseTranscript(std::string_view text);

// The text of a file that parses to it; ParseTranscript and this are inverse but for empty lines.
std::string FormatTranscript(const Transcript& transcript);

// The words of a command: `name`, then `key:value` or plain arguments, separated by blanks.
// "quoted parts" keep theirs.
std::vector<std::string> CommandWords(std::string_view command);

// Carries a command out: what it says, lines with their ends.
using TranscriptRunner = std::function<std::string(const std::string& command)>;

// Runs the file at `path` (under the runfiles, as under the tree) and reports to GoogleTest each
// step that says something else than expected.
void RunTranscript(const std::string& path, const TranscriptRunner& run);

// The .txt files of a folder under the runfiles, sorted; a failure of the test when there is none.
std::vector<std::string> TranscriptFiles(const std::string& folder);

// The file's name as the name of a test: "kill" for ".../kill.txt".
std::string TranscriptName(const std::string& path);

}  // namespace tessera::base
