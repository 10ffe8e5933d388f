#include "tests/sim/framework_process.h"

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/launch_request.h"
#include "services/rpc/error.h"
#include "tests/sim/fold.h"
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
// Names of executors for groups, and for tasks under an executor of the framework's own.
constexpr uint64_t kExecutorNames = 2;
constexpr int64_t kExecutorCpus = 100, kExecutorMem = 32'000;
constexpr size_t kGroupMax = 3;
// Offers are kept for ids that are about to be free for so long, and so many of them.
constexpr absl::Duration kKeepOffer = absl::Seconds(8);
constexpr size_t kKeptMax = 2;
// An end that is not acknowledged by then is left alone, and its id is not used again.
constexpr absl::Duration kReusePatience = absl::Minutes(1);
constexpr absl::Duration kKillAgain = absl::Seconds(30);

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

// The call as a master's edge reads it.
master::SchedulerRequest ForMaster(const sdk::Request& request) {
  return std::visit(
      [](const auto& call) -> master::SchedulerRequest {
        using Call = std::decay_t<decltype(call)>;
        if constexpr (std::is_same_v<Call, scheduler::v1::AcceptOffersRequest>) {
          return master::ReadAcceptOffers(call);
        } else {
          return call;
        }
      },
      request);
}

std::vector<std::string> IdsInUse(const absl::StatusOr<master::SchedulerAnswer>& answer) {
  if (!answer.ok()) return {};
  const auto* accepted = std::get_if<scheduler::v1::AcceptOffersResponse>(&*answer);
  if (accepted == nullptr) return {};
  return {accepted->ids_in_use().begin(), accepted->ids_in_use().end()};
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

// ---- What is folded, and when strikes hit

void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::OpenStream& effect) {
  FoldAll(digest, effect.attempt, effect.address, effect.request);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::CancelStream& effect) {
  FoldAll(digest, effect.attempt);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::SendCall& effect) {
  FoldAll(digest, effect.id, effect.address, effect.request);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::Deliver& effect) {
  FoldAll(digest, effect.event);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::Disconnected& effect) {
  FoldAll(digest, effect.status);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::CallFailed& effect) {
  FoldAll(digest, effect.request, effect.status);
}
void FrameworkProcess::Tap::Fold(Digest* digest, const sdk::Ended& effect) {
  FoldAll(digest, effect.status);
}

Bite FrameworkProcess::Tap::MomentOf(const sdk::SendCall& call) {
  if (std::holds_alternative<scheduler::v1::AcceptOffersRequest>(call.request)) {
    return Bite::kFrameworkAccepts;
  }
  if (std::holds_alternative<scheduler::v1::AcknowledgeRequest>(call.request)) {
    return Bite::kFrameworkAcknowledges;
  }
  return Bite::kCount;
}

// ---- The process

FrameworkProcess::FrameworkProcess(World* world, std::string name, std::vector<std::string> masters,
                                   FrameworkShape shape)
    : Process(&world->loop, std::move(name)),
      world_(world),
      masters_(std::move(masters)),
      shape_(std::move(shape)),
      rng_(world->rng.Fork()) {
  const bool works =
      shape_.behaviour == Behaviour::kBatch || shape_.behaviour == Behaviour::kKiller;
  for (int i = 0; works && i < shape_.tasks + shape_.keepers; ++i) left_.push_back(i);
  if (shape_.behaviour == Behaviour::kNeedy) wishes_left_ = kManyWishes;
}

std::string FrameworkProcess::Describe() const {
  return absl::StrCat(name(), " ", framework_id_, ": ", NameOf(shape_.behaviour), " in role ",
                      shape_.role, ", tasks of ", shape_.cpus_milli, " millicpus and ",
                      shape_.mem_milli, " milli-MiB; ", left_.size(), " left, ", live_.size(),
                      " live, ", reuse_.waiting.size(), " ids to be used again, ", offers_seen_,
                      " offers seen");
}

// Keepers have the highest numbers.
bool FrameworkProcess::quiet() const {
  return left_.empty() && reuse_.waiting.empty() && wishes_left_ == 0 &&
         live_.size() == keepers_running_.size();
}

void FrameworkProcess::Release() {
  released_ = true;
  if (up()) KillKeepers();
}

void FrameworkProcess::KillKeepers() {
  if (keepers_running_.empty() || runner_ == nullptr) return;
  for (const auto& [id, task] : live_) Kill(id);
  Later(kKillAgain, [this] { KillKeepers(); });
}

void FrameworkProcess::Kill(const std::string& task_id) {
  scheduler::v1::KillTaskRequest kill;
  kill.set_task_id(task_id);
  Call(std::move(kill));
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
  runner_ = std::make_unique<CoreRunner<sdk::SchedulerCore, sdk::Event, sdk::Effect, Tap>>(
      world_, this, core_.get(), sdk::Event(sdk::Wake{}),
      [this](std::vector<sdk::Effect> effects) { CarryOut(std::move(effects)); });
  // It does not know any more whether their ends were acknowledged.
  GiveUpReuse();
  kept_.clear();
  sdk::AdoptTasks adopt;
  for (const auto& [id, task] : live_) {
    const auto earlier = reuse_.earlier.find(id);
    adopt.tasks.push_back({id, agents_[id]});
    if (earlier == reuse_.earlier.end()) continue;
    adopt.tasks.back().earlier_uuid = earlier->second.uuid;
    adopt.tasks.back().earlier_container_id = earlier->second.container_id;
  }
  runner_->Step(std::move(adopt));
  runner_->Step(sdk::Start{});
  if (shape_.end != FrameworkShape::End::kNone) Later(shape_.end_after, [this] { EndForGood(); });
  if (released_) KillKeepers();
  if (shape_.behaviour != Behaviour::kNeedy) return;
  will_state_ = false;
  if (!wished_.empty()) {
    world_->wishes.Stated(name(), shape_.wish_runs_max, loop().now());
  } else if (left_.empty() && live_.empty()) {
    WishLater();
  }
}

void FrameworkProcess::GiveUpReuse() {
  for (const auto& [id, reused] : reuse_.waiting) left_.push_back(reused.task);
  reuse_.waiting.clear();
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
  std::vector<std::string> freed;
  if (const auto* ack = std::get_if<scheduler::v1::AcknowledgeRequest>(&call.request)) {
    for (const auto& update : ack->updates()) freed.push_back(update.task_id());
  }
  const auto answer_with = [this, id, answered, freed](const absl::Status& status,
                                                       std::vector<std::string> ids_in_use) {
    if (std::exchange(*answered, true)) return;
    runner_->Step(sdk::CallAnswered{id, status, std::move(ids_in_use)});
    for (const std::string& task : freed) {
      if (status.ok()) Later(absl::ZeroDuration(), [this, task] { Reuse(task); });
    }
  };
  const auto answer = [answer_with](const absl::Status& status) { answer_with(status, {}); };
  const auto it = world_->masters.find(call.address);
  if (it == world_->masters.end()) {
    Later(absl::Milliseconds(1), [answer] { answer(absl::UnavailableError("no such address")); });
    return;
  }
  MasterProcess* master = it->second;
  auto wire = world_->network.Connect({this, answer}, {master, nullptr});
  Later(kCallTimeout, [answer] { answer(absl::DeadlineExceededError("no answer in time")); });
  if (wire == nullptr) return;
  wire->Send(this, [world = world_, master, wire, answer_with, answered,
                    request = std::move(call.request)] {
    master->Call(ForMaster(request), [world, master, wire, answer_with,
                                      answered](absl::StatusOr<master::SchedulerAnswer> result) {
      // It was carried out, and the caller has given up or will not hear of it.
      if (*answered || !wire->open()) world->faults.Add(Bite::kCallWithoutAnswer);
      wire->Send(master, [answer_with, status = result.status(), in_use = IdsInUse(result)] {
        answer_with(status, in_use);
      });
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
  const auto dropped = [this](const auto& tasks) {
    for (const auto& task : tasks) {
      model::v1::TaskStatus status;
      status.set_task_id(task.id());
      status.set_state(model::v1::TASK_DROPPED);
      world_->tasks.Heard(Key(), status);
      Relaunch(task.id());
    }
  };
  for (const auto& operation : accept->operations()) {
    dropped(operation.launch().tasks());
    dropped(operation.launch_group().group().tasks());
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
  } else if (event.has_inverse_offers()) {
    AnswerInverse(event.inverse_offers());
  } else if (event.has_rescind()) {
    for (const std::string& id : event.rescind().offer_ids()) kept_.erase(id);
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
    world_->agent_ids[offer.hostname()] = offer.agent_id();
    if (shape_.behaviour == Behaviour::kHoarder || shape_.behaviour == Behaviour::kDecliner) {
      Spurn(offer);
    } else {
      OnOffer(offer);
    }
  }
}

bool FrameworkProcess::Room::Take(int64_t cpus_milli, int64_t mem_milli) {
  if (cpus < cpus_milli || mem < mem_milli) return false;
  cpus -= cpus_milli;
  mem -= mem_milli;
  return true;
}

void FrameworkProcess::OnOffer(const model::v1::Offer& offer) {
  for (const auto& [id, reused] : reuse_.waiting) {
    if (reused.free && ReuseFrom(id, offer, /*at_once=*/false)) return;  // `id` is gone
  }
  Launching launching{offer, {Plain(offer, "cpus"), Plain(offer, "mem")}, {}};
  while (!left_.empty() && AddLaunch(&launching)) {
  }
  if (launching.accept.operations_size() > 0) {
    launching.accept.add_offer_ids(offer.id());
    launching.accept.mutable_filters()->mutable_refuse_duration()->set_seconds(1);
    Call(std::move(launching.accept));
    if (left_.empty() && shape_.behaviour == Behaviour::kNeedy) StateWish();
  } else if (shape_.reuse > 0 && !live_.empty() && kept_.size() < kKeptMax && !world_->healed) {
    KeepOffer(offer);
  } else {
    Decline(offer.id(),
            left_.empty() && reuse_.waiting.empty() ? static_cast<int64_t>(rng_.Below(600)) : 1);
  }
}

void FrameworkProcess::KeepOffer(const model::v1::Offer& offer) {
  kept_[offer.id()] = offer;
  Later(kKeepOffer, [this, id = offer.id()] {
    if (kept_.erase(id) > 0) Decline(id, 1);
  });
}

bool FrameworkProcess::AddLaunch(Launching* launching) {
  const model::v1::Offer& offer = launching->offer;
  const int task = left_.back();
  const bool keeper = task >= shape_.tasks;
  if (!keeper && rng_.Chance(shape_.groups)) {
    const size_t before = left_.size();
    AddGroup(launching);
    if (left_.size() < before) return true;
  }
  const bool custom =
      !keeper && rng_.Chance(shape_.custom_executors) &&
      launching->room.Take(shape_.cpus_milli + kExecutorCpus, shape_.mem_milli + kExecutorMem);
  if (!custom && !launching->room.Take(shape_.cpus_milli, shape_.mem_milli)) return false;
  left_.pop_back();
  model::v1::TaskInfo info = MakeTask(offer, task, absl::StrCat("t", task, ".", ++attempts_));
  if (custom) {
    *info.mutable_executor() = MakeExecutor(offer, model::v1::ExecutorInfo::CUSTOM);
    *info.mutable_executor()->mutable_command() = info.command();
    // The same executor has the same description, whichever task comes with it.
    info.mutable_executor()->mutable_command()->set_value("an-executor");
    info.clear_command();
    custom_.insert(info.id());
  }
  // Operations of one kind in a row are one.
  auto* operations = launching->accept.mutable_operations();
  if (operations->empty() || !operations->rbegin()->has_launch()) operations->Add();
  *operations->rbegin()->mutable_launch()->add_tasks() = std::move(info);
  return true;
}

void FrameworkProcess::AddGroup(Launching* launching) {
  const model::v1::Offer& offer = launching->offer;
  const size_t size = 1 + rng_.Below(std::min(kGroupMax, left_.size()));
  for (size_t i = 0; i < size; ++i) {
    if (left_[left_.size() - 1 - i] >= shape_.tasks) return;  // a keeper
  }
  Room room = launching->room;
  if (!room.Take(kExecutorCpus, kExecutorMem)) return;
  for (size_t i = 0; i < size; ++i) {
    if (!room.Take(shape_.cpus_milli, shape_.mem_milli)) return;
  }
  launching->room = room;
  auto* group = launching->accept.add_operations()->mutable_launch_group();
  *group->mutable_executor() = MakeExecutor(offer, model::v1::ExecutorInfo::DEFAULT);
  for (size_t i = 0; i < size; ++i) {
    const int task = left_.back();
    left_.pop_back();
    *group->mutable_group()->add_tasks() =
        MakeTask(offer, task, absl::StrCat("t", task, ".", ++attempts_));
  }
  world_->faults.Add(Bite::kGroupLaunched);
  if (++executors_named_ > kExecutorNames) world_->faults.Add(Bite::kExecutorNameReused);
}

model::v1::ExecutorInfo FrameworkProcess::MakeExecutor(const model::v1::Offer& offer,
                                                       model::v1::ExecutorInfo::Type type) {
  model::v1::ExecutorInfo executor;
  executor.set_type(type);
  executor.set_id(absl::StrCat(type == model::v1::ExecutorInfo::CUSTOM ? "own-" : "group-",
                               rng_.Below(kExecutorNames)));
  AddResources(offer, kExecutorCpus, kExecutorMem, executor.mutable_resources());
  return executor;
}

void FrameworkProcess::AddResources(
    const model::v1::Offer& offer, int64_t cpus_milli, int64_t mem_milli,
    google::protobuf::RepeatedPtrField<model::v1::Resource>* resources) const {
  for (const auto& [name, milli] : {std::pair{"cpus", cpus_milli}, std::pair{"mem", mem_milli}}) {
    auto* resource = resources->Add();
    resource->set_name(name);
    resource->mutable_scalar()->set_milli(milli);
    resource->set_allocation_role(offer.role());
  }
}

model::v1::TaskInfo FrameworkProcess::MakeTask(const model::v1::Offer& offer, int task,
                                               const std::string& id) {
  model::v1::TaskInfo info;
  info.set_id(id);
  info.set_name(id);
  info.set_agent_id(offer.agent_id());
  AddResources(offer, shape_.cpus_milli, shape_.mem_milli, info.mutable_resources());
  const std::string mark = absl::StrCat(name(), "#", ++marked_);
  const double seconds = rng_.Exponential(absl::ToDoubleSeconds(shape_.task_time));
  info.mutable_command()->set_shell(true);
  info.mutable_command()->set_value(
      task >= shape_.tasks ? absl::StrCat("launch ", mark, "; sleep inf")
                           : absl::StrCat("launch ", mark, "; sleep ", seconds, "; exit ",
                                          rng_.Chance(shape_.failures) ? 1 : 0));
  live_[id] = task;
  marks_[id] = mark;
  agents_[id] = offer.agent_id();
  world_->tasks.Launched(Key(), id, mark);
  constexpr size_t kRecent = 20;
  world_->recent_tasks.emplace_back(Key(), id);
  if (world_->recent_tasks.size() > kRecent) {
    world_->recent_tasks.erase(world_->recent_tasks.begin());
  }
  return info;
}

void FrameworkProcess::Reuse(const std::string& task_id) {
  const auto it = reuse_.waiting.find(task_id);
  if (it == reuse_.waiting.end() || it->second.free) return;
  it->second.free = true;
  // The agent on which it has just ended is where it hurts most.
  const auto on = agents_.find(task_id);
  for (const bool anywhere : {false, true}) {
    for (const auto& [id, offer] : kept_) {
      if (!anywhere && (on == agents_.end() || on->second != offer.agent_id())) continue;
      const model::v1::Offer taken = offer;
      if (!ReuseFrom(task_id, taken, /*at_once=*/true)) continue;
      kept_.erase(taken.id());
      return;
    }
  }
}

bool FrameworkProcess::ReuseFrom(std::string task_id, const model::v1::Offer& offer, bool at_once) {
  Room room{Plain(offer, "cpus"), Plain(offer, "mem")};
  if (!room.Take(shape_.cpus_milli, shape_.mem_milli)) return false;
  const int task = reuse_.waiting.at(task_id).task;
  reuse_.earlier[task_id] = reuse_.waiting.at(task_id).end;
  reuse_.heard.insert(reuse_.earlier[task_id].uuid);
  reuse_.waiting.erase(task_id);
  if (at_once) world_->faults.Add(Bite::kIdReusedAtOnce);
  scheduler::v1::AcceptOffersRequest accept;
  accept.add_offer_ids(offer.id());
  accept.mutable_filters()->mutable_refuse_duration()->set_seconds(1);
  *accept.add_operations()->mutable_launch()->add_tasks() = MakeTask(offer, task, task_id);
  Call(std::move(accept));
  return true;
}

void FrameworkProcess::AnswerInverse(const scheduler::v1::Event::InverseOffers& offers) {
  scheduler::v1::AnswerInverseOffersRequest answer;
  for (const auto& offer : offers.inverse_offers()) answer.add_inverse_offer_ids(offer.id());
  answer.set_accept(rng_.Chance(0.5));
  Call(std::move(answer));
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
  const std::string& id = status.task_id();
  world_->Say([&] { return absl::StrCat(name(), " hears ", status.ShortDebugString()); });
  if (!status.uuid().empty() && !uuids_.insert(status.uuid()).second) {
    world_->faults.Add(Bite::kStatusTwice);
  }
  // The agent says once more how an earlier launch ended: this one's may be dropped and forgotten.
  if (!status.uuid().empty() && reuse_.heard.contains(status.uuid())) return;
  world_->tasks.Heard(Key(), status);
  const auto live = live_.find(id);
  if (live == live_.end()) return;
  const int task = live->second;
  const bool keeper = task >= shape_.tasks && shape_.keepers > 0;
  if (status.state() == model::v1::TASK_RUNNING || EndsByItself(status.state())) Got(task);
  if (keeper && status.state() == model::v1::TASK_RUNNING) keepers_running_.insert(task);
  if (EndsByItself(status.state())) {
    keepers_running_.erase(task);
    live_.erase(live);
    if (custom_.erase(id) > 0) world_->faults.Add(Bite::kExecutorRefused);
    if (!keeper && !status.uuid().empty() && !world_->healed && rng_.Chance(shape_.reuse)) {
      reuse_.waiting[id] = {task, {status.uuid(), status.container_status().container_id()}};
      Later(kReusePatience, [this, id] {
        const auto waits = reuse_.waiting.find(id);
        if (waits == reuse_.waiting.end()) return;
        left_.push_back(waits->second.task);
        reuse_.waiting.erase(waits);
      });
    } else {
      agents_.erase(id);
    }
    if (left_.empty() && live_.empty()) WishLater();
  } else if (Lost(status.state())) {
    keepers_running_.erase(task);
    Relaunch(id);
  } else if (status.state() == model::v1::TASK_RUNNING && shape_.behaviour == Behaviour::kKiller &&
             !keeper && rng_.Chance(kKillChance)) {
    Later(shape_.task_time * rng_.Unit(), [this, id] { Kill(id); });
  }
}

void FrameworkProcess::Relaunch(const std::string& task_id) {
  const auto it = live_.find(task_id);
  if (it == live_.end()) return;
  // Keepers stay last.
  const bool keeper = it->second >= shape_.tasks;
  left_.insert(keeper ? left_.begin() : left_.end(), it->second);
  live_.erase(it);
  agents_.erase(task_id);
  custom_.erase(task_id);
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
