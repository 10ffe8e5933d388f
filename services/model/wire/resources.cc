#include "services/model/wire/resources.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/text.h"

namespace tessera::model::wire {
namespace {

absl::Status Refuse(const v1::Resource& message, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("resource ", Quoted(message.name()), ": ", why));
}

absl::StatusOr<Reservation> ReservationFromProto(const v1::Resource& message,
                                                 const v1::Resource::Reservation& entry) {
  Reservation reservation;
  switch (entry.type()) {
    case v1::Resource::Reservation::STATIC:
      reservation.type = ReservationType::kStatic;
      break;
    case v1::Resource::Reservation::DYNAMIC:
      reservation.type = ReservationType::kDynamic;
      break;
    default:
      return Refuse(message, "reservations: type must be STATIC or DYNAMIC");
  }
  reservation.role = entry.role();
  if (entry.has_principal()) reservation.principal = entry.principal();
  if (entry.has_labels()) reservation.labels = FromProto(entry.labels());
  return reservation;
}

absl::StatusOr<DiskSource> SourceFromProto(const v1::Resource& message,
                                           const v1::Resource::Disk::Source& entry) {
  DiskSource source;
  switch (entry.type()) {
    case v1::Resource::Disk::Source::PATH:
      source.type = DiskSourceType::kPath;
      break;
    case v1::Resource::Disk::Source::MOUNT:
      source.type = DiskSourceType::kMount;
      break;
    case v1::Resource::Disk::Source::BLOCK:
      source.type = DiskSourceType::kBlock;
      break;
    case v1::Resource::Disk::Source::RAW:
      source.type = DiskSourceType::kRaw;
      break;
    default:
      return Refuse(message, "disk.source.type must be PATH, MOUNT, BLOCK or RAW");
  }
  if (entry.has_root()) source.root = entry.root();
  if (entry.has_vendor()) source.vendor = entry.vendor();
  if (entry.has_id()) source.id = entry.id();
  if (entry.has_profile()) source.profile = entry.profile();
  if (entry.has_metadata()) source.metadata = FromProto(entry.metadata());
  return source;
}

absl::StatusOr<DiskInfo> DiskFromProto(const v1::Resource& message) {
  const v1::Resource::Disk& entry = message.disk();
  DiskInfo disk;
  if (entry.has_source()) {
    ASSIGN_OR_RETURN(disk.source, SourceFromProto(message, entry.source()));
  }
  if (entry.has_persistence()) {
    disk.persistence.emplace();
    disk.persistence->id = entry.persistence().id();
    if (entry.persistence().has_principal()) {
      disk.persistence->principal = entry.persistence().principal();
    }
  }
  if (entry.has_container_path()) {
    disk.volume = {.container_path = entry.container_path(), .read_only = entry.read_only()};
  } else if (entry.read_only()) {
    return Refuse(message, "disk.read_only needs disk.container_path");
  }
  return disk;
}

absl::StatusOr<Resource> ValueFromProto(const v1::Resource& message) {
  switch (message.value_case()) {
    case v1::Resource::kScalar:
      return Resource::OfScalar(message.name(), FromProto(message.scalar()));
    case v1::Resource::kRanges: {
      absl::StatusOr<Ranges> ranges = FromProto(message.ranges());
      if (!ranges.ok()) return Refuse(message, std::string(ranges.status().message()));
      return Resource::OfRanges(message.name(), *std::move(ranges));
    }
    case v1::Resource::kSet: {
      absl::StatusOr<StringSet> set = FromProto(message.set());
      if (!set.ok()) return Refuse(message, std::string(set.status().message()));
      return Resource::OfSet(message.name(), *std::move(set));
    }
    case v1::Resource::VALUE_NOT_SET:
      break;
  }
  return Refuse(message, "value: one of scalar, ranges and set must be given");
}

void DiskToProto(const DiskInfo& disk, v1::Resource::Disk* message) {
  if (const auto& source = disk.source) {
    v1::Resource::Disk::Source* entry = message->mutable_source();
    switch (source->type) {
      case DiskSourceType::kPath:
        entry->set_type(v1::Resource::Disk::Source::PATH);
        break;
      case DiskSourceType::kMount:
        entry->set_type(v1::Resource::Disk::Source::MOUNT);
        break;
      case DiskSourceType::kBlock:
        entry->set_type(v1::Resource::Disk::Source::BLOCK);
        break;
      case DiskSourceType::kRaw:
        entry->set_type(v1::Resource::Disk::Source::RAW);
        break;
    }
    if (source->root) entry->set_root(*source->root);
    if (source->vendor) entry->set_vendor(*source->vendor);
    if (source->id) entry->set_id(*source->id);
    if (source->profile) entry->set_profile(*source->profile);
    if (source->metadata) ToProto(*source->metadata, entry->mutable_metadata());
  }
  if (disk.persistence) {
    message->mutable_persistence()->set_id(disk.persistence->id);
    if (disk.persistence->principal) {
      message->mutable_persistence()->set_principal(*disk.persistence->principal);
    }
  }
  if (disk.volume) {
    message->set_container_path(disk.volume->container_path);
    message->set_read_only(disk.volume->read_only);
  }
}

absl::StatusOr<Resource> ResourceFromProto(const v1::Resource& message,
                                           std::optional<std::string> allocation_role) {
  ASSIGN_OR_RETURN(Resource resource, ValueFromProto(message));
  ResourceMetadata metadata;
  metadata.allocation_role = std::move(allocation_role);
  for (const v1::Resource::Reservation& entry : message.reservations()) {
    ASSIGN_OR_RETURN(Reservation reservation, ReservationFromProto(message, entry));
    metadata.reservations.push_back(std::move(reservation));
  }
  if (message.has_disk()) {
    ASSIGN_OR_RETURN(metadata.disk, DiskFromProto(message));
  }
  metadata.revocable = message.revocable();
  metadata.shared = message.shared();
  if (message.has_provider_id()) metadata.provider_id = message.provider_id();
  resource.set_metadata(std::move(metadata));
  if (message.shared_count() > 0) resource.set_copies(message.shared_count());
  RETURN_IF_ERROR(Validate(resource));
  return resource;
}

}  // namespace

absl::StatusOr<Resource> FromProto(const v1::Resource& message) {
  std::optional<std::string> role;
  if (message.has_allocation_role()) role = message.allocation_role();
  return ResourceFromProto(message, std::move(role));
}

absl::StatusOr<Resource> UnallocatedFromProto(const v1::Resource& message) {
  return ResourceFromProto(message, std::nullopt);
}

absl::StatusOr<std::vector<Resource>> ObjectsFromProto(const ResourceMessages& messages) {
  if (messages.size() > kResourceObjectsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kResourceObjectsMax, " resource objects in one message"));
  }
  std::vector<Resource> objects;
  objects.reserve(messages.size());
  for (const v1::Resource& message : messages) {
    ASSIGN_OR_RETURN(Resource object, FromProto(message));
    objects.push_back(std::move(object));
  }
  return objects;
}

absl::StatusOr<Resources> FromProto(const ResourceMessages& messages) {
  ASSIGN_OR_RETURN(std::vector<Resource> objects, ObjectsFromProto(messages));
  ASSIGN_OR_RETURN(Resources resources, Resources::FromValidated(std::move(objects)));
  // Objects that became one may be too much together; whoever reads the collection must take it.
  for (const Resource& merged : resources) {
    if (merged.scalar().thousandths() > kResourceThousandthsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("resource ", Quoted(merged.name()), ": the scalars of equal objects add up ",
                       "to more than ", kResourceThousandthsMax / Scalar::kThousandthsPerUnit));
    }
  }
  return resources;
}

void ToProto(const Resource& resource, v1::Resource* message) {
  message->Clear();
  message->set_name(resource.name());
  switch (resource.kind()) {
    case ResourceKind::kScalar:
      ToProto(resource.scalar(), message->mutable_scalar());
      break;
    case ResourceKind::kRanges:
      ToProto(resource.ranges(), message->mutable_ranges());
      break;
    case ResourceKind::kSet:
      ToProto(resource.set(), message->mutable_set());
      break;
  }
  if (resource.IsPlain()) return;
  const ResourceMetadata& metadata = resource.metadata();
  if (metadata.allocation_role) message->set_allocation_role(*metadata.allocation_role);
  for (const Reservation& reservation : metadata.reservations) {
    v1::Resource::Reservation* entry = message->add_reservations();
    entry->set_type(reservation.type == ReservationType::kDynamic
                        ? v1::Resource::Reservation::DYNAMIC
                        : v1::Resource::Reservation::STATIC);
    entry->set_role(reservation.role);
    if (reservation.principal) entry->set_principal(*reservation.principal);
    if (reservation.labels) ToProto(*reservation.labels, entry->mutable_labels());
  }
  if (metadata.disk) DiskToProto(*metadata.disk, message->mutable_disk());
  message->set_revocable(metadata.revocable);
  message->set_shared(metadata.shared);
  if (metadata.provider_id) message->set_provider_id(*metadata.provider_id);
  if (resource.copies() > 1) {
    constexpr int64_t kCopiesMax = std::numeric_limits<uint32_t>::max();
    message->set_shared_count(static_cast<uint32_t>(std::min(resource.copies(), kCopiesMax)));
  }
}

void ToProto(const Resources& resources, ResourceMessages* messages) {
  messages->Clear();
  messages->Reserve(static_cast<int>(resources.size()));
  for (const Resource& object : resources) ToProto(object, messages->Add());
}

Scalar FromProto(const v1::Scalar& message) { return Scalar::FromThousandths(message.milli()); }

void ToProto(Scalar scalar, v1::Scalar* message) { message->set_milli(scalar.thousandths()); }

absl::StatusOr<Ranges> FromProto(const v1::Ranges& message) {
  std::vector<Interval> intervals;
  intervals.reserve(message.range_size());
  for (const v1::Range& range : message.range()) {
    intervals.push_back({.begin = range.begin(), .end = range.end()});
  }
  return Ranges::FromIntervals(std::move(intervals));
}

void ToProto(const Ranges& ranges, v1::Ranges* message) {
  message->Clear();
  for (const Interval& interval : ranges.intervals()) {
    v1::Range* range = message->add_range();
    range->set_begin(interval.begin);
    range->set_end(interval.end);
  }
}

absl::StatusOr<StringSet> FromProto(const v1::Set& message) {
  return StringSet::FromItems({message.item().begin(), message.item().end()});
}

void ToProto(const StringSet& set, v1::Set* message) {
  message->Clear();
  for (const std::string& item : set.items()) message->add_item(item);
}

Labels FromProto(const v1::Labels& message) {
  Labels labels;
  labels.reserve(message.label_size());
  for (const v1::Label& entry : message.label()) {
    Label& label = labels.emplace_back();
    label.key = entry.key();
    if (entry.has_value()) label.value = entry.value();
  }
  return labels;
}

void ToProto(const Labels& labels, v1::Labels* message) {
  message->Clear();
  for (const Label& label : labels) {
    v1::Label* entry = message->add_label();
    entry->set_key(label.key);
    if (label.value) entry->set_value(*label.value);
  }
}

absl::StatusOr<Quantities> FromProto(const v1::Quantities& message) {
  if (message.amounts().size() > kQuantityNamesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("amounts: more than ", kQuantityNamesMax, " names"));
  }
  Quantities quantities;
  for (const auto& [name, amount] : message.amounts()) {
    if (name.empty()) return absl::InvalidArgumentError("amounts: a name is empty");
    const Scalar scalar = FromProto(amount);
    if (scalar.IsNegative()) {
      return absl::InvalidArgumentError(absl::StrCat("amounts: ", Quoted(name), " is negative"));
    }
    if (scalar.thousandths() > kQuantityThousandthsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("amounts: ", Quoted(name), " is more than ",
                       kQuantityThousandthsMax / Scalar::kThousandthsPerUnit));
    }
    quantities.Set(name, scalar);
  }
  return quantities;
}

void ToProto(const Quantities& quantities, v1::Quantities* message) {
  message->Clear();
  for (const auto& [name, amount] : quantities) {
    ToProto(amount, &(*message->mutable_amounts())[name]);
  }
}

}  // namespace tessera::model::wire
