// Random resources out of a universe so small that identities meet often. For tests.
#pragma once

#include <string>
#include <vector>

#include "services/base/rng.h"
#include "services/model/resources.h"

namespace tessera::model {

struct RandomResourcesOptions {
  bool scalars_only = false;
  bool with_allocations = true;
  bool with_shared = true;
  size_t objects_max = 8;
  int64_t thousandths_max = 5000;
};

// Every object is valid by itself, and not empty.
Resource RandomResource(base::Rng* rng, const RandomResourcesOptions& options);
// The objects a collection is made of, before merging; possibly none.
std::vector<Resource> RandomObjects(base::Rng* rng, const RandomResourcesOptions& options);
Ranges RandomRanges(base::Rng* rng);
StringSet RandomSet(base::Rng* rng);

}  // namespace tessera::model
