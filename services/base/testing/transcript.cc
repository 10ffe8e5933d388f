#include "services/base/testing/transcript.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tessera::base {
namespace {

constexpr std::string_view kRule = "----";
constexpr char kNothing[] = "(nothing)\n";

std::string Trimmed(std::string_view text) {
  return std::string(absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size())));
}

// The whole file; a failure of the test when it cannot be read.
std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path << " cannot be read";
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

absl::StatusOr<Transcript> ParseTranscript(std::string_view text) {
  Transcript transcript;
  TranscriptStep step;
  enum class At { kAbove, kRule, kExpected } at = At::kAbove;
  int number = 0;
  std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(text.data(), text.size()), '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (const std::string& line : lines) {
    ++number;
    const std::string trimmed = Trimmed(line);
    switch (at) {
      case At::kAbove:
        if (trimmed.empty() || trimmed[0] == '#') {
          absl::StrAppend(&step.above, trimmed, "\n");
        } else if (trimmed == kRule) {
          return absl::InvalidArgumentError(absl::StrCat(number, ": no command above the rule"));
        } else {
          step.command = trimmed;
          step.line = number;
          at = At::kRule;
        }
        break;
      case At::kRule:
        if (trimmed != kRule) {
          return absl::InvalidArgumentError(
              absl::StrCat(number, ": no ", std::string(kRule), " under the command"));
        }
        at = At::kExpected;
        break;
      case At::kExpected:
        if (trimmed.empty()) {
          if (step.expected == kNothing) step.expected.clear();
          transcript.steps.push_back(std::exchange(step, TranscriptStep()));
          at = At::kAbove;
        } else {
          absl::StrAppend(&step.expected, line, "\n");
        }
        break;
    }
  }
  if (at == At::kRule) {
    return absl::InvalidArgumentError(absl::StrCat(number, ": the last command has no rule"));
  }
  if (at == At::kExpected) {
    if (step.expected == kNothing) step.expected.clear();
    transcript.steps.push_back(std::move(step));
  } else {
    transcript.below = step.above;
  }
  return transcript;
}

std::string FormatTranscript(const Transcript& transcript) {
  std::string text;
  for (const TranscriptStep& step : transcript.steps) {
    absl::StrAppend(&text, step.above, step.command, "\n", std::string(kRule), "\n",
                    step.expected.empty() ? kNothing : step.expected, "\n");
  }
  absl::StrAppend(&text, transcript.below);
  while (text.size() > 1 && text.substr(text.size() - 2) == "\n\n") text.pop_back();
  return text;
}

std::vector<std::string> CommandWords(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (const char c : command) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) words.push_back(std::exchange(word, ""));
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

void RunTranscript(const std::string& path, const TranscriptRunner& run) {
  absl::StatusOr<Transcript> transcript = ParseTranscript(ReadText(path));
  ASSERT_TRUE(transcript.ok()) << path << ":" << transcript.status().message();
  ASSERT_FALSE(transcript->steps.empty()) << path << " has no commands";
  const bool renew = std::getenv("TESSERA_RENEW_TRANSCRIPTS") != nullptr;
  for (TranscriptStep& step : transcript->steps) {
    const std::string said = run(step.command);
    // An empty line would end what was said too early.
    EXPECT_EQ(said.find("\n\n"), std::string::npos) << path << ":" << step.line;
    if (!renew) {
      EXPECT_EQ(said, step.expected) << path << ":" << step.line << ": " << step.command;
    }
    step.expected = said;
  }
  if (!renew) return;
  const char* tree = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  ASSERT_NE(tree, nullptr) << "run it by `make transcripts`";
  std::ofstream out(absl::StrCat(tree, "/", path));
  out << FormatTranscript(*transcript);
  out.close();
  EXPECT_TRUE(out.good()) << path << " cannot be written";
}

std::vector<std::string> TranscriptFiles(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().string());
  }
  EXPECT_FALSE(files.empty()) << "no transcripts under " << folder << ": " << error.message();
  std::sort(files.begin(), files.end());
  return files;
}

std::string TranscriptName(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

}  // namespace tessera::base
