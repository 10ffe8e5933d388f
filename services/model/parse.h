// Resources as text: the form people type on a command line, and the JSON form.
//
// Text: "cpus:4;mem:1024;ports:[31000-32000];zones:{a,b};cpus(eng):2", where "(role)" is a static
// reservation. JSON: an array of resource objects; both the reservation stack
// ("reservations") and the old "role" plus "reservation" are understood.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "services/model/resources.h"

namespace tessera::model {

// Reads either form (JSON when the text starts with "["). Reserves unreserved parts to
// `default_role` unless that is "*". What an operator cannot state for a machine is refused:
// persistent volumes, revocable resources, dynamic reservations. InvalidArgument names the part.
absl::StatusOr<Resources> ParseResources(std::string_view text,
                                         std::string_view default_role = "*");

// Reads a JSON array of any valid resources, without those restrictions. Objects keep the order
// of the array and are not merged.
absl::StatusOr<std::vector<Resource>> ParseResourcesJson(std::string_view json);

// Text that ParseResources reads back as the same collection when it holds nothing but plain
// and statically reserved resources with one level. InvalidArgument otherwise (use JSON then).
absl::StatusOr<std::string> FormatResources(const Resources& resources);

enum class ResourceJsonForm {
  kStack,     // reservations only as a stack
  kEndpoint,  // besides, the old "role" and "reservation" for stacks of at most one level
};
// A JSON array that ParseResourcesJson reads back as the same objects.
std::string ToJson(const Resources& resources, ResourceJsonForm form = ResourceJsonForm::kStack);

}  // namespace tessera::model
