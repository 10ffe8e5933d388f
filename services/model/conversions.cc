#include "services/model/conversions.h"
#include "services/base/status_macros.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tessera::model {
namespace {

absl::Status Refuse(const Resource& object, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(ToString(object), ": ", std::string(why)));
}

absl::Status CheckNotEmpty(const Resources& resources) {
  if (!resources.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("the operation names no resources");
}

absl::Status CheckVolume(const Resource& volume) {
  RETURN_IF_ERROR(Validate(volume));
  if (!volume.IsPersistentVolume()) return Refuse(volume, "is not a persistent volume");
  if (volume.copies() != 1) return Refuse(volume, "must be named once, not as several copies");
  return absl::OkStatus();
}

// Volumes whose size may change: not shared, and on disk that can be split.
absl::Status CheckResizable(const Resource& volume) {
  RETURN_IF_ERROR(CheckVolume(volume));
  if (volume.IsShared()) return Refuse(volume, "a shared volume cannot change its size");
  if (!DiskOfVolume(volume).IsDivisible()) {
    return Refuse(volume, "a volume on an indivisible disk cannot change its size");
  }
  return absl::OkStatus();
}

absl::StatusOr<Resources> Popped(const Resources& reserved) {
  RETURN_IF_ERROR(CheckNotEmpty(reserved));
  RETURN_IF_ERROR(Validate(reserved.objects()));
  for (const Resource& object : reserved) {
    if (object.IsPersistentVolume()) {
      return Refuse(object, "a persistent volume must be destroyed before its reservation changes");
    }
  }
  absl::StatusOr<Resources> popped = reserved.PopReservation();
  if (!popped.ok()) return absl::InvalidArgumentError(popped.status().message());
  return popped;
}

}  // namespace

Resource DiskOfVolume(const Resource& volume) {
  Resource disk = volume;
  ResourceMetadata metadata = volume.metadata();
  metadata.shared = false;
  if (metadata.disk) {
    metadata.disk->persistence.reset();
    metadata.disk->volume.reset();
  }
  disk.set_metadata(std::move(metadata));
  disk.set_copies(1);
  return disk;
}

absl::StatusOr<ResourceConversion> ReserveConversion(const Resources& reserved) {
  absl::StatusOr<Resources> popped = Popped(reserved);
  if (!popped.ok()) return popped.status();
  return ResourceConversion{.consumed = *std::move(popped), .converted = reserved};
}

absl::StatusOr<ResourceConversion> UnreserveConversion(const Resources& reserved) {
  absl::StatusOr<Resources> popped = Popped(reserved);
  if (!popped.ok()) return popped.status();
  return ResourceConversion{.consumed = reserved, .converted = *std::move(popped)};
}

absl::StatusOr<std::vector<ResourceConversion>> CreateConversions(const Resources& volumes) {
  RETURN_IF_ERROR(CheckNotEmpty(volumes));
  std::vector<ResourceConversion> conversions;
  for (const Resource& volume : volumes) {
    RETURN_IF_ERROR(CheckVolume(volume));
    conversions.push_back({.consumed = {DiskOfVolume(volume)}, .converted = {volume}});
  }
  return conversions;
}

absl::StatusOr<std::vector<ResourceConversion>> DestroyConversions(const Resources& volumes) {
  RETURN_IF_ERROR(CheckNotEmpty(volumes));
  std::vector<ResourceConversion> conversions;
  for (const Resource& volume : volumes) {
    RETURN_IF_ERROR(CheckVolume(volume));
    ResourceConversion conversion{.consumed = {volume}, .converted = {DiskOfVolume(volume)}};
    if (volume.IsShared()) conversion.must_vanish = volume;
    conversions.push_back(std::move(conversion));
  }
  return conversions;
}

absl::StatusOr<ResourceConversion> GrowConversion(const Resource& volume,
                                                  const Resource& addition) {
  RETURN_IF_ERROR(CheckResizable(volume));
  RETURN_IF_ERROR(Validate(addition));
  if (addition.IsEmpty()) return Refuse(addition, "the addition must be larger than zero");
  if (!addition.SameIdentity(DiskOfVolume(volume))) {
    return Refuse(addition, absl::StrCat("is not disk of the same kind as ", ToString(volume)));
  }
  Resource grown = volume;
  grown.set_scalar(volume.scalar() + addition.scalar());
  return ResourceConversion{.consumed = {volume, addition}, .converted = {std::move(grown)}};
}

absl::StatusOr<ResourceConversion> ShrinkConversion(const Resource& volume, Scalar amount) {
  RETURN_IF_ERROR(CheckResizable(volume));
  if (!amount.IsPositive()) return Refuse(volume, "the amount to take off must be positive");
  if (amount >= volume.scalar()) {
    return Refuse(volume, absl::StrCat("cannot be made smaller by ", amount.ToString(),
                                       ": something must be left"));
  }
  Resource smaller = volume;
  smaller.set_scalar(volume.scalar() - amount);
  Resource freed = DiskOfVolume(volume);
  freed.set_scalar(amount);
  return ResourceConversion{.consumed = {volume},
                            .converted = {std::move(smaller), std::move(freed)}};
}

}  // namespace tessera::model
