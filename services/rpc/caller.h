// Who makes a call, from what gRPC knows of it.
//
// Threads: any, while the context lives.
#pragma once

#include <string>
#include <string_view>

#include "services/auth/caller.h"

namespace grpc {
class ServerContextBase;
}

namespace tessera::rpc {

// The peer's address, what its transport has proven, and the request's id: the metadata
// `x-request-id` when it is sound, else one made here. Nothing else of the metadata is believed.
// Make it once for a call or stream and copy it into each event.
auth::Caller CallerOf(const grpc::ServerContextBase& context);

// gRPC's name of a peer (`ipv4:1.2.3.4:5`, `ipv6:%5B::1%5D:5`, `unix:/path`) as addresses are
// written elsewhere: `1.2.3.4:5`, `[::1]:5`, `unix:/path`; at most 256 bytes of it.
std::string PeerAddress(std::string_view grpc_peer);

}  // namespace tessera::rpc
