#include "services/model/random_resources.h"

#include <utility>

namespace tessera::model {
namespace {

// Elements of ranges lie below this.
constexpr uint64_t kNumberMax = 40;

template <typename T>
const T& Pick(base::Rng* rng, const std::vector<T>& choices) {
  return choices[rng->Below(choices.size())];
}

std::vector<Reservation> RandomStack(base::Rng* rng, bool may_be_dynamic) {
  static const std::vector<std::string> kRoles = {"a", "b"};
  std::vector<Reservation> stack;
  std::string role = Pick(rng, kRoles);
  const size_t depth = 1 + rng->Below(may_be_dynamic ? 3 : 1);
  for (size_t level = 0; level < depth; ++level) {
    Reservation reservation{.role = role};
    if (may_be_dynamic && (level > 0 || rng->Chance(0.5))) {
      reservation.type = ReservationType::kDynamic;
      if (rng->Chance(0.5)) reservation.principal = rng->Chance(0.5) ? "ann" : "";
      if (rng->Chance(0.3)) {
        reservation.labels = Labels{{.key = "k", .value = "v"}, {.key = "l"}};
        if (rng->Chance(0.5)) std::swap(reservation.labels->front(), reservation.labels->back());
      }
    }
    stack.push_back(std::move(reservation));
    role += "/x";
  }
  return stack;
}

DiskSource RandomSource(base::Rng* rng) {
  DiskSource source;
  source.type = static_cast<DiskSourceType>(rng->Below(4));
  const bool has_root =
      source.type == DiskSourceType::kPath || source.type == DiskSourceType::kMount;
  if (has_root && rng->Chance(0.8)) source.root = rng->Chance(0.5) ? "/d1" : "/d2";
  if (!has_root && rng->Chance(0.5)) source.id = "dev";
  if (rng->Chance(0.2)) source.profile = "fast";
  if (rng->Chance(0.2)) source.metadata = Labels{{.key = "model", .value = "q"}};
  return source;
}

}  // namespace

Ranges RandomRanges(base::Rng* rng) {
  std::vector<Interval> intervals;
  const size_t count = 1 + rng->Below(4);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t begin = rng->Below(kNumberMax);
    intervals.push_back({begin, begin + rng->Below(8)});
  }
  return Ranges::UnionOf(std::move(intervals));
}

StringSet RandomSet(base::Rng* rng) {
  std::vector<std::string> items;
  for (const char* item : {"p", "q", "r", "s"}) {
    if (rng->Chance(0.5)) items.emplace_back(item);
  }
  if (items.empty()) items.emplace_back("p");
  return *StringSet::FromItems(std::move(items));
}

Resource RandomResource(base::Rng* rng, const RandomResourcesOptions& options) {
  static const std::vector<std::string> kScalars = {"cpus", "mem", "disk", "disk", "disk", "gpus"};
  ResourceMetadata metadata;
  Resource resource = Resource::OfScalar(
      Pick(rng, kScalars),
      Scalar::FromThousandths(
          1 + static_cast<int64_t>(rng->Below(static_cast<uint64_t>(options.thousandths_max)))));
  if (!options.scalars_only && rng->Chance(0.3)) {
    resource = rng->Chance(0.5) ? Resource::OfRanges("ports", RandomRanges(rng))
                                : Resource::OfSet("zones", RandomSet(rng));
  }
  metadata.revocable = rng->Chance(0.1);
  if (rng->Chance(0.5)) metadata.reservations = RandomStack(rng, !metadata.revocable);
  if (options.with_allocations && rng->Chance(0.2)) {
    metadata.allocation_role = rng->Chance(0.5) ? "a" : "b";
  }
  if (rng->Chance(0.05)) metadata.provider_id = "p1";
  if (resource.name() == "disk" && rng->Chance(0.6)) {
    metadata.disk.emplace();
    if (rng->Chance(0.6)) metadata.disk->source = RandomSource(rng);
    if (!metadata.reservations.empty() && !metadata.revocable && rng->Chance(0.6)) {
      metadata.disk->persistence = {.id = rng->Chance(0.5) ? "v1" : "v2"};
      if (rng->Chance(0.5)) metadata.disk->persistence->principal = "ann";
      metadata.disk->volume = {.container_path = rng->Chance(0.5) ? "here" : "there",
                               .read_only = rng->Chance(0.5)};
      // Few sizes, so that equal volumes occur.
      resource.set_scalar(Scalar::FromUnits(1 + static_cast<int64_t>(rng->Below(2))));
      metadata.shared = options.with_shared && rng->Chance(0.5);
    }
  }
  if (resource.name() == "disk" && rng->Chance(0.5)) resource.set_scalar(Scalar::FromUnits(2));
  const bool shared = metadata.shared;
  resource.set_metadata(std::move(metadata));
  if (shared) resource.set_copies(1 + static_cast<int64_t>(rng->Below(3)));
  return resource;
}

std::vector<Resource> RandomObjects(base::Rng* rng, const RandomResourcesOptions& options) {
  std::vector<Resource> objects;
  const size_t count = rng->Below(options.objects_max + 1);
  for (size_t i = 0; i < count; ++i) objects.push_back(RandomResource(rng, options));
  return objects;
}

}  // namespace tessera::model
