// How large the cluster of a workload is. A value.
#pragma once

#include <cstddef>

namespace tessera::allocator::bench {

struct Size {
  size_t agents = 0;
  size_t frameworks = 0;
};

}  // namespace tessera::allocator::bench
