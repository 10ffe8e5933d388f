// Holds what readers are shown against the books that the leading master works with.
#pragma once

#include <string>

#include "services/master/core/books.h"
#include "services/state/core/snapshot.h"

namespace tessera::sim {

// Names the first framework, task, executor, agent, offer or role of which the two say something
// different; empty when they agree.
std::string DifferenceFromBooks(const master::Books& books, const state::Snapshot& shown);

}  // namespace tessera::sim
