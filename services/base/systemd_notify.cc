#include "services/base/systemd_notify.h"

#include <systemd/sd-daemon.h>

#include <algorithm>

#include <glog/logging.h>

namespace tessera::base {
namespace {

// The protocol is one assignment a line: a newline inside the text would be a second one.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void Send(const std::string& state) {
  const int result = sd_notify(0, state.c_str());
  LOG_IF(WARNING, result < 0) << "systemd was not notified: errno " << -result;
}

}  // namespace

void NotifyReady(const std::string& status) { Send("READY=1\nSTATUS=" + OneLine(status)); }

void NotifyStopping() { Send("STOPPING=1"); }

}  // namespace tessera::base
