// OperatorService at the wire: calls become events of the core.
#pragma once

#include <memory>

namespace grpc {
class Service;
}

namespace tessera::master {

class MasterShell;

// `shell` outlives the service.
std::unique_ptr<grpc::Service> MakeOperatorServer(MasterShell* shell);

}  // namespace tessera::master
