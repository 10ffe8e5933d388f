#include "tests/sim/framework_process.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"
#include "tests/sim/master_process.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr double kKillChance = 0.4;
// The needy wait so long before they ask for offers again: each call goes its own way, and one that
// says that no offers are wanted must not arrive last.
constexpr absl::Duration kBetweenCalls = absl::Seconds(5);
// As long as the simulation does not say otherwise.
constexpr int kManyWishes = 1'000'000;

bool EndsByItself(model::v1::TaskState state) {
  return state == model::v1::TASK_FINISHED || state == model::v1::TASK_FAILED ||
         state == model::v1::TASK_KILLED || state == model::v1::TASK_ERROR;
}

bool Lost(model::v1::TaskState state) {
  return state == model::v1::TASK_LOST || state == model::v1::TASK_DROPPED ||
         state == model::v1::TASK_GONE || state == model::v1::TASK_GONE_BY_OPERATOR ||
         state == model::v1::TASK_UNKNOWN;
}

int64_t Plain(const model::v1::Offer& offer, const std::string& name) {
  int64_t sum = 0;
  for (const auto& resource : offer.resources()) {
    if (resource.name() == name) sum += resource.scalar().milli();
  }
  return sum;
}

}  // namespace

const char* NameOf(Behaviour behaviour) {
  switch (behaviour) {
    case Behaviour::kBatch:
      return "batch";
    case Behaviour::kKiller:
      return "killer";
    case Behaviour::kDecliner:
      return "decliner";
    case Behaviour::kHoarder:
      return "hoarder";
    case Behaviour::kNeedy:
      return "needy";
  }
  return "?";
}

FrameworkProcess::FrameworkProcess(World* world, std::string name, std::vector<std::string> masters,
                                   FrameworkShape shape)
    : Process(&world->loop, std::move(name)),
      world_(world),
      masters_(std::move(masters)),
      shape_(std::move(shape)),
      rng_(world->rng.Fork()) {
  const bool works =
      shape_.behaviour == Behaviour::kBatch || shape_.behaviour == Behaviour::kKiller;
  for (int i = 0; works && i < shape_.tasks; ++i) left_.push_back(i);
  if (shape_.behaviour == Behaviour::kNeedy) wishes_left_ = kManyWishes;
}

std::string FrameworkProcess::Describe() const {
  return absl::StrCat(name(), " ", framework_id_, ": ", NameOf(shape_.behaviour), " in role ",
                      shape_.role, ", tasks of ", shape_.cpus_milli, " millicpus and ",
                      shape_.mem_milli, " milli-MiB; ", left_.size(), " left, ", live_.size(),
                      " live, ", offers_seen_, " offers seen");
}

void FrameworkProcess::OnStart() {
  if (ended_ || gone_) return;
  sdk::SchedulerConfig config;
  config.masters = masters_;
  config.info.set_name(name());
  config.info.set_user("root");
  config.info.set_id(framework_id_);
  config.info.add_roles(shape_.role);
  config.info.set_checkpoint(true);
  config.info.mutable_failover_timeout()->set_seconds(3600);
  config.info.add_capabilities(model::v1::FrameworkInfo::PARTITION_AWARE);
  core_ = std::make_unique<sdk::SchedulerCore>(config, rng_.Next());
  runner_ = std::make_unique<CoreRunner<sdk::SchedulerCore, sdk::Event, sdk::Effect>>(
      this, core_.get(), sdk::Event(sdk::Wake{}),
      [this](std::vector<sdk::Effect> effects) { CarryOut(std::move(effects)); });
  sdk::AdoptTasks adopt;
  for (const auto& [id, task] : live_) adopt.tasks.push_back({id, agents_[id]});
  runner_->Step(std::move(adopt));
  runner_->Step(sdk::Start{});
  if (shape_.end != FrameworkShape::End::kNone) Later(shape_.end_after, [this] { EndForGood(); });
  if (shape_.behaviour != Behaviour::kNeedy) return;
  will_state_ = false;
  if (!wished_.empty()) {
    world_->wishes.Stated(name(), shape_.wish_runs_max, loop().now());
  } else if (left_.empty() && live_.empty()) {
    WishLater();
  }
}

void FrameworkProcess::EndForGood() {
  gone_ = true;
  Crash();
}

void FrameworkProcess::OnStop() {
  if (runner_ == nullptr) return Finish();
  runner_->Step(sdk::Stop{});
}

void FrameworkProcess::OnEnd() {
  runner_.reset();
  core_.reset();
  if (gone_ && shape_.end == FrameworkShape::End::kVanish) world_->network.Vanish(this);
  streams_.clear();
  world_->wishes.Withdrawn(name());
  world_->network.Drop(this);
}

void FrameworkProcess::CarryOut(std::vector<sdk::Effect> effects) {
  for (sdk::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
}

void FrameworkProcess::Call(sdk::Request request) {
  Later(absl::ZeroDuration(),
        [this, request = std::move(request)] { runner_->Step(sdk::MakeCall{request}); });
}

void FrameworkProcess::Do(sdk::OpenStream& open) {
  const uint64_t attempt = open.attempt;
  const auto closed = [this, attempt](const absl::Status& status) {
    streams_.erase(attempt);
    runner_->Step(sdk::StreamEnded{
        attempt, status.ok() ? absl::UnavailableError("the stream ended") : status});
  };
  const auto it = world_->masters.find(open.address);
  if (it == world_->masters.end()) {
    Later(absl::Milliseconds(1), [closed] { closed(absl::UnavailableError("no such address")); });
    return;
  }
  MasterProcess* master = it->second;
  auto stream = std::make_shared<uint64_t>(0);
  auto wire =
      world_->network.Connect({this, closed}, {master, [master, stream](const absl::Status&) {
                                                 if (*stream != 0) master->FrameworkClosed(*stream);
                                               }});
  if (wire == nullptr) return;
  streams_[attempt] = wire;
  std::weak_ptr<Wire> weak = wire;
  wire->Send(this, [this, attempt, master, stream, weak, request = open.request] {
    *stream = master->OpenFramework(
        request,
        [this, attempt, master, weak](scheduler::v1::SubscribeResponse response) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(master, [this, attempt, response = std::move(response)] {
            runner_->Step(
                sdk::StreamEvents{attempt, {response.events().begin(), response.events().end()}});
          });
        },
        [master, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(master, status);
        });
  });
}

void FrameworkProcess::Do(sdk::CancelStream& cancel) {
  const auto it = streams_.find(cancel.attempt);
  if (it == streams_.end()) return;
  it->second->Close(this, absl::CancelledError("cancelled"));
}

void FrameworkProcess::Do(sdk::SendCall& call) {
  const uint64_t id = call.id;
  auto answered = std::make_shared<bool>(false);
  const auto answer = [this, id, answered](const absl::Status& status) {
    if (std::exchange(*answered, true)) return;
    runner_->Step(sdk::CallAnswered{id, status});
  };
  const auto it = world_->masters.find(call.address);
  if (it == world_->masters.end()) {
    Later(absl::Milliseconds(1), [answer] { answer(absl::UnavailableError("no such address")); });
    return;
  }
  MasterProcess* master = it->second;
  auto wire = world_->network.Connect({this, answer}, {master, nullptr});
  Later(kCallTimeout, [answer] { answer(absl::DeadlineExceededError("no answer in time")); });
  if (wire == nullptr) return;
  wire->Send(this, [master, wire, answer, request = std::move(call.request)] {
    master->Call(request, [master, wire, answer](absl::StatusOr<master::SchedulerAnswer> result) {
      wire->Send(master, [answer, status = result.status()] { answer(status); });
    });
  });
}

void FrameworkProcess::Do(sdk::Disconnected&) {}

void FrameworkProcess::Do(sdk::Ended& ended) {
  if (stopping()) Later(absl::ZeroDuration(), [this] { Finish(); });
  if (stopping() && ended.status.ok()) return;
  ended_ = true;
  if (!ended.status.ok()) {
    world_->verdict.Fail("sessions last",
                         absl::StrCat(name(), " was ended: ", ended.status.message()));
  }
  world_->tasks.Abandoned(Key());
}

void FrameworkProcess::Do(sdk::CallFailed& failed) {
  VLOG(1) << world_->loop.now() << " " << name() << ": " << sdk::CallName(failed.request)
          << " failed: " << failed.status;
  const auto* accept = std::get_if<scheduler::v1::AcceptOffersRequest>(&failed.request);
  const bool about_wishes =
      std::holds_alternative<scheduler::v1::ReviveOffersRequest>(failed.request) ||
      std::holds_alternative<scheduler::v1::SuppressOffersRequest>(failed.request) ||
      std::holds_alternative<scheduler::v1::SetDemandRequest>(failed.request);
  if (about_wishes && shape_.behaviour == Behaviour::kNeedy) {
    StateWishLater();
  }
  if (accept == nullptr) return;
  const bool told_by_updates =
      absl::IsUnavailable(failed.status) || absl::IsDeadlineExceeded(failed.status) ||
      rpc::ReasonOf(failed.status) == model::v1::ErrorDetail::INVALID_OFFER;
  if (told_by_updates) return;
  if (absl::IsInvalidArgument(failed.status)) {
    world_->verdict.Fail("good calls are taken",
                         absl::StrCat(name(), ": ", failed.status.message()));
  }
  for (const auto& operation : accept->operations()) {
    for (const auto& task : operation.launch().tasks()) {
      model::v1::TaskStatus status;
      status.set_task_id(task.id());
      status.set_state(model::v1::TASK_DROPPED);
      world_->tasks.Heard(Key(), status);
      Relaunch(task.id());
    }
  }
}

void FrameworkProcess::Do(sdk::Deliver& deliver) {
  const scheduler::v1::Event& event = deliver.event;
  if (event.has_subscribed()) {
    if (!framework_id_.empty() && framework_id_ != event.subscribed().framework_id()) {
      world_->verdict.Fail("frameworks keep their ids", name() + " got another id");
    }
    framework_id_ = event.subscribed().framework_id();
    if (shape_.behaviour == Behaviour::kNeedy) StateWish();
  } else if (event.has_offers()) {
    OnOffers(event.offers());
  } else if (event.has_update()) {
    OnUpdate(event.update().status());
    Later(absl::ZeroDuration(),
          [this, status = event.update().status()] { runner_->Step(sdk::UpdateHandled{status}); });
  }
}

void FrameworkProcess::OnOffers(const scheduler::v1::Event::Offers& offers) {
  if (stopping()) return;
  for (const model::v1::Offer& offer : offers.offers()) {
    ++offers_seen_;
    VLOG(1) << world_->loop.now() << " " << name() << " is offered " << Plain(offer, "cpus")
            << " millicpus, " << Plain(offer, "mem") << " milli-MiB on " << offer.hostname();
    if (shape_.behaviour == Behaviour::kHoarder || shape_.behaviour == Behaviour::kDecliner) {
      Spurn(offer);
      continue;
    }
    scheduler::v1::AcceptOffersRequest accept;
    accept.add_offer_ids(offer.id());
    int64_t cpus = Plain(offer, "cpus"), mem = Plain(offer, "mem");
    auto* launch = accept.add_operations()->mutable_launch();
    while (!left_.empty() && cpus >= shape_.cpus_milli && mem >= shape_.mem_milli) {
      cpus -= shape_.cpus_milli;
      mem -= shape_.mem_milli;
      const int task = left_.back();
      left_.pop_back();
      model::v1::TaskInfo* info = launch->add_tasks();
      info->set_id(absl::StrCat("t", task, ".", ++attempts_));
      info->set_name(info->id());
      info->set_agent_id(offer.agent_id());
      for (const auto& [resource, milli] :
           {std::pair{"cpus", shape_.cpus_milli}, std::pair{"mem", shape_.mem_milli}}) {
        auto* r = info->add_resources();
        r->set_name(resource);
        r->mutable_scalar()->set_milli(milli);
        r->set_allocation_role(offer.role());
      }
      const double seconds = rng_.Exponential(absl::ToDoubleSeconds(shape_.task_time));
      info->mutable_command()->set_shell(true);
      info->mutable_command()->set_value(
          absl::StrCat("sim ", seconds, " ", rng_.Chance(shape_.failures) ? 1 : 0));
      live_[info->id()] = task;
      agents_[info->id()] = offer.agent_id();
      world_->tasks.Launched(Key(), info->id());
      VLOG(1) << world_->loop.now() << " " << name() << " launches " << info->id() << " on "
              << offer.hostname();
    }
    if (launch->tasks_size() > 0) {
      accept.mutable_filters()->mutable_refuse_duration()->set_seconds(1);
      Call(std::move(accept));
      if (left_.empty() && shape_.behaviour == Behaviour::kNeedy) StateWish();
      continue;
    }
    Decline(offer.id(), left_.empty() ? static_cast<int64_t>(rng_.Below(600)) : 1);
  }
}

void FrameworkProcess::Spurn(const model::v1::Offer& offer) {
  if (shape_.behaviour == Behaviour::kDecliner) {
    Decline(offer.id(), static_cast<int64_t>(rng_.Below(shape_.refuse_seconds)));
  } else if (shape_.hold != absl::InfiniteDuration()) {
    Later(shape_.hold, [this, id = offer.id()] { Decline(id, 0); });
  }
}

void FrameworkProcess::Decline(const std::string& offer_id, int64_t refuse_seconds) {
  scheduler::v1::DeclineOffersRequest decline;
  decline.add_offer_ids(offer_id);
  decline.mutable_filters()->mutable_refuse_duration()->set_seconds(refuse_seconds);
  Call(std::move(decline));
}

void FrameworkProcess::SetWishesLeft(int wishes) {
  if (shape_.behaviour == Behaviour::kNeedy) wishes_left_ = wishes;
}

void FrameworkProcess::WishLater() {
  if (wishes_left_ == 0) return;
  const double mean = absl::ToDoubleSeconds(shape_.between_wishes);
  Later(kBetweenCalls + absl::Seconds(rng_.Exponential(mean)), [this] {
    if (wishes_left_ == 0 || !left_.empty() || !live_.empty()) return;
    --wishes_left_;
    for (int i = 0; i < shape_.tasks; ++i) left_.push_back(i);
    wished_ = {left_.begin(), left_.end()};
    world_->wishes.Stated(name(), shape_.wish_runs_max, loop().now());
    VLOG(1) << loop().now() << " " << name() << " wishes for " << shape_.tasks << " tasks";
    StateWish();
  });
}

void FrameworkProcess::StateWish() {
  if (shape_.states_demand) {
    const int64_t tasks = static_cast<int64_t>(left_.size());
    scheduler::v1::SetDemandRequest request;
    auto* demand = request.add_demands();
    demand->set_role(shape_.role);
    for (const auto& [name, milli] :
         {std::pair{"cpus", shape_.cpus_milli}, std::pair{"mem", shape_.mem_milli}}) {
      (*demand->mutable_wanted()->mutable_amounts())[name].set_milli(tasks * milli);
      (*demand->mutable_smallest()->mutable_amounts())[name].set_milli(milli);
    }
    Call(std::move(request));
  }
  if (left_.empty()) {
    Call(scheduler::v1::SuppressOffersRequest());
  } else {
    Call(scheduler::v1::ReviveOffersRequest());
  }
}

void FrameworkProcess::StateWishLater() {
  if (std::exchange(will_state_, true)) return;
  Later(kBetweenCalls, [this] {
    will_state_ = false;
    StateWish();
  });
}

void FrameworkProcess::Got(int task) {
  if (wished_.erase(task) == 0 || !wished_.empty()) return;
  world_->wishes.Fulfilled(name(), loop().now());
}

void FrameworkProcess::OnUpdate(const model::v1::TaskStatus& status) {
  VLOG(1) << world_->loop.now() << " " << name() << " hears " << status.task_id() << " "
          << model::v1::TaskState_Name(status.state()) << " "
          << model::v1::TaskStatusReason_Name(status.reason()) << " "
          << (status.uuid().empty() ? "" : "from the agent");
  world_->tasks.Heard(Key(), status);
  const std::string& id = status.task_id();
  const auto live = live_.find(id);
  if (live != live_.end() &&
      (status.state() == model::v1::TASK_RUNNING || EndsByItself(status.state()))) {
    Got(live->second);
  }
  if (EndsByItself(status.state())) {
    if (live != live_.end()) live_.erase(live);
    agents_.erase(id);
    if (left_.empty() && live_.empty()) WishLater();
  } else if (Lost(status.state())) {
    Relaunch(id);
  } else if (status.state() == model::v1::TASK_RUNNING && shape_.behaviour == Behaviour::kKiller &&
             rng_.Chance(kKillChance)) {
    scheduler::v1::KillTaskRequest kill;
    kill.set_task_id(id);
    Later(shape_.task_time * rng_.Unit(), [this, kill] { runner_->Step(sdk::MakeCall{kill}); });
  }
}

void FrameworkProcess::Relaunch(const std::string& task_id) {
  const auto it = live_.find(task_id);
  if (it == live_.end()) return;
  left_.push_back(it->second);
  live_.erase(it);
  agents_.erase(task_id);
  if (shape_.behaviour != Behaviour::kNeedy) {
    Call(scheduler::v1::ReviveOffersRequest());
    return;
  }
  // The wish is open again, or goes on.
  wished_.insert(left_.back());
  world_->wishes.Stated(name(), shape_.wish_runs_max, loop().now());
  StateWishLater();
}

}  // namespace tessera::sim
