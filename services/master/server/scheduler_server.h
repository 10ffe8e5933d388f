// SchedulerService at the wire: calls and subscriptions become events of the core.
#pragma once

#include <memory>

namespace grpc {
class Service;
}

namespace tessera::master {

class MasterShell;

// `shell` outlives the service.
std::unique_ptr<grpc::Service> MakeSchedulerServer(MasterShell* shell);

}  // namespace tessera::master
