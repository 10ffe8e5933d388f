// Holds what is published, or shown, against the books of the leading master: what is in them, and
// nothing else, must be there.
#pragma once

#include <string>

#include "services/master/core/books.h"
#include "tests/sim/rows.h"

namespace tessera::sim {

// What the rows say otherwise than the books; empty: nothing.
std::string DifferenceFromBooks(const master::Books& books, const Rows& rows);

// What tasks and executors hold on the agent, as the books have it.
Amounts UsedOn(const master::Agent& agent);

}  // namespace tessera::sim
