// The parts of the cluster's objects as the read endpoints have long shown them: summaries of
// resources, attributes, labels, and the protobuf JSON of commands, containers and checks with the
// names and units of the old messages.
//
// Pure. Threads: any; a writer belongs to its caller.
#pragma once

#include <string>
#include <string_view>

#include "protos/tessera/model/v1/agent.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/model/resources.h"
#include "services/state/json/json_writer.h"

namespace tessera::state {

namespace pb = tessera::model::v1;

// {cpus, gpus, mem, disk, then others by name, then <name>_revocable}: everything of one name added
// up, whatever it is reserved to. Ranges and sets are strings.
void WriteSummary(const model::Resources& resources, JsonWriter* json);

// The same in the order of the alphabet, with 0 for nothing: the form of /roles.
void WriteSortedSummary(const model::Resources& resources, JsonWriter* json);

// {role: summary} of what is reserved.
void WriteReserved(const model::Resources& resources, JsonWriter* json);

// {name: number or string}; of a name that comes twice, the first.
void WriteAttributes(const google::protobuf::RepeatedPtrField<pb::Attribute>& attributes,
                     JsonWriter* json);

// {fault_domain: {region: {name}, zone: {name}}}
void WriteDomain(const pb::FaultDomain& domain, JsonWriter* json);

// [{key, value?}]
void WriteLabels(const pb::Labels& labels, JsonWriter* json);

// {shell?, value?, argv, environment?, uris}
void WriteCommand(const pb::CommandInfo& command, JsonWriter* json);

void WriteDiscovery(const pb::Discovery& discovery, JsonWriter* json);
void WriteContainer(const pb::ContainerInfo& container, JsonWriter* json);
void WriteContainerStatus(const pb::ContainerStatus& status, JsonWriter* json);
void WriteHealthCheck(const pb::HealthCheck& check, JsonWriter* json);

// The name of an enum's value without a prefix; `unknown` when it has none.
std::string_view TaskStateText(pb::TaskState state);

// The number after the last ':' of `host:port`, 0 when there is none.
int PortOf(std::string_view address);
// What comes before it.
std::string_view HostOf(std::string_view address);

}  // namespace tessera::state
