#include "cli/quota/quota_text.h"

#include <cmath>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/table.h"

namespace tessera::cli {
namespace {

std::string Text(const std::map<std::string, int64_t>& milli_by_name) {
  std::vector<std::string> parts;
  for (const auto& [name, milli] : milli_by_name) {
    parts.push_back(absl::StrCat(name, ":", FormatMilli(milli)));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, " ");
}

std::string Text(const model::v1::Quantities& quantities) {
  std::map<std::string, int64_t> sorted;
  for (const auto& [name, amount] : quantities.amounts()) sorted[name] = amount.milli();
  return Text(sorted);
}

}  // namespace

absl::StatusOr<model::v1::Quantities> ParseAmounts(const std::string& flag,
                                                   const std::string& text) {
  // More would not be exact in thousandths.
  constexpr double kMost = 1e12;
  model::v1::Quantities quantities;
  for (absl::string_view part : absl::StrSplit(text, ';', absl::SkipWhitespace())) {
    const std::vector<std::string> halves = absl::StrSplit(part, ':');
    const std::string name(absl::StripAsciiWhitespace(halves[0]));
    double amount = 0;
    if (halves.size() != 2 || name.empty() || !absl::SimpleAtod(halves[1], &amount) ||
        !(amount >= 0) || amount > kMost) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag, ": \"", part,
                       "\" is malformed: write amounts like cpus:4;mem:1024, mem and disk in MiB"));
    }
    if (quantities.amounts().contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", name, " is named twice"));
    }
    (*quantities.mutable_amounts())[name].set_milli(std::llround(amount * 1000));
  }
  return quantities;
}

std::string QuotaTable(const std::vector<state::v1::RoleView>& roles) {
  Table table({"ROLE", "GUARANTEE", "LIMIT", "ALLOCATED"});
  for (const state::v1::RoleView& view : roles) {
    const auto& role = view.role();
    if (role.guarantees().amounts().empty() && role.limits().amounts().empty()) continue;
    std::map<std::string, int64_t> allocated;
    for (const model::v1::Resource& resource : view.allocated()) {
      if (resource.has_scalar()) allocated[resource.name()] += resource.scalar().milli();
    }
    table.Add({role.name(), Text(role.guarantees()), Text(role.limits()), Text(allocated)});
  }
  return table.Format();
}

}  // namespace tessera::cli
