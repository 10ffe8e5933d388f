// Role names: "*" alone, or components joined by "/", each level refining the one before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace tessera::model {

// The role of unreserved resources and the default role of a framework.
inline constexpr std::string_view kAnyRole = "*";

// A role is a key of the registry and a path of the allocator's tree: both are bounded.
inline constexpr size_t kRoleBytesMax = 400;
inline constexpr size_t kRoleDepthMax = 32;

// The largest weight of a role, in thousandths; the smallest is 1, the default 1000.
inline constexpr int64_t kWeightMilliMax = 1'000'000'000'000;

// InvalidArgument says which rule the name breaks: besides the shape above, the bounds, and no
// blanks or control characters.
absl::Status ValidateRole(std::string_view role);

// `role` lies beneath `ancestor`: "a/b" is a strict sub-role of "a"; "a" is not one of itself.
bool IsStrictSubrole(std::string_view role, std::string_view ancestor);

// "a/b" for "a/b/c"; empty for a top-level role. The view points into `role`.
std::string_view ParentRole(std::string_view role);

// {"a", "b", "c"} for "a/b/c"; the views point into `role`.
std::vector<std::string_view> RoleComponents(std::string_view role);

// How many components: 1 for a top-level role.
size_t RoleDepth(std::string_view role);

}  // namespace tessera::model
