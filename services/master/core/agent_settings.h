// What operators set of an agent, and its record in the registry.
#pragma once

#include "services/master/core/books.h"

namespace tessera::master {

// The record of the agent with its settings, as the registry keeps it.
reg::AdmittedAgent RecordOf(const Agent& agent);
// Deactivation, drain: applies what is durable and tells whoever needs to know.
void ApplySettings(Books& books, Agent& agent, const reg::AdmittedAgent& settings);

}  // namespace tessera::master
