// Messages as a line of text for transcripts and failures: short, and the same on every run.
//
// Protobuf's text format with three changes: a resource is what a person would write
// ("cpus(work):1"), durations and timestamps are seconds, and bytes are their number. A golden file
// may hold it: maps are printed in order of their keys, and nothing depends on addresses.
//
// Pure; any thread.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace tessera::model::testing {

std::string MessageText(const google::protobuf::Message& message);

}  // namespace tessera::model::testing
