// The list of workloads. Each is a function of a size; a table names those that are run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/allocator/figures.h"

namespace tessera::allocator::bench {

struct Workload {
  std::string name;  // the first part of its figures' names
  std::vector<Size> sizes;
  std::function<void(Size)> run;
};

// A1 to A5, A7 and A8 of Mesos's own allocator benchmarks, at the sizes at which Mesos's times are
// known.
std::vector<Workload> MesosWorkloads();
// A6, A11 and A12: those with quota.
std::vector<Workload> MesosQuotaWorkloads();
// How the cost grows, and what a cluster does all day.
std::vector<Workload> ScaleWorkloads();

}  // namespace tessera::allocator::bench
