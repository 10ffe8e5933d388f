#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/ids.h"
#include "services/model/resource.h"
#include "services/model/resources.h"
#include "services/model/role.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

constexpr size_t kNameBytesMax = 255;
constexpr std::string_view kDiskName = "disk";

class Checker {
 public:
  explicit Checker(const Resource& resource)
      : resource_(resource), metadata_(resource.metadata()) {}

  absl::Status Check() const {
    for (const auto check : {&Checker::CheckName, &Checker::CheckValue, &Checker::CheckAllocation,
                             &Checker::CheckReservations, &Checker::CheckDisk,
                             &Checker::CheckVolume, &Checker::CheckShared}) {
      RETURN_IF_ERROR((this->*check)());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Refuse(std::string_view field, std::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat("resource ", Quoted(resource_.name()), ": ",
                                                   std::string(field), " ", std::string(why)));
  }

  absl::Status CheckName() const {
    const std::string& name = resource_.name();
    if (name.empty()) return absl::InvalidArgumentError("resource: name must not be empty");
    if (name.size() > kNameBytesMax) return Refuse("name", "is longer than 255 bytes");
    for (const char c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        return Refuse("name", "holds a control character");
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckValue() const {
    if (resource_.scalar().IsNegative()) return Refuse("scalar", "is negative");
    if (resource_.scalar().thousandths() > kResourceThousandthsMax) {
      return Refuse("scalar", absl::StrCat("is more than ",
                                           kResourceThousandthsMax / Scalar::kThousandthsPerUnit));
    }
    if (resource_.copies() < 1) return Refuse("shared_count", "must be at least 1");
    if (resource_.copies() > 1 && !resource_.IsShared()) {
      return Refuse("shared_count", "is only for shared resources");
    }
    return absl::OkStatus();
  }

  absl::Status CheckAllocation() const {
    if (!metadata_.allocation_role) return absl::OkStatus();
    const absl::Status role = ValidateRole(*metadata_.allocation_role);
    return role.ok() ? role : Refuse("allocation_role:", std::string(role.message()));
  }

  absl::Status CheckReservations() const {
    const Reservation* below = nullptr;
    for (const Reservation& reservation : metadata_.reservations) {
      if (absl::Status role = ValidateRole(reservation.role); !role.ok()) {
        return Refuse("reservations:", std::string(role.message()));
      }
      if (reservation.role == kAnyRole) return Refuse("reservations:", "role '*' cannot reserve");
      if (below != nullptr) {
        if (reservation.type == ReservationType::kStatic) {
          return Refuse("reservations:", "only the first of a stack may be static");
        }
        if (!IsStrictSubrole(reservation.role, below->role)) {
          return Refuse("reservations:",
                        absl::StrCat("role ", Quoted(reservation.role), " does not lie beneath ",
                                     Quoted(below->role)));
        }
      }
      if (reservation.type == ReservationType::kDynamic && metadata_.revocable) {
        return Refuse("reservations:", "a revocable resource cannot be reserved dynamically");
      }
      below = &reservation;
    }
    return absl::OkStatus();
  }

  absl::Status CheckDisk() const {
    if (!metadata_.disk) return absl::OkStatus();
    if (resource_.name() != kDiskName) return Refuse("disk", "is only for the resource 'disk'");
    if (resource_.kind() != ResourceKind::kScalar) return Refuse("disk", "needs a scalar value");
    const auto& source = metadata_.disk->source;
    if (source && source->root &&
        (source->type == DiskSourceType::kBlock || source->type == DiskSourceType::kRaw)) {
      return Refuse("disk.source.root", "is only for PATH and MOUNT disks");
    }
    return absl::OkStatus();
  }

  absl::Status CheckVolume() const {
    if (!metadata_.disk) return absl::OkStatus();
    const DiskInfo& disk = *metadata_.disk;
    if (!disk.persistence) {
      return disk.volume ? Refuse("disk.volume", "needs disk.persistence") : absl::OkStatus();
    }
    if (absl::Status id = ValidateId("id", disk.persistence->id); !id.ok()) {
      return Refuse("disk.persistence:", std::string(id.message()));
    }
    if (!disk.volume) return Refuse("disk.persistence", "needs disk.volume");
    if (disk.volume->container_path.empty()) {
      return Refuse("disk.volume.container_path", "must not be empty");
    }
    if (metadata_.revocable) return Refuse("disk.persistence", "cannot be on revocable disk");
    if (resource_.IsUnreserved()) return Refuse("disk.persistence", "needs a reservation");
    return absl::OkStatus();
  }

  absl::Status CheckShared() const {
    if (metadata_.shared && !resource_.IsPersistentVolume()) {
      return Refuse("shared", "is only for persistent volumes");
    }
    return absl::OkStatus();
  }

  const Resource& resource_;
  const ResourceMetadata& metadata_;
};

std::string_view KindName(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::kScalar:
      return "a scalar";
    case ResourceKind::kRanges:
      return "ranges";
    case ResourceKind::kSet:
      return "a set";
  }
  return "";
}

}  // namespace

absl::Status Validate(const Resource& resource) { return Checker(resource).Check(); }

absl::Status Validate(const std::vector<Resource>& objects) {
  std::map<std::string_view, ResourceKind> kinds;
  // Reservation role and persistence id.
  std::map<std::pair<std::string_view, std::string_view>, const Resource*> volumes;
  for (const Resource& object : objects) {
    RETURN_IF_ERROR(Validate(object));
    const auto [known, is_new] = kinds.emplace(object.name(), object.kind());
    if (!is_new && known->second != object.kind()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "resource ", Quoted(object.name()), ": is both ", std::string(KindName(known->second)),
          " and ", std::string(KindName(object.kind()))));
    }
    if (!object.IsPersistentVolume()) continue;
    const std::string& id = object.metadata().disk->persistence->id;
    const auto [twin, is_first] = volumes.emplace(
        std::pair<std::string_view, std::string_view>(object.ReservationRole(), id), &object);
    const bool copy_of_twin = object.IsShared() && twin->second->EqualsButCopies(object);
    if (!is_first && !copy_of_twin) {
      return absl::InvalidArgumentError(absl::StrCat("resource 'disk': disk.persistence.id ",
                                                     Quoted(id), " occurs twice in role ",
                                                     Quoted(object.ReservationRole())));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::model
