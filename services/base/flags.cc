#include "services/base/flags.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"
#include "services/base/version.h"

namespace tessera::base {
namespace {

constexpr int kUsageExitCode = 2;
constexpr int kMaxFlagFileDepth = 8;
constexpr size_t kHelpColumns = 96;

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// Levenshtein's distance, by rows.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

bool Understands(const ProgramInfo& info, const std::string& flag) {
  return info.flags.empty() ||
         std::find(info.flags.begin(), info.flags.end(), flag) != info.flags.end();
}

// The flags that the program understands, by name.
std::map<std::string, absl::CommandLineFlag*> FlagsByName(const ProgramInfo& info) {
  std::map<std::string, absl::CommandLineFlag*> flags;
  for (const auto& [view, flag] : absl::GetAllFlags()) {
    const std::string name(view);
    if (!flag->IsRetired() && Understands(info, name)) flags.emplace(name, flag);
  }
  return flags;
}

// What there is to say of a flag of the binary that the program does not understand.
absl::Status ForeignFlag(const std::string& name, const ProgramInfo& info) {
  const std::string owner = info.owner ? info.owner(name) : "";
  return absl::InvalidArgumentError(absl::StrCat(
      "--", name, " is no flag of ", info.name,
      owner.empty() ? "" : absl::StrCat(": it belongs to ", owner), " (--help lists all flags)"));
}

absl::Status UnknownFlag(const std::string& name, const ProgramInfo& info) {
  std::string nearest;
  size_t nearest_distance = 3;
  for (const auto& [known, flag] : FlagsByName(info)) {
    const size_t distance = EditDistance(name, known);
    if (distance < nearest_distance) {
      nearest = known;
      nearest_distance = distance;
    }
  }
  std::string message = absl::StrCat("unknown flag --", name);
  if (!nearest.empty()) absl::StrAppend(&message, "; did you mean --", nearest, "?");
  return absl::InvalidArgumentError(absl::StrCat(message, " (--help lists all flags)"));
}

absl::Status SetFlag(absl::CommandLineFlag* flag, const std::string& name,
                     const std::string& value) {
  std::string error;
  if (flag->ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, "=", value, " is not valid", error.empty() ? "" : ": ", error));
}

class Parser {
 public:
  explicit Parser(const ProgramInfo& info) : info_(info) {}

  absl::Status Parse(const std::vector<std::string>& arguments) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      const std::string& argument = arguments[i];
      if (argument == "--") {
        result_.positional.insert(result_.positional.end(), arguments.begin() + i + 1,
                                  arguments.end());
        return absl::OkStatus();
      }
      if (argument.size() < 2 || argument[0] != '-') {
        if (info_.stop_at_positional) {
          result_.positional.assign(arguments.begin() + i, arguments.end());
          return absl::OkStatus();
        }
        result_.positional.push_back(argument);
        continue;
      }
      RETURN_IF_ERROR(ParseFlag(arguments, &i));
    }
    return absl::OkStatus();
  }

  ParsedArguments TakeResult() { return std::move(result_); }

 private:
  // Takes the flag at *i, and its value from the next argument where it is not in the same one.
  absl::Status ParseFlag(const std::vector<std::string>& arguments, size_t* i) {
    std::string name = arguments[*i].substr(arguments[*i][1] == '-' ? 2 : 1);
    std::string value;
    bool has_value = false;
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
      has_value = true;
    }
    if (!has_value && (name == "help" || name == "h")) {
      result_.request = ParsedArguments::Request::kHelp;
      return absl::OkStatus();
    }
    if (!has_value && name == "version") {
      if (result_.request == ParsedArguments::Request::kRun) {
        result_.request = ParsedArguments::Request::kVersion;
      }
      return absl::OkStatus();
    }
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr && !has_value && name.rfind("no", 0) == 0) {
      absl::CommandLineFlag* negated = absl::FindCommandLineFlag(name.substr(2));
      if (negated != nullptr && negated->IsOfType<bool>()) {
        if (!Understands(info_, name.substr(2))) return ForeignFlag(name.substr(2), info_);
        return SetFlag(negated, name.substr(2), "false");
      }
    }
    if (flag == nullptr && name != "flagfile") return UnknownFlag(name, info_);
    if (flag != nullptr && !Understands(info_, name)) return ForeignFlag(name, info_);
    if (!has_value && flag != nullptr && flag->IsOfType<bool>()) return SetFlag(flag, name, "true");
    if (!has_value) {
      if (*i + 1 >= arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      }
      value = arguments[++*i];
    }
    return flag == nullptr ? ParseFile(value) : SetFlag(flag, name, value);
  }

  absl::Status ParseFile(const std::string& path) {
    if (++depth_ > kMaxFlagFileDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("--flagfile=", path, ": flag files name one another too deep"));
    }
    absl::StatusOr<std::string> text = ReadFile(path, MiB(1));
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--flagfile=", path, ": ", text.status().message()));
    }
    std::vector<std::string> arguments;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      line = absl::StripAsciiWhitespace(line);
      if (line.empty() || line.front() == '#') continue;
      if (line.front() != '-') {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": a line must be --flag=value, not '", line, "'"));
      }
      arguments.emplace_back(line);
    }
    RETURN_IF_ERROR(Annotate(Parse(arguments), path));
    --depth_;
    return absl::OkStatus();
  }

  const ProgramInfo& info_;
  ParsedArguments result_;
  int depth_ = 0;
};

// `text` in lines of at most kHelpColumns, each after `indent` spaces.
std::string Wrapped(std::string_view text, size_t indent) {
  std::string out;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) absl::StrAppend(&out, std::string(indent, ' '), line, "\n");
    line.clear();
  };
  for (absl::string_view word :
       absl::StrSplit(View(text), absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > kHelpColumns) flush();
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  flush();
  return out;
}

}  // namespace

absl::StatusOr<ParsedArguments> ParseArguments(const std::vector<std::string>& arguments,
                                               const ProgramInfo& info) {
  Parser parser(info);
  RETURN_IF_ERROR(parser.Parse(arguments));
  return parser.TakeResult();
}

std::string FlagsText(const std::vector<std::string>& flags) {
  std::string text;
  for (const std::string& name : flags) {
    const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) continue;
    const std::string value = flag->DefaultValue();
    const bool is_bool = flag->IsOfType<bool>();
    const bool is_text = flag->IsOfType<std::string>();
    absl::StrAppend(&text, "  --", is_bool ? "[no]" : "", name, "  (default: ",
                    is_text || value.empty() ? absl::StrCat("\"", value, "\"") : value, ")\n",
                    Wrapped(std::string(flag->Help()), 6));
  }
  return text;
}

std::string HelpText(const ProgramInfo& info) {
  std::vector<std::string> names;
  for (const auto& [name, flag] : FlagsByName(info)) names.push_back(name);
  std::string text = absl::StrCat(
      info.name, " ", kVersion, "\n\n", Wrapped(info.purpose, 0), "\nUsage: ", info.name, " ",
      info.usage.empty() ? "[flags]" : info.usage, "\n\nFlags:\n", FlagsText(names));
  absl::StrAppend(&text, "  --flagfile  (default: none)\n",
                  Wrapped("a file with one --flag=value a line; may be given several times", 6),
                  "  --help\n", Wrapped("print this and exit", 6), "  --version\n",
                  Wrapped("print the version and exit", 6));
  return text;
}

std::vector<std::string> ParseCommandLineOrExit(int argc, char** argv, const ProgramInfo& info) {
  absl::StatusOr<ParsedArguments> parsed =
      ParseArguments(std::vector<std::string>(argv + 1, argv + argc), info);
  if (!parsed.ok()) ExitWithUsageError(info, parsed.status());
  switch (parsed->request) {
    case ParsedArguments::Request::kHelp:
      std::fputs(HelpText(info).c_str(), stdout);
      std::exit(0);
    case ParsedArguments::Request::kVersion:
      std::printf("%s %s\n", info.name.c_str(), kVersion);
      std::exit(0);
    case ParsedArguments::Request::kRun:
      break;
  }
  return std::move(parsed->positional);
}

void ExitWithUsageError(const ProgramInfo& info, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", info.name.c_str(), std::string(status.message()).c_str());
  std::exit(kUsageExitCode);
}

}  // namespace tessera::base
