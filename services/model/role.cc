#include "services/model/role.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

absl::Status Refuse(std::string_view role, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("role ", Quoted(role), " ", std::string(why)));
}

bool IsForbiddenByte(char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; }

}  // namespace

absl::Status ValidateRole(std::string_view role) {
  if (role == kAnyRole) return absl::OkStatus();
  if (role.empty()) return absl::InvalidArgumentError("role must not be empty");
  if (role.size() > kRoleBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("role ", Quoted(role.substr(0, 40)),
                                                   "... is longer than ", kRoleBytesMax, " bytes"));
  }
  if (RoleDepth(role) > kRoleDepthMax) {
    return Refuse(role, absl::StrCat("has more than ", kRoleDepthMax, " components"));
  }
  if (role.front() == '/') return Refuse(role, "must not start with '/'");
  if (role.back() == '/') return Refuse(role, "must not end with '/'");
  if (std::any_of(role.begin(), role.end(), IsForbiddenByte)) {
    return Refuse(role, "must not hold blanks or control characters");
  }
  for (const std::string_view component : RoleComponents(role)) {
    if (component.empty()) return Refuse(role, "must not hold '//'");
    if (component == "." || component == "..") {
      return Refuse(role, "must not have '.' or '..' as a component");
    }
    if (component == kAnyRole) return Refuse(role, "must not have '*' as a component");
    if (component.front() == '-') return Refuse(role, "has a component that starts with '-'");
  }
  return absl::OkStatus();
}

bool IsStrictSubrole(std::string_view role, std::string_view ancestor) {
  return role.size() > ancestor.size() && role[ancestor.size()] == '/' &&
         role.substr(0, ancestor.size()) == ancestor;
}

std::string_view ParentRole(std::string_view role) {
  const size_t slash = role.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : role.substr(0, slash);
}

std::vector<std::string_view> RoleComponents(std::string_view role) {
  std::vector<std::string_view> components;
  while (true) {
    const size_t slash = role.find('/');
    components.push_back(role.substr(0, slash));
    if (slash == std::string_view::npos) return components;
    role.remove_prefix(slash + 1);
  }
}

size_t RoleDepth(std::string_view role) {
  return 1 + static_cast<size_t>(std::count(role.begin(), role.end(), '/'));
}

}  // namespace tessera::model
