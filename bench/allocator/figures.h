// How the allocator's benchmarks measure and print: one line a figure, and beside each figure that
// Mesos has too, how many times faster this one is.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "bench/allocator/size.h"

namespace tessera::allocator::bench {

// Time that this thread has spent on a processor. The core never waits, so on an idle machine it
// is the time of the clock on the wall, and on a busy one it is still the core's own.
std::chrono::nanoseconds Now();
double Ms(std::chrono::nanoseconds duration);

// The resident set of this process.
double ResidentMiB();

// How often this program has allocated memory so far.
size_t HeapAllocations();

// "figure allocator.<what>.<agents>x<frameworks> <value> <unit>", and for a time that Mesos's own
// allocator is known for on the same workload "figure allocator.<what>.times_faster.<size>".
void Figure(const std::string& what, Size size, double value, const char* unit);

// The median as `what` and the best as `what`.min; the best is compared with Mesos's best.
void MinAndMedian(const std::string& what, Size size, std::vector<double> values,
                  const char* unit = "ms");

// Ends the program: the workload did not do what it is there to measure.
[[noreturn]] void Fail(const std::string& why);

}  // namespace tessera::allocator::bench
