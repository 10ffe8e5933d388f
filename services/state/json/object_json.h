// Agents, frameworks, tasks, offers and executors as JSON, key by key as the read endpoints have
// long shown them.
//
// Descriptions and statuses are parsed from their bytes when they are written; what was written is
// kept with the object (rendering.h), so that is once for each version of it.
//
// Pure. Threads: any.
#pragma once

#include <string>

#include "services/feed/core/snapshot.h"
#include "services/state/json/json_writer.h"

namespace tessera::state {

namespace pb = ::tessera::model::v1;

using feed::Agent;
using feed::Framework;
using feed::Role;
using feed::Snapshot;
using feed::SnapshotPtr;
using feed::TaskCounts;
using feed::TaskRow;

// Where browsers and old clients find the read endpoints: `leader_info` in /state.
struct PublicAddress {
  std::string hostname;
  int port = 0;
};

// The first part of /state, up to `flags`, without its closing brace.
void WriteOpenCluster(const Snapshot& snapshot, const PublicAddress& address, JsonWriter* json);

// The object of /roles.
void WriteRole(const Snapshot& snapshot, const std::string& name, const Role& role,
               JsonWriter* json);

// The object of `slaves[]`, without its closing brace: others append to it.
void WriteOpenAgent(const Agent& agent, JsonWriter* json);

// {id, hostname, port, attributes, domain?}
void WriteRecoveredAgent(const Agent& agent, JsonWriter* json);

void WriteTask(const TaskRow& task, JsonWriter* json);
void WriteExecutor(const feed::ExecutorRow& executor, JsonWriter* json);
void WriteOffer(const feed::OfferRow& offer, JsonWriter* json);

// The first part of a framework's object, up to `recovered`, without its closing brace: what
// /state-summary shows.
void WriteOpenFrameworkSummary(const Framework& framework, JsonWriter* json);

// What follows, up to the task lists.
void WriteFrameworkRest(const Framework& framework, JsonWriter* json);

// What comes after the task lists: offers, executors, labels.
void WriteFrameworkTail(const Framework& framework, JsonWriter* json);

// TASK_STAGING … TASK_UNREACHABLE as integers: what /state-summary appends.
void WriteTaskCounts(const TaskCounts& counts, JsonWriter* json);

}  // namespace tessera::state
