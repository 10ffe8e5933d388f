#include "services/model/parse.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/base/status_macros.h"
#include "services/model/role.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

// Bytes that would be read as something else inside a name, a role or a set item.
constexpr std::string_view kNameMarks = ":;()[]{}|,\"";

absl::Status WithPart(std::string_view part, const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat("resource ", Quoted(part), ": ", status.message()));
}

// As Scalar::Parse, but what is not zero must not become zero.
absl::StatusOr<Scalar> ParseAmount(std::string_view text) {
  absl::StatusOr<Scalar> amount = Scalar::Parse(text);
  const std::string_view mantissa = text.substr(0, text.find_first_of("eE"));
  if (amount.ok() && amount->IsZero() &&
      mantissa.find_first_of("123456789") != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " rounds to zero; the smallest amount is 0.001"));
  }
  return amount;
}

absl::StatusOr<Resource> ParseValue(std::string name, std::string_view value) {
  if (value.empty()) return absl::InvalidArgumentError("has no value");
  if (value.front() == '[') {
    absl::StatusOr<Ranges> ranges = Ranges::Parse(value);
    if (!ranges.ok()) return ranges.status();
    return Resource::OfRanges(std::move(name), *std::move(ranges));
  }
  if (value.front() == '{') {
    absl::StatusOr<StringSet> set = StringSet::Parse(value);
    if (!set.ok()) return set.status();
    return Resource::OfSet(std::move(name), *std::move(set));
  }
  const absl::StatusOr<Scalar> amount = ParseAmount(value);
  if (!amount.ok()) return amount.status();
  return Resource::OfScalar(std::move(name), *amount);
}

// One `name:value` or `name(role):value`.
absl::StatusOr<Resource> ParsePart(std::string_view part) {
  std::string_view name = part.substr(0, part.find_first_of(":("));
  std::string_view rest = part.substr(name.size());
  name = TrimBlanks(name);
  std::string_view role = kAnyRole;
  if (!rest.empty() && rest.front() == '(') {
    const size_t close = rest.find(')');
    if (close == std::string_view::npos) {
      return absl::InvalidArgumentError("has no ')' after its role");
    }
    role = TrimBlanks(rest.substr(1, close - 1));
    rest = TrimBlanks(rest.substr(close + 1));
  }
  if (rest.empty() || rest.front() != ':') {
    return absl::InvalidArgumentError("is not of the form name:value or name(role):value");
  }
  if (name.empty()) return absl::InvalidArgumentError("has no name");
  RETURN_IF_ERROR(ValidateRole(role));
  absl::StatusOr<Resource> resource = ParseValue(std::string(name), TrimBlanks(rest.substr(1)));
  if (resource.ok() && role != kAnyRole) {
    RETURN_IF_ERROR(resource->PushReservation({.role = std::string(role)}));
  }
  return resource;
}

absl::StatusOr<std::vector<Resource>> ParseText(std::string_view text) {
  std::vector<Resource> objects;
  for (const std::string_view part : SplitTrimmed(text, ';')) {
    if (part.empty()) continue;
    absl::StatusOr<Resource> resource = ParsePart(part);
    if (!resource.ok()) return WithPart(part, resource.status());
    objects.push_back(*std::move(resource));
  }
  return objects;
}

// What an operator cannot state for a machine.
absl::Status CheckStatable(const Resource& resource) {
  const auto refuse = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("resource ", Quoted(resource.name()), ": ",
                                                   std::string(what),
                                                   " cannot be configured for an agent"));
  };
  if (resource.IsPersistentVolume()) return refuse("a persistent volume");
  if (resource.IsRevocable()) return refuse("a revocable resource");
  if (resource.IsAllocated()) return refuse("an allocation");
  for (const Reservation& reservation : resource.metadata().reservations) {
    if (reservation.type == ReservationType::kDynamic) return refuse("a dynamic reservation");
  }
  return absl::OkStatus();
}

bool IsWritable(std::string_view text) {
  return !text.empty() && TrimBlanks(text) == text &&
         text.find_first_of(kNameMarks) == std::string_view::npos;
}

bool HasTextForm(const Resource& resource) {
  ResourceMetadata beyond = resource.metadata();
  const std::vector<Reservation> stack = std::move(beyond.reservations);
  beyond.reservations.clear();
  if (!beyond.IsPlain() || stack.size() > 1 || !IsWritable(resource.name())) return false;
  for (const Reservation& reservation : stack) {
    if (reservation.type != ReservationType::kStatic || reservation.principal ||
        reservation.labels || !IsWritable(reservation.role)) {
      return false;
    }
  }
  for (const std::string& item : resource.set().items()) {
    if (!IsWritable(item)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Resources> ParseResources(std::string_view text, std::string_view default_role) {
  text = TrimBlanks(text);
  RETURN_IF_ERROR(ValidateRole(default_role));
  absl::StatusOr<std::vector<Resource>> objects =
      !text.empty() && text.front() == '[' ? ParseResourcesJson(text) : ParseText(text);
  if (!objects.ok()) return objects.status();
  for (Resource& object : *objects) {
    RETURN_IF_ERROR(CheckStatable(object));
    if (default_role != kAnyRole && object.IsUnreserved()) {
      RETURN_IF_ERROR(object.PushReservation({.role = std::string(default_role)}));
    }
  }
  return Resources::FromValidated(*std::move(objects));
}

absl::StatusOr<std::string> FormatResources(const Resources& resources) {
  for (const Resource& object : resources) {
    if (!HasTextForm(object)) {
      return absl::InvalidArgumentError(
          absl::StrCat(ToString(object), " has no text form; use JSON"));
    }
  }
  return ToString(resources);
}

}  // namespace tessera::model
