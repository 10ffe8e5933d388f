// Costs of the resource algebra's hot operations: one `figure model.<operation> <value> ns` of cpu
// time each.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "services/model/parse.h"
#include "services/model/quantities.h"
#include "services/model/resources.h"

namespace tessera::model {
namespace {

const Resources& Agent() {
  static const Resources* const agent =
      new Resources(*ParseResources("cpus:32;mem:262144;disk:4194304;ports:[31000-32000]"));
  return *agent;
}

const Resources& Task() {
  static const Resources* const task =
      new Resources(*ParseResources("cpus:0.5;mem:512;disk:100;ports:[31100-31101]"));
  return *task;
}

// An agent with `count` reservations of its own for as many roles.
Resources Reserved(int64_t count) {
  Resources resources = Agent();
  for (int64_t i = 0; i < count; ++i) {
    Resource object = Resource::OfScalar("cpus", Scalar::FromUnits(1));
    const Reservation reservation{
        .type = ReservationType::kDynamic, .role = "role" + std::to_string(i), .principal = "ops"};
    if (object.PushReservation(reservation).ok()) resources += std::move(object);
  }
  return resources;
}

void Copy(benchmark::State& state) {
  for (auto _ : state) {
    Resources copy = Agent();
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(Copy)->Name("resources_copy");

void SubtractAndAdd(benchmark::State& state) {
  Resources available = Agent();
  for (auto _ : state) {
    available -= Task();
    available += Task();
    benchmark::DoNotOptimize(available);
  }
}
BENCHMARK(SubtractAndAdd)->Name("resources_subtract_and_add");

void Contains(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Agent().Contains(Task()));
}
BENCHMARK(Contains)->Name("resources_contains");

void Allocate(benchmark::State& state) {
  for (auto _ : state) {
    Resources allocated = Agent().AllocatedCopy("eng/web");
    benchmark::DoNotOptimize(allocated);
  }
}
BENCHMARK(Allocate)->Name("resources_allocate");

void SubtractManyReserved(benchmark::State& state) {
  const Resources total = Reserved(state.range(0));
  for (auto _ : state) {
    Resources rest = total;
    rest -= total.Reserved();
    benchmark::DoNotOptimize(rest);
  }
}
BENCHMARK(SubtractManyReserved)->Name("resources_subtract_reserved")->Arg(800);

void ContainsManyReserved(benchmark::State& state) {
  const Resources total = Reserved(state.range(0));
  const Resources part = total.Reserved();
  for (auto _ : state) benchmark::DoNotOptimize(total.Contains(part));
}
BENCHMARK(ContainsManyReserved)->Name("resources_contains_reserved")->Arg(800);

void QuantitiesOf(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Quantities::OfScalars(Agent()));
}
BENCHMARK(QuantitiesOf)->Name("quantities_of_resources");

void DenseSubtractAndAdd(benchmark::State& state) {
  ResourceNames names;
  QuantityVector available = QuantityVector::From(Quantities::OfScalars(Agent()), &names);
  const QuantityVector task = QuantityVector::From(Quantities::OfScalars(Task()), &names);
  for (auto _ : state) {
    available -= task;
    available += task;
    benchmark::DoNotOptimize(available);
  }
}
BENCHMARK(DenseSubtractAndAdd)->Name("quantity_vector_subtract_and_add");

void ParseText(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(ParseResources("cpus:32;mem:262144;disk:4194304;ports:[31000-32000]"));
  }
}
BENCHMARK(ParseText)->Name("resources_parse_text");

class FigureReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      std::string name = run.benchmark_name();
      for (char& c : name) c = c == '/' ? '_' : c;
      std::printf("figure model.%s %.1f ns\n", name.c_str(), run.GetAdjustedCPUTime());
    }
  }
};

}  // namespace
}  // namespace tessera::model

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  tessera::model::FigureReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}
