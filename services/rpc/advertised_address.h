// The address that a service tells others to reach it at.
//
// Pure: the name of the machine is handed in.
#pragma once

#include <string>

namespace tessera::rpc {

// `advertise` where the operator gave one. Otherwise the address bound, `host:port` with the real
// port; nobody can dial a wildcard (0.0.0.0, [::], * or no host), so `hostname` takes its place
// there. Unix sockets stay what they are.
std::string AdvertisedAddress(const std::string& advertise, const std::string& bound,
                              const std::string& hostname);

}  // namespace tessera::rpc
