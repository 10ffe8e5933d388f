// Workloads on the allocator's core. README.md says what each figure means.
#include <cstdio>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "bench/allocator/workloads.h"
#include "services/base/flags.h"

ABSL_FLAG(std::string, only, "", "Substring of a workload's name. Runs those that contain it.");
ABSL_FLAG(bool, large, true, "Run the sizes of 10,000 agents and more, too.");
ABSL_FLAG(bool, list, false, "Name the workloads and run none.");

namespace tessera::allocator::bench {
namespace {

void RunAll() {
  std::vector<Workload> workloads = ScaleWorkloads();
  for (auto& more : {MesosWorkloads(), MesosQuotaWorkloads()}) {
    workloads.insert(workloads.end(), more.begin(), more.end());
  }
  for (const Workload& workload : workloads) {
    if (absl::GetFlag(FLAGS_list)) {
      std::printf("%s\n", workload.name.c_str());
      continue;
    }
    if (!absl::StrContains(workload.name, absl::GetFlag(FLAGS_only))) continue;
    for (Size size : workload.sizes) {
      if (size.agents < 10'000 || absl::GetFlag(FLAGS_large)) workload.run(size);
    }
  }
}

}  // namespace
}  // namespace tessera::allocator::bench

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv,
      {.name = "allocator_bench",
       .purpose = "Measures the allocator's core, workload by workload."});
  tessera::allocator::bench::RunAll();
  return 0;
}
