#include "services/master/server/whitelist_file.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::master {
namespace {

absl::StatusOr<std::vector<std::string>> Read(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path));
  absl::StatusOr<std::vector<std::string>> hostnames = ParseWhitelist(text);
  if (!hostnames.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", hostnames.status().message()));
  }
  return hostnames;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseWhitelist(std::string_view text) {
  constexpr size_t kHostnameMax = 253;
  std::vector<std::string> hostnames;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const bool fits =
        line.size() <= kHostnameMax && std::all_of(line.begin(), line.end(), [](char c) {
          return absl::ascii_isgraph(static_cast<unsigned char>(c));
        });
    if (!fits) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is no hostname: write one on each line"));
    }
    hostnames.emplace_back(line);
  }
  std::sort(hostnames.begin(), hostnames.end());
  hostnames.erase(std::unique(hostnames.begin(), hostnames.end()), hostnames.end());
  return hostnames;
}

absl::StatusOr<std::unique_ptr<WhitelistFile>> WhitelistFile::Watch(
    const std::string& path, absl::Duration interval, std::function<void(Hostnames)> changed) {
  ASSIGN_OR_RETURN(Hostnames first, Read(path));
  changed(first);
  return std::unique_ptr<WhitelistFile>(
      new WhitelistFile(path, interval, std::move(changed), std::move(first)));
}

WhitelistFile::WhitelistFile(std::string path, absl::Duration interval,
                             std::function<void(Hostnames)> changed, Hostnames first)
    : path_(std::move(path)), interval_(interval), changed_(std::move(changed)) {
  thread_ = std::thread([this, first = std::move(first)]() mutable { Run(std::move(first)); });
}

WhitelistFile::~WhitelistFile() {
  stop_.Notify();
  thread_.join();
}

void WhitelistFile::Run(Hostnames last) {
  std::string complaint;
  while (!stop_.WaitForNotificationWithTimeout(interval_)) {
    absl::StatusOr<Hostnames> now = Read(path_);
    if (!now.ok()) {
      // Once, not at every look.
      if (complaint != now.status().message()) {
        complaint = std::string(now.status().message());
        LOG(ERROR) << "the whitelist stays as it was: " << complaint;
      }
      continue;
    }
    complaint.clear();
    if (*now == last) continue;
    LOG(INFO) << "the whitelist has " << now->size() << " hostnames now";
    last = *now;
    changed_(*std::move(now));
  }
}

}  // namespace tessera::master
