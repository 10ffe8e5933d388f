#include "services/model/resource.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/base/status_macros.h"
#include "services/model/role.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

const ResourceMetadata& PlainMetadata() {
  static const ResourceMetadata* const plain = new ResourceMetadata;
  return *plain;
}

const std::string& AnyRole() {
  static const std::string* const any = new std::string(kAnyRole);
  return *any;
}

// FNV-1a: the same in every process, unlike abseil's hashes.
uint64_t Fingerprint(std::string_view bytes) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  }
  return hash;
}

bool DivisibleWith(const ResourceMetadata& metadata) {
  if (!metadata.disk) return true;
  if (metadata.disk->persistence) return false;
  const auto& source = metadata.disk->source;
  if (!source) return true;
  switch (source->type) {
    case DiskSourceType::kPath:
      return true;
    case DiskSourceType::kMount:
    case DiskSourceType::kBlock:
      return false;
    case DiskSourceType::kRaw:
      return !source->id.has_value();
  }
  return false;
}

std::string_view SourceTypeText(DiskSourceType type) {
  switch (type) {
    case DiskSourceType::kPath:
      return "PATH";
    case DiskSourceType::kMount:
      return "MOUNT";
    case DiskSourceType::kBlock:
      return "BLOCK";
    case DiskSourceType::kRaw:
      return "RAW";
  }
  return "";
}

std::string DiskText(const DiskInfo& disk) {
  std::vector<std::string> parts;
  if (disk.source) {
    std::string part(SourceTypeText(disk.source->type));
    if (disk.source->root) absl::StrAppend(&part, " ", *disk.source->root);
    if (disk.source->vendor) absl::StrAppend(&part, " vendor ", *disk.source->vendor);
    if (disk.source->id) absl::StrAppend(&part, " id ", *disk.source->id);
    if (disk.source->profile) absl::StrAppend(&part, " profile ", *disk.source->profile);
    parts.push_back(part);
  }
  if (disk.persistence) parts.push_back(absl::StrCat("volume ", disk.persistence->id));
  if (disk.volume) {
    parts.push_back(
        absl::StrCat("at ", disk.volume->container_path, disk.volume->read_only ? " ro" : ""));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

Resource Resource::OfScalar(std::string name, Scalar value) {
  Resource resource;
  resource.name_ = std::move(name);
  resource.value_ = value;
  return resource;
}

Resource Resource::OfRanges(std::string name, Ranges value) {
  Resource resource;
  resource.name_ = std::move(name);
  resource.value_ = std::move(value);
  return resource;
}

Resource Resource::OfSet(std::string name, StringSet value) {
  Resource resource;
  resource.name_ = std::move(name);
  resource.value_ = std::move(value);
  return resource;
}

Scalar Resource::scalar() const {
  const Scalar* value = std::get_if<Scalar>(&value_);
  return value != nullptr ? *value : Scalar();
}

const Ranges& Resource::ranges() const {
  static const Ranges* const none = new Ranges;
  const Ranges* value = std::get_if<Ranges>(&value_);
  return value != nullptr ? *value : *none;
}

const StringSet& Resource::set() const {
  static const StringSet* const none = new StringSet;
  const StringSet* value = std::get_if<StringSet>(&value_);
  return value != nullptr ? *value : *none;
}

const ResourceMetadata& Resource::metadata() const {
  return metadata_ != nullptr ? metadata_->fields : PlainMetadata();
}

void Resource::set_metadata(ResourceMetadata metadata) {
  if (metadata.IsPlain()) {
    metadata_ = nullptr;
    return;
  }
  if (metadata.disk && metadata.disk->IsEmpty()) metadata.disk.reset();
  auto sealed = std::make_shared<Sealed>();
  sealed->identity = metadata.Identity();
  sealed->fingerprint = Fingerprint(sealed->identity);
  sealed->divisible = DivisibleWith(metadata);
  sealed->fields = std::move(metadata);
  metadata_ = std::move(sealed);
}

bool Resource::IsEmpty() const {
  if (copies_ <= 0) return true;
  switch (kind()) {
    case ResourceKind::kScalar:
      return !std::get<Scalar>(value_).IsPositive();
    case ResourceKind::kRanges:
      return std::get<Ranges>(value_).empty();
    case ResourceKind::kSet:
      return std::get<StringSet>(value_).empty();
  }
  return true;
}

bool Resource::IsReservedTo(std::string_view role) const {
  return IsReserved() && metadata().reservations.back().role == role;
}

const std::string& Resource::ReservationRole() const {
  return IsReserved() ? metadata().reservations.back().role : AnyRole();
}

bool Resource::IsDynamicallyReserved() const {
  return IsReserved() && metadata().reservations.back().type == ReservationType::kDynamic;
}

bool Resource::IsAllocatableTo(std::string_view role) const {
  if (IsUnreserved()) return true;
  const std::string& holder = metadata().reservations.back().role;
  return holder == role || IsStrictSubrole(role, holder);
}

bool Resource::IsPersistentVolume() const {
  return metadata().disk && metadata().disk->persistence.has_value();
}

bool Resource::IsDivisible() const { return metadata_ == nullptr || metadata_->divisible; }

void Resource::Allocate(std::string_view role) {
  if (metadata().allocation_role == role) return;
  ResourceMetadata changed = metadata();
  changed.allocation_role = std::string(role);
  set_metadata(std::move(changed));
}

void Resource::Unallocate() {
  if (!IsAllocated()) return;
  ResourceMetadata changed = metadata();
  changed.allocation_role.reset();
  set_metadata(std::move(changed));
}

absl::Status Resource::PushReservation(Reservation reservation) {
  RETURN_IF_ERROR(ValidateRole(reservation.role));
  if (reservation.role == kAnyRole) {
    return absl::InvalidArgumentError(
        absl::StrCat("resource ", Quoted(name_), ": cannot be reserved to role '*'"));
  }
  if (IsReserved()) {
    if (reservation.type != ReservationType::kDynamic) {
      return absl::InvalidArgumentError(absl::StrCat(
          "resource ", Quoted(name_), ": only the first reservation of a stack may be static"));
    }
    if (!IsStrictSubrole(reservation.role, ReservationRole())) {
      return absl::InvalidArgumentError(
          absl::StrCat("resource ", Quoted(name_), ": reservation role ", Quoted(reservation.role),
                       " does not lie beneath ", Quoted(ReservationRole())));
    }
  }
  ResourceMetadata changed = metadata();
  changed.reservations.push_back(std::move(reservation));
  set_metadata(std::move(changed));
  return absl::OkStatus();
}

absl::Status Resource::PopReservation() {
  if (IsUnreserved()) {
    return absl::FailedPreconditionError(
        absl::StrCat("resource ", Quoted(name_), " is not reserved"));
  }
  if (!IsDynamicallyReserved()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "resource ", Quoted(name_), " is reserved statically to ", Quoted(ReservationRole()),
        "; only the agent's configuration can change that"));
  }
  ResourceMetadata changed = metadata();
  changed.reservations.pop_back();
  set_metadata(std::move(changed));
  return absl::OkStatus();
}

void Resource::ClearReservations() {
  if (IsUnreserved()) return;
  ResourceMetadata changed = metadata();
  changed.reservations.clear();
  set_metadata(std::move(changed));
}

bool Resource::SameIdentity(const Resource& that) const {
  if (value_.index() != that.value_.index() || name_ != that.name_) return false;
  if (metadata_ == that.metadata_) return true;
  if (metadata_ == nullptr || that.metadata_ == nullptr) return false;
  return metadata_->fingerprint == that.metadata_->fingerprint &&
         metadata_->identity == that.metadata_->identity;
}

bool Resource::EqualsButCopies(const Resource& that) const {
  return value_ == that.value_ && SameIdentity(that);
}

bool Resource::IsAddableTo(const Resource& that) const {
  if (IsShared() || that.IsShared()) return EqualsButCopies(that);
  return IsDivisible() && SameIdentity(that);
}

bool Resource::IsSubtractableFrom(const Resource& that) const {
  if (IsShared() || that.IsShared() || !IsDivisible()) return EqualsButCopies(that);
  return SameIdentity(that);
}

bool Resource::Contains(const Resource& that) const {
  if (!that.IsSubtractableFrom(*this)) return false;
  if (IsShared()) return copies_ >= that.copies_;
  switch (kind()) {
    case ResourceKind::kScalar:
      return std::get<Scalar>(value_) >= std::get<Scalar>(that.value_);
    case ResourceKind::kRanges:
      return std::get<Ranges>(value_).Contains(std::get<Ranges>(that.value_));
    case ResourceKind::kSet:
      return std::get<StringSet>(value_).Contains(std::get<StringSet>(that.value_));
  }
  return false;
}

void Resource::AddValue(const Resource& that) {
  if (IsShared()) {
    copies_ += that.copies_;
    return;
  }
  switch (kind()) {
    case ResourceKind::kScalar:
      std::get<Scalar>(value_) += that.scalar();
      break;
    case ResourceKind::kRanges:
      std::get<Ranges>(value_) += that.ranges();
      break;
    case ResourceKind::kSet:
      std::get<StringSet>(value_) += that.set();
      break;
  }
}

void Resource::SubtractValue(const Resource& that) {
  if (IsShared()) {
    copies_ -= that.copies_;
    return;
  }
  switch (kind()) {
    case ResourceKind::kScalar:
      std::get<Scalar>(value_) -= that.scalar();
      break;
    case ResourceKind::kRanges:
      std::get<Ranges>(value_) -= that.ranges();
      break;
    case ResourceKind::kSet:
      std::get<StringSet>(value_) -= that.set();
      break;
  }
}

bool Resource::ShrinkTo(Scalar target) {
  Scalar* value = std::get_if<Scalar>(&value_);
  if (value == nullptr) return false;
  if (*value <= target) return true;
  if (!IsDivisible() || IsShared()) return false;
  *value = target;
  return true;
}

int Resource::CompareIdentity(const Resource& that) const {
  if (const int order = name_.compare(that.name_); order != 0) return order;
  if (value_.index() != that.value_.index()) return value_.index() < that.value_.index() ? -1 : 1;
  if (metadata_ == that.metadata_) return 0;
  if (metadata_ == nullptr) return -1;
  if (that.metadata_ == nullptr) return 1;
  return metadata_->identity.compare(that.metadata_->identity);
}

int Resource::Compare(const Resource& that) const {
  if (const int order = CompareIdentity(that); order != 0) return order;
  if (value_ != that.value_) return value_ < that.value_ ? -1 : 1;
  if (copies_ != that.copies_) return copies_ < that.copies_ ? -1 : 1;
  return 0;
}

std::string ToString(const Resource& resource) {
  const ResourceMetadata& metadata = resource.metadata();
  std::vector<std::string> roles;
  for (const Reservation& reservation : metadata.reservations) {
    std::string level = reservation.role;
    if (reservation.type == ReservationType::kDynamic) {
      level += ", dynamic";
      if (reservation.principal) absl::StrAppend(&level, " by ", *reservation.principal);
    }
    roles.push_back(std::move(level));
  }
  std::string text = resource.name();
  if (!roles.empty()) absl::StrAppend(&text, "(", absl::StrJoin(roles, " > "), ")");
  text += ':';
  switch (resource.kind()) {
    case ResourceKind::kScalar:
      text += resource.scalar().ToString();
      break;
    case ResourceKind::kRanges:
      text += resource.ranges().ToString();
      break;
    case ResourceKind::kSet:
      text += resource.set().ToString();
      break;
  }
  if (metadata.disk) absl::StrAppend(&text, "[", DiskText(*metadata.disk), "]");
  std::vector<std::string> marks;
  if (metadata.revocable) marks.push_back("revocable");
  if (metadata.shared) marks.push_back(absl::StrCat("shared x", resource.copies()));
  if (metadata.provider_id) marks.push_back(absl::StrCat("provider ", *metadata.provider_id));
  if (metadata.allocation_role) {
    marks.push_back(absl::StrCat("allocated to ", *metadata.allocation_role));
  }
  if (!marks.empty()) absl::StrAppend(&text, "{", absl::StrJoin(marks, ", "), "}");
  return text;
}

std::ostream& operator<<(std::ostream& out, const Resource& resource) {
  return out << ToString(resource);
}

}  // namespace tessera::model
