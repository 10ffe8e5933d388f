// Changes of a small cluster in any order, also those that a master would never send: for property
// tests. No two things use the same port at a time on one machine, as in any real cluster.
#pragma once

#include "services/base/rng.h"
#include "services/feed/rows.h"

namespace tessera::feed {

struct RandomWorld {
  int agents = 5;
  int frameworks = 4;
  int tasks_per_framework = 30;
  int offers = 12;
};

Change RandomChange(base::Rng& rng, const RandomWorld& world = {});

}  // namespace tessera::feed
