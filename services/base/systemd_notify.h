// Tells systemd (units of Type=notify) how a service is doing. Outside of systemd, where
// $NOTIFY_SOCKET is not set, every call does nothing. Thread-safe.
#pragma once

#include <string>

namespace tessera::base {

// The service answers requests from now on. `status` is the line that `systemctl status` shows.
void NotifyReady(const std::string& status);

// The service has begun to stop.
void NotifyStopping();

}  // namespace tessera::base
