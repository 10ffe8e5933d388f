// A framework: the SDK's core with one of several ways to behave.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
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
  // Sits on offers: for ever, or for a long time.
  kHoarder,
  // Honest: asks for offers when it wants something and for none when it does not, again and again.
  kNeedy,
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
  // A decliner's refusals last less than this, one of no time among them.
  int refuse_seconds = 600;
  // A hoarder declines after this time.
  absl::Duration hold = absl::InfiniteDuration();
  // Mean time between the end of what was wished for and the next wish, of `tasks` tasks.
  absl::Duration between_wishes = absl::Minutes(1);
  // A wish has to be fulfilled within so many runs of the allocator over all agents.
  uint64_t wish_runs_max = 0;
  // A needy one also says how much it wants, and how much is too little.
  bool states_demand = false;
  // Of the launches, this part is of groups, under one of a few executors whose names are used
  // again and again; and this part names an executor of the framework's own, which agents refuse.
  double groups = 0;
  double custom_executors = 0;
  // Of the tasks that ended, this part is launched again at once, under the same id, when the
  // acknowledgement of the end is answered.
  double reuse = 0;
  // So many of its tasks run until the simulation lets go of them.
  int keepers = 0;

  enum class End {
    kNone,
    // It crashes and never comes back.
    kCrash,
    // Its machine loses power: it says nothing any more, and only a keepalive finds out.
    kVanish,
  };
  End end = End::kNone;
  absl::Duration end_after = absl::ZeroDuration();
};

class FrameworkProcess : public Process {
 public:
  FrameworkProcess(World* world, std::string name, std::vector<std::string> masters,
                   FrameworkShape shape);

  const FrameworkShape& shape() const { return shape_; }
  // All its tasks have ended (frameworks without tasks: always), and it has no more wishes.
  bool done() const { return quiet() && live_.empty(); }
  // The same, but for keepers, all of which run.
  bool quiet() const;
  size_t keepers_running() const { return keepers_running_.size(); }
  // Keepers are killed from now on.
  void Release();
  // It has so many more wishes, and then none; without effect on all but the needy.
  void SetWishesLeft(int wishes);
  // It is gone for good: see FrameworkShape::End.
  bool gone() const { return gone_; }
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
  // What can still be taken from an offer.
  struct Room {
    int64_t cpus = 0;
    int64_t mem = 0;
    bool Take(int64_t cpus_milli, int64_t mem_milli);
  };
  // What the acceptance of an offer does.
  struct Launching {
    const model::v1::Offer& offer;
    Room room;
    scheduler::v1::AcceptOffersRequest accept;
  };
  void OnOffer(const model::v1::Offer& offer);
  // Sits on the offer, or declines it.
  void Spurn(const model::v1::Offer& offer);
  void Decline(const std::string& offer_id, int64_t refuse_seconds);
  void AnswerInverse(const scheduler::v1::Event::InverseOffers& offers);
  // Adds a launch of what is left to do; false when there is no room.
  bool AddLaunch(Launching* launching);
  void AddGroup(Launching* launching);
  model::v1::TaskInfo MakeTask(const model::v1::Offer& offer, int task, const std::string& id);
  model::v1::ExecutorInfo MakeExecutor(const model::v1::Offer& offer,
                                       model::v1::ExecutorInfo::Type type);
  void AddResources(const model::v1::Offer& offer, int64_t cpus_milli, int64_t mem_milli,
                    google::protobuf::RepeatedPtrField<model::v1::Resource>* resources) const;
  // The end of the task is acknowledged: its id is free.
  void Reuse(const std::string& task_id);
  bool ReuseFrom(std::string task_id, const model::v1::Offer& offer, bool at_once);
  void KeepOffer(const model::v1::Offer& offer);
  void GiveUpReuse();
  void KillKeepers();
  void Kill(const std::string& task_id);
  void Relaunch(const std::string& task_id);
  void EndForGood();
  // ---- Of the needy.
  void WishLater();
  // Tells the master what is wanted now: as often as it may not know.
  void StateWish();
  void StateWishLater();
  // A task of the wish runs, or has run.
  void Got(int task);
  // Makes a call once the present step is over.
  void Call(sdk::Request request);
  std::string Key() const { return framework_id_; }

  struct Tap {
    static void Fold(Digest* digest, const sdk::OpenStream& effect);
    static void Fold(Digest* digest, const sdk::CancelStream& effect);
    static void Fold(Digest* digest, const sdk::SendCall& effect);
    static void Fold(Digest* digest, const sdk::Deliver& effect);
    static void Fold(Digest* digest, const sdk::Disconnected& effect);
    static void Fold(Digest* digest, const sdk::CallFailed& effect);
    static void Fold(Digest* digest, const sdk::Ended& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
    static Bite MomentOf(const sdk::SendCall& call);
  };

  World* world_;
  const std::vector<std::string> masters_;
  const FrameworkShape shape_;
  base::Rng rng_;
  std::unique_ptr<sdk::SchedulerCore> core_;
  std::unique_ptr<CoreRunner<sdk::SchedulerCore, sdk::Event, sdk::Effect, Tap>> runner_;
  std::map<uint64_t, std::shared_ptr<Wire>> streams_;

  // What a careful framework keeps durably: its id, and each task before it is launched, and the
  // statuses that it has acknowledged, by which launch they were about.
  std::string framework_id_;
  std::map<std::string, std::string> marks_;  // id of the attempt -> mark
  std::set<std::string> uuids_;               // of the statuses that it was told
  std::vector<int> left_;                     // tasks to launch
  std::map<std::string, int> live_;           // id of the attempt -> task
  std::map<std::string, std::string> agents_;
  std::set<int> wished_;  // of what was wished for last, the tasks that have not run yet
  int wishes_left_ = 0;
  bool will_state_ = false;
  bool gone_ = false;
  int attempts_ = 0;
  int marked_ = 0;
  // Ids that are used again.
  struct UsedAgain {
    struct End {
      std::string uuid;
      std::string container_id;
    };
    struct Waiting {
      int task = 0;
      End end;
      bool free = false;
    };
    // As soon as they are free; with `free` they are.
    std::map<std::string, Waiting> waiting;
    // Of each that was used again: how the launch before it ended. Outlives the process.
    std::map<std::string, End> earlier;
    // The uuids of all those ends.
    std::set<std::string> heard;
  };
  UsedAgain reuse_;
  // Offers that wait for that, by id.
  std::map<std::string, model::v1::Offer> kept_;
  std::set<std::string> custom_;  // attempts under executors of its own
  std::set<int> keepers_running_;
  bool released_ = false;
  uint64_t executors_named_ = 0;
  bool ended_ = false;
  size_t offers_seen_ = 0;
};

}  // namespace tessera::sim
