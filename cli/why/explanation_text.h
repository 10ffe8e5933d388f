// An explanation in words and tables for people: for each role the reasons with what to do about
// them, the agents that come nearest to fitting, who holds what is missing, and who sits on offers.
#pragma once

#include <string>

#include "protos/tessera/operators/v1/operator_service.pb.h"

namespace tessera::cli {

std::string ExplanationText(const operators::v1::ExplainAllocationRequest& request,
                            const operators::v1::ExplainAllocationResponse& answer);

}  // namespace tessera::cli
