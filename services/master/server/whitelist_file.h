// The file of hostnames that agents are offered of, read again every so often.
//
// One hostname a line; what follows a `#` is a comment. A file without hostnames means no agent.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace tessera::master {

// Sorted, each once. INVALID_ARGUMENT names the line that is no hostname.
absl::StatusOr<std::vector<std::string>> ParseWhitelist(std::string_view text);

class WhitelistFile {
 public:
  using Hostnames = std::vector<std::string>;

  // Calls `changed` with what the file holds, now and whenever that is another at one of the looks
  // that follow, each after `interval`. Errors as of base::ReadFile and ParseWhitelist; later ones
  // are logged, and the last good contents stay in force.
  static absl::StatusOr<std::unique_ptr<WhitelistFile>> Watch(
      const std::string& path, absl::Duration interval, std::function<void(Hostnames)> changed);
  // Waits for a look under way.
  ~WhitelistFile();
  WhitelistFile(const WhitelistFile&) = delete;
  WhitelistFile& operator=(const WhitelistFile&) = delete;

 private:
  WhitelistFile(std::string path, absl::Duration interval, std::function<void(Hostnames)> changed,
                Hostnames first);
  void Run(Hostnames last);

  const std::string path_;
  const absl::Duration interval_;
  const std::function<void(Hostnames)> changed_;
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace tessera::master
