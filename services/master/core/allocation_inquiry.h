// An operator asks why a framework is not offered what it wants. The allocator knows; the master
// turns the question into the allocator's, one for each role, and adds what only the master tells
// apart: offers that nobody has answered yet.
//
// Reads the books and changes nothing.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/master/core/books.h"

namespace tessera::master {

struct AllocationInquiry {
  std::vector<alloc::ExplainAllocationRequest> questions;
  // Complete but for `roles`, to which the answers are added in order.
  ops::ExplainAllocationResponse answer;
};

// NOT_FOUND: UNKNOWN_FRAMEWORK, UNKNOWN_ROLE.
absl::StatusOr<AllocationInquiry> InquireAllocation(const Books& books,
                                                    const ops::ExplainAllocationRequest& request);

// What an operator is told when the allocator answers `status`, which is not OK: that it is away,
// or does not know yet what the master knows, is UNAVAILABLE (RECOVERING); all else stays.
absl::Status InquiryFailed(const absl::Status& status);

}  // namespace tessera::master
