// Which fields of a spec ask for something that an isolator must stand for.
//
// An agent may run without some isolators, and a field may be newer than all of them: what is asked
// for and would not happen is refused, in one place (CheckCovered), before anything is made.
// A field that every runtime carries out by itself (command, user, sandbox) is none of these. Nor
// are the booked cpus and memory: an operator who leaves their isolators out does not want
// containers held to them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "absl/status/status.h"
#include "services/agent/container/container_spec.h"

namespace tessera::agent {

enum class SpecField : uint32_t {
  kRootfs,
  kMounts,
  kPrivateTmp,
  kHostname,
  kPidNamespace,  // joined; an own one is what isolators give unless told otherwise
  kIpcNamespace,
  kUtsNamespace,
  kCgroupNamespace,
  kNetNamespace,  // own or joined: the host's is the default
  kMntNamespace,  // joined
  kCpuLimit,
  kPidsLimit,
};
inline constexpr uint32_t kSpecFieldCount = 12;

// A set of them.
class SpecFields {
 public:
  constexpr SpecFields() = default;
  constexpr SpecFields(std::initializer_list<SpecField> fields) {
    for (const SpecField field : fields) Add(field);
  }
  constexpr void Add(SpecField field) { bits_ |= uint32_t{1} << static_cast<uint32_t>(field); }
  constexpr void Add(SpecFields other) { bits_ |= other.bits_; }
  constexpr bool Has(SpecField field) const {
    return (bits_ >> static_cast<uint32_t>(field) & 1) != 0;
  }

 private:
  uint32_t bits_ = 0;
};

// As in the spec: `namespaces.net`, `resources.pids_limit`.
std::string_view SpecFieldName(SpecField field);

// What the spec asks for.
SpecFields UsedFields(const ContainerSpec& spec);
SpecFields UsedFields(const PodSpec& spec);
SpecFields UsedFields(const ContainerResources& resources);

// INVALID_ARGUMENT naming the first field that is used and not covered.
absl::Status CheckCovered(SpecFields used, SpecFields covered);

}  // namespace tessera::agent
