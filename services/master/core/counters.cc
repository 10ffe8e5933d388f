#include "services/master/core/counters.h"

namespace tessera::master {

std::optional<OperationType> OperationTypeOf(model::v1::Operation::KindCase kind) {
  using Operation = model::v1::Operation;
  switch (kind) {
    case Operation::kLaunch:
      return OperationType::kLaunch;
    case Operation::kLaunchGroup:
      return OperationType::kLaunchGroup;
    case Operation::kReserve:
      return OperationType::kReserve;
    case Operation::kUnreserve:
      return OperationType::kUnreserve;
    case Operation::kCreate:
      return OperationType::kCreate;
    case Operation::kDestroy:
      return OperationType::kDestroy;
    case Operation::kGrowVolume:
      return OperationType::kGrowVolume;
    case Operation::kShrinkVolume:
      return OperationType::kShrinkVolume;
    case Operation::kCreateDisk:
      return OperationType::kCreateDisk;
    case Operation::kDestroyDisk:
      return OperationType::kDestroyDisk;
    case Operation::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace tessera::master
