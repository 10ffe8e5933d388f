#include "services/agent/runtime/file_undo_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/checkpoint/crc32c.h"
#include "services/agent/isolators/word_code.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr char kFormat[] = "tessera-undo ";
constexpr uint32_t kFormatNumber = 1;
constexpr size_t kCheckDigits = 8;
constexpr size_t kWorthRewriting = 1 << 20;

// `<crc32c> <text>\n`
std::string Line(const std::string& text) {
  return absl::StrCat(absl::Hex(Crc32c(text), absl::kZeroPad8), " ", text, "\n");
}

std::string AddText(const ContainerId& owner, const std::string& undo) {
  return absl::StrCat("\tadd ", EncodeWord(owner.text()), " ", undo);
}

std::string FirstLine() { return absl::StrCat(kFormat, kFormatNumber, "\n"); }

}  // namespace

absl::StatusOr<std::unique_ptr<FileUndoJournal>> FileUndoJournal::Open(std::string path) {
  std::unique_ptr<FileUndoJournal> journal(new FileUndoJournal(std::move(path)));
  absl::MutexLock lock(&journal->mutex_);
  const absl::StatusOr<std::string> contents = base::ReadFile(journal->path_);
  // The file is made with the first record: most agents never have one.
  if (absl::IsNotFound(contents.status())) return journal;
  RETURN_IF_ERROR(contents.status());
  RETURN_IF_ERROR(base::Annotate(journal->Read(*contents), journal->path_));
  RETURN_IF_ERROR(journal->OpenAsItIs(contents->size()));
  return journal;
}

absl::Status FileUndoJournal::OpenAsItIs(size_t bytes) {
  if (forgotten_ || bytes != size_) {
    const absl::Status rewritten = Rewrite();
    // On a full disk the agent must start all the same, and undo what it can.
    if (!absl::IsResourceExhausted(rewritten)) return rewritten;
    if (truncate(path_.c_str(), static_cast<off_t>(size_)) != 0) {
      return base::ErrnoStatus(errno, "cut", path_);
    }
  }
  file_.reset(open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  return file_.valid() ? absl::OkStatus() : base::ErrnoStatus(errno, "open", path_);
}

absl::Status FileUndoJournal::Read(const std::string& contents) {
  const size_t end = contents.find('\n');
  const std::string first = contents.substr(0, end);
  uint32_t number = 0;
  if (end == std::string::npos || first.rfind(kFormat, 0) != 0 ||
      !absl::SimpleAtoi(first.substr(sizeof(kFormat) - 1), &number)) {
    return absl::DataLossError("no undo journal");
  }
  if (number > kFormatNumber) {
    return absl::FailedPreconditionError(absl::StrCat("written by a newer agent, in format ",
                                                      number, "; this one knows ", kFormatNumber));
  }
  size_ = end + 1;
  for (size_t at = size_; at < contents.size();) {
    const size_t newline = contents.find('\n', at);
    if (newline == std::string::npos) return absl::OkStatus();  // cut short
    if (!Replay(std::string_view(contents).substr(at, newline - at))) {
      if (newline + 1 == contents.size()) return absl::OkStatus();
      return absl::DataLossError(absl::StrCat("damaged at byte ", at));
    }
    at = newline + 1;
    size_ = at;
  }
  return absl::OkStatus();
}

bool FileUndoJournal::Replay(std::string_view line) {
  if (line.size() < kCheckDigits + 1 || line[kCheckDigits] != ' ') return false;
  const std::string_view text = line.substr(kCheckDigits + 1);
  if (Line(std::string(text)) != std::string(line) + "\n") return false;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\t', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(part, absl::MaxSplits(' ', 2));
    std::string owner;
    if (words.size() < 2 || !DecodeWord({words[1].data(), words[1].size()}, &owner)) return false;
    if (words[0] == "add" && words.size() == 3) {
      undos_[owner].emplace_back(words[2]);
      ++count_;
    } else if (words[0] == "forget" && words.size() == 2) {
      forgotten_ = true;
      const auto found = undos_.find(owner);
      if (found == undos_.end()) continue;
      count_ -= found->second.size();
      undos_.erase(found);
    } else {
      return false;
    }
  }
  return true;
}

absl::Status FileUndoJournal::Rewrite() {
  std::string contents = FirstLine();
  for (const auto& [owner, undos] : undos_) {
    std::string text;
    for (const std::string& undo : undos) text += AddText(owner, undo);
    contents += Line(text);
  }
  file_.reset();
  RETURN_IF_ERROR(base::WriteFileDurably(path_, contents));
  file_.reset(open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file_.valid()) return base::ErrnoStatus(errno, "open", path_);
  size_ = contents.size();
  rewritten_size_ = size_;
  forgotten_ = false;
  return absl::OkStatus();
}

absl::Status FileUndoJournal::WriteLine(const std::string& line, bool sync) {
  // A rewrite that failed has left it closed.
  if (!file_.valid()) RETURN_IF_ERROR(Rewrite());
  absl::Status written = base::WriteAll(file_.get(), line, path_);
  if (written.ok() && sync && fdatasync(file_.get()) != 0) {
    written = base::ErrnoStatus(errno, "sync", path_);
  }
  if (written.ok()) {
    size_ += line.size();
    return written;
  }
  // The next line must not be glued to a part of this one, and after a failed sync nobody knows
  // what the file holds: it is written anew before it is used again.
  file_.reset();
  return written;
}

absl::Status FileUndoJournal::Append(const std::vector<UndoRecord>& records) {
  if (records.empty()) return absl::OkStatus();
  std::string text;
  for (const UndoRecord& record : records) {
    if (record.undo.find_first_of("\t\n") != std::string::npos) {
      return absl::InvalidArgumentError("an undo is one line without tabs");
    }
    text += AddText(record.owner, record.undo);
  }
  absl::MutexLock lock(&mutex_);
  if (count_ + records.size() > kMaximumRecords) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the undo journal holds ", count_, " records"));
  }
  RETURN_IF_ERROR(WriteLine(Line(text), true));
  for (const UndoRecord& record : records) undos_[record.owner].push_back(record.undo);
  count_ += records.size();
  return absl::OkStatus();
}

absl::Status FileUndoJournal::Forget(const ContainerId& owner) {
  absl::MutexLock lock(&mutex_);
  const auto found = undos_.find(owner);
  if (found == undos_.end()) return absl::OkStatus();
  count_ -= found->second.size();
  undos_.erase(found);
  if (size_ - rewritten_size_ > kWorthRewriting) return Rewrite();
  return WriteLine(Line(absl::StrCat("forget ", EncodeWord(owner.text()))), false);
}

std::vector<UndoRecord> FileUndoJournal::RecordsOf(const ContainerId& owner) const {
  absl::MutexLock lock(&mutex_);
  std::vector<UndoRecord> records;
  const auto found = undos_.find(owner);
  if (found == undos_.end()) return records;
  for (const std::string& undo : found->second) records.push_back({owner, undo});
  return records;
}

std::vector<ContainerId> FileUndoJournal::Owners() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ContainerId> owners;
  for (const auto& [owner, undos] : undos_) owners.push_back(owner);
  return owners;
}

}  // namespace tessera::agent
