#include "services/allocator/core/allocator_events.h"

namespace tessera::allocator {

const char* RefusalReasonName(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kUnknownFramework:
      return "unknown framework";
    case RefusalReason::kDuplicateFramework:
      return "duplicate framework";
    case RefusalReason::kUnknownAgent:
      return "unknown agent";
    case RefusalReason::kDuplicateAgent:
      return "duplicate agent";
    case RefusalReason::kNegativeAmount:
      return "negative amount";
    case RefusalReason::kNotHeld:
      return "not held";
    case RefusalReason::kQuantityChanged:
      return "quantity changed";
    case RefusalReason::kDuplicateRole:
      return "duplicate role";
    case RefusalReason::kNotSubscribed:
      return "not subscribed";
    case RefusalReason::kBadWeight:
      return "bad weight";
    case RefusalReason::kBadQuota:
      return "bad quota";
  }
  return "unknown";
}

}  // namespace tessera::allocator
