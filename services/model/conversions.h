// The resource operations of frameworks and operators, as conversions of the algebra.
//
// Each function checks its argument and returns what is consumed and what comes instead.
// Applying them to an agent's resources is Resources::Apply. All return InvalidArgument with the
// reason when the operation makes no sense for the given resources. None conserves anything by
// itself: quantities of `consumed` and `converted` are equal by construction.
#pragma once

#include "absl/status/statusor.h"
#include "services/model/resources.h"

namespace tessera::model {

// `reserved`: the resources as they will look, last reservation level included.
absl::StatusOr<ResourceConversion> ReserveConversion(const Resources& reserved);
// `reserved`: the resources as they look now; the last level of each is removed.
absl::StatusOr<ResourceConversion> UnreserveConversion(const Resources& reserved);
// `volumes`: persistent volumes to be made out of plain disk of the same source, one each.
absl::StatusOr<std::vector<ResourceConversion>> CreateConversions(const Resources& volumes);
// `volumes`: persistent volumes that become plain disk again. For a shared volume the result
// must hold no further copy.
absl::StatusOr<std::vector<ResourceConversion>> DestroyConversions(const Resources& volumes);
// Adds `addition` (disk of the same source, reservations, provider) to `volume`.
absl::StatusOr<ResourceConversion> GrowConversion(const Resource& volume, const Resource& addition);
// Takes `amount` off `volume`, which must stay larger than zero.
absl::StatusOr<ResourceConversion> ShrinkConversion(const Resource& volume, Scalar amount);

// The plain disk a volume was made of: no persistence, no volume, not shared.
Resource DiskOfVolume(const Resource& volume);

}  // namespace tessera::model
