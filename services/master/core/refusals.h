// Refusals that several flows answer with.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/master/core/contracts.h"
#include "services/master/core/times.h"
#include "services/rpc/error.h"

namespace tessera::master {

inline absl::Status FrameworkRemoved(const std::string& id) {
  return rpc::Error(absl::StatusCode::kPermissionDenied, pb::ErrorDetail::FRAMEWORK_REMOVED,
                    absl::StrCat("framework ", id, " was torn down or did not come back in time; ",
                                 "subscribe with an empty id to start anew"));
}

inline absl::Status UnknownFramework(const std::string& id) {
  return rpc::Error(absl::StatusCode::kNotFound, pb::ErrorDetail::UNKNOWN_FRAMEWORK,
                    absl::StrCat("no framework has the id '", id, "'; subscribe first"));
}

inline absl::Status UnknownAgent(const std::string& id) {
  return rpc::Error(absl::StatusCode::kNotFound, pb::ErrorDetail::UNKNOWN_AGENT,
                    absl::StrCat("no agent has the id '", id, "'"));
}

inline absl::Status AgentDisconnected(const std::string& id) {
  return rpc::Error(absl::StatusCode::kUnavailable, pb::ErrorDetail::AGENT_DISCONNECTED,
                    absl::StrCat("agent ", id, " is not connected now; try again"));
}

inline absl::Status AgentGone(const std::string& id) {
  return rpc::Error(
      absl::StatusCode::kPermissionDenied, pb::ErrorDetail::AGENT_GONE,
      absl::StrCat("agent ", id, " was declared gone; it can only come back as a new one"));
}

inline absl::Status Conflicting(const std::string& what) {
  return rpc::Error(absl::StatusCode::kFailedPrecondition, pb::ErrorDetail::CONFLICTING_TRANSITION,
                    what);
}

inline absl::Status NotSupported(const std::string& what) {
  return rpc::Error(absl::StatusCode::kUnimplemented, pb::ErrorDetail::NOT_SUPPORTED, what);
}

inline absl::Status Later(absl::StatusCode code, pb::ErrorDetail::Reason reason,
                          absl::Duration retry_after, const std::string& what) {
  pb::ErrorDetail detail;
  detail.set_reason(reason);
  SetDuration(retry_after, detail.mutable_retry_after());
  return rpc::Error(code, detail, what);
}

// For an agent without an id at the address of one that is connected.
inline absl::Status AddressInUse(const std::string& address, const std::string& agent_id,
                                 absl::Duration retry_after) {
  return Later(absl::StatusCode::kAlreadyExists, pb::ErrorDetail::ADDRESS_IN_USE, retry_after,
               absl::StrCat("agent ", agent_id, " is connected and has the address ", address,
                            "; give this one an address of its own"));
}

// For agents of machines that are down.
inline absl::Status MachineDown(const std::string& machine, absl::Duration retry_after) {
  return Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::MACHINE_DOWN, retry_after,
               absl::StrCat("machine ", machine, " is down for maintenance; its agents may ",
                            "register when the maintenance is stopped"));
}

inline absl::Status TooMany(const std::string& what) {
  return Later(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::OVERLOADED, absl::Seconds(1),
               absl::StrCat(what, ": at the bound; back off"));
}

// Not to be repeated as it is.
inline absl::Status TooManyInOneCall(const std::string& what, size_t max) {
  return rpc::Error(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
                    absl::StrCat("at most ", max, " ", what, " in one call; make several calls"));
}

}  // namespace tessera::master
