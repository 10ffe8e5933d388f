// A framework: the SDK's core with one of several ways to behave.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sdk/cpp/core/scheduler_core.h"
#include "tests/sim/world.h"

namespace tessera::sim {

enum class Behaviour {
  // Runs its tasks wherever they fit, launches lost ones again.
  kBatch,
  // The same, and kills some of its tasks while they run.
  kKiller,
  // Declines everything, for random times.
  kDecliner,
  // Never answers an offer.
  kHoarder,
};

const char* NameOf(Behaviour behaviour);

struct FrameworkShape {
  Behaviour behaviour = Behaviour::kBatch;
  std::string role = "*";
  int tasks = 20;
  int64_t cpus_milli = 500;
  int64_t mem_milli = 128'000;
  absl::Duration task_time = absl::Seconds(5);
  // Of the tasks, this part fails by itself.
  double failures = 0.1;
};

class FrameworkProcess : public Process {
 public:
  FrameworkProcess(World* world, std::string name, std::vector<std::string> masters,
                   FrameworkShape shape);

  const FrameworkShape& shape() const { return shape_; }
  // All its tasks have ended (frameworks without tasks: always).
  bool done() const { return left_.empty() && live_.empty(); }
  // It gave its work up because its session ended for good.
  bool ended() const { return ended_; }
  // For people who look into a run.
  std::string Describe() const;

 private:
  void OnStart() override;
  // Ends its session without ending its tasks.
  void OnStop() override;
  void OnEnd() override;
  void CarryOut(std::vector<sdk::Effect> effects);
  void Do(sdk::OpenStream& open);
  void Do(sdk::CancelStream& cancel);
  void Do(sdk::SendCall& call);
  void Do(sdk::Deliver& deliver);
  void Do(sdk::Disconnected& disconnected);
  void Do(sdk::CallFailed& failed);
  void Do(sdk::Ended& ended);

  void OnOffers(const scheduler::v1::Event::Offers& offers);
  void OnUpdate(const model::v1::TaskStatus& status);
  void Relaunch(const std::string& task_id);
  // Makes a call once the present step is over.
  void Call(sdk::Request request);
  std::string Key() const { return framework_id_; }

  World* world_;
  const std::vector<std::string> masters_;
  const FrameworkShape shape_;
  base::Rng rng_;
  std::unique_ptr<sdk::SchedulerCore> core_;
  std::unique_ptr<CoreRunner<sdk::SchedulerCore, sdk::Event, sdk::Effect>> runner_;
  std::map<uint64_t, std::shared_ptr<Wire>> streams_;

  // What a careful framework keeps durably: its id, and each task before it is launched.
  std::string framework_id_;
  std::vector<int> left_;            // tasks to launch
  std::map<std::string, int> live_;  // id of the attempt -> task
  std::map<std::string, std::string> agents_;
  int attempts_ = 0;
  bool ended_ = false;
  size_t offers_seen_ = 0;
};

}  // namespace tessera::sim
