#include "services/agent/core/agent_compatibility.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/agent/core/task_validation.h"
#include "services/model/attributes.h"
#include "services/model/resources.h"
#include "services/model/wire/attributes.h"

namespace tessera::agent {
namespace {

bool AttributeKept(const model::Attribute& before, const model::Attributes& now) {
  const model::Attribute* kept = now.Find(before.name);
  if (kept == nullptr || kept->value.index() != before.value.index()) return false;
  if (before.ranges() != nullptr) return kept->ranges()->Contains(*before.ranges());
  return *kept == before;
}

void CompareAttributes(const model::v1::AgentInfo& before, const model::v1::AgentInfo& now,
                       std::vector<std::string>* differences) {
  const auto old_ones = model::wire::FromProto(before.attributes());
  const auto new_ones = model::wire::FromProto(now.attributes());
  if (!old_ones.ok() || !new_ones.ok()) {
    differences->push_back("attributes cannot be read");
    return;
  }
  for (const model::Attribute& attribute : *old_ones) {
    if (AttributeKept(attribute, *new_ones)) continue;
    const model::Attribute* changed = new_ones->Find(attribute.name);
    differences->push_back(absl::StrCat(
        "attribute ", attribute.name, " was ", attribute.ValueToString(),
        changed == nullptr ? " and is gone" : absl::StrCat(", is ", changed->ValueToString())));
  }
}

}  // namespace

absl::Status CheckCompatible(const model::v1::AgentInfo& before, const model::v1::AgentInfo& now) {
  std::vector<std::string> differences;
  if (before.hostname() != now.hostname()) {
    differences.push_back(
        absl::StrCat("host name was ", before.hostname(), ", is ", now.hostname()));
  }
  if (before.has_domain() && (before.domain().region() != now.domain().region() ||
                              before.domain().zone() != now.domain().zone())) {
    differences.push_back(absl::StrCat("domain was ", before.domain().region(), "/",
                                       before.domain().zone(), ", is ", now.domain().region(), "/",
                                       now.domain().zone()));
  }
  const auto old_resources = ResourcesOf(before.resources());
  const auto new_resources = ResourcesOf(now.resources());
  if (!old_resources.ok() || !new_resources.ok()) {
    differences.push_back("resources cannot be read");
  } else {
    for (const model::Resource& resource : *old_resources) {
      if (new_resources->Contains(resource)) continue;
      differences.push_back(absl::StrCat("resource ", model::ToString(resource),
                                         " is no longer contained in ",
                                         model::ToString(new_resources->Named(resource.name()))));
    }
  }
  CompareAttributes(before, now, &differences);
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(differences, "; "));
}

}  // namespace tessera::agent
