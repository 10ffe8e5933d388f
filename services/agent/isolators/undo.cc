#include "services/agent/isolators/undo.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/isolators/word_code.h"

namespace tessera::agent {
namespace {

constexpr char kRemoveDirectory[] = "remove-directory";
constexpr char kRemoveCgroup[] = "remove-cgroup";

bool Word(absl::string_view word, std::string* text) {
  return DecodeWord({word.data(), word.size()}, text);
}

struct Words {
  std::string operator()(const RemoveHostDirectory& o) const {
    return absl::StrCat(kRemoveDirectory, " ", EncodeWord(o.path));
  }
  std::string operator()(const RemoveCgroup& o) const {
    return absl::StrCat(kRemoveCgroup, " ", EncodeWord(o.name));
  }
};

}  // namespace

std::string FormatUndo(const SavedUndo& undo) {
  return absl::StrCat(EncodeWord(undo.isolator), " ", EncodeWord(undo.step), " ",
                      std::visit(Words(), undo.operation));
}

absl::StatusOr<SavedUndo> ParseUndo(std::string_view line) {
  const absl::string_view text(line.data(), line.size());
  const auto damaged = [text] {
    return absl::DataLossError(absl::StrCat("not the undo of a step: \"", text, "\""));
  };
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  SavedUndo undo;
  std::string argument;
  if (words.size() != 4 || !Word(words[0], &undo.isolator) || !Word(words[1], &undo.step) ||
      !Word(words[3], &argument) || argument.empty()) {
    return damaged();
  }
  if (words[2] == kRemoveDirectory && argument[0] == '/') {
    undo.operation = RemoveHostDirectory{std::move(argument)};
  } else if (words[2] == kRemoveCgroup && argument[0] != '/' && argument[0] != '.') {
    undo.operation = RemoveCgroup{std::move(argument)};
  } else {
    return damaged();
  }
  return undo;
}

}  // namespace tessera::agent
