#include "bench/allocator/figures.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>

#include "bench/allocator/mesos_figures.h"

namespace {
size_t heap_allocations = 0;  // one thread allocates while it counts
}

// Counts and passes on. The array and nothrow forms of the library end here, too.
void* operator new(size_t size) {
  ++heap_allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tessera::allocator::bench {
namespace {

void Print(const std::string& what, Size size, double value, const char* unit) {
  std::printf("figure allocator.%s.%zux%zu %.4g %s\n", what.c_str(), size.agents, size.frameworks,
              value, unit);
  std::fflush(stdout);
}

void Compare(const std::string& what, Size size, double ms) {
  if (const MesosFigure* mesos = FindMesosFigure(what, size)) {
    Print(what + ".times_faster", size, mesos->min_ms / ms, "times");
  }
}

}  // namespace

std::chrono::nanoseconds Now() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

double Ms(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double ResidentMiB() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1048576;
}

size_t HeapAllocations() { return heap_allocations; }

void Figure(const std::string& what, Size size, double value, const char* unit) {
  Print(what, size, value, unit);
  if (unit == std::string("ms")) Compare(what, size, value);
}

void MinAndMedian(const std::string& what, Size size, std::vector<double> values,
                  const char* unit) {
  if (values.empty()) Fail(what + " was not measured");
  std::sort(values.begin(), values.end());
  Print(what + ".min", size, values.front(), unit);
  Print(what, size, values[values.size() / 2], unit);
  if (unit == std::string("ms")) Compare(what, size, values.front());
}

void Fail(const std::string& why) {
  std::fprintf(stderr, "allocator_bench: %s\n", why.c_str());
  std::exit(1);
}

}  // namespace tessera::allocator::bench
