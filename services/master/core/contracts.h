// Short names for the packages of contracts that the master's core speaks.
#pragma once

#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"
#include "protos/tessera/allocator/v1/allocator_service.pb.h"
#include "protos/tessera/model/v1/agent.pb.h"
#include "protos/tessera/model/v1/error.pb.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "protos/tessera/model/v1/offer.pb.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "protos/tessera/operators/v1/operator_service.pb.h"
#include "protos/tessera/registry/v1/records.pb.h"
#include "protos/tessera/registry/v1/registry_service.pb.h"
#include "protos/tessera/scheduler/v1/scheduler_service.pb.h"

namespace tessera::master {

namespace pb = ::tessera::model::v1;
namespace sched = ::tessera::scheduler::v1;
namespace link = ::tessera::agentlink::v1;
namespace alloc = ::tessera::allocator::v1;
namespace reg = ::tessera::registry::v1;
namespace ops = ::tessera::operators::v1;

}  // namespace tessera::master
