#include "services/master/core/reign.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/base/overloaded.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"

namespace tessera::master {
namespace {

absl::Status StillRecovering() {
  return Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::RECOVERING, absl::Milliseconds(500),
               "this master leads, but has not read the registry yet");
}

// How long the last numbers of a framework that ended are published, so that a scrape sees them.
constexpr absl::Duration kMetricsGrace = absl::Minutes(5);

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

}  // namespace

void RefuseEvent(const Event& event, const absl::Status& status, Outbox* outbox) {
  std::visit(base::Overloaded{
                 [&](const SubscribeOpened& e) { outbox->CloseFramework(e.stream, status); },
                 [&](const SchedulerCall& e) { outbox->RefuseCall(e.call, status); },
                 [&](const AgentStreamOpened& e) { outbox->CloseAgent(e.stream, status); },
                 [&](const OperatorCall& e) { outbox->RefuseOperator(e.call, status); },
                 // These ask for nothing.
                 [](const Started&) {},
                 [](const StopRequested&) {},
                 [](const Wake&) {},
                 [](const StreamClosed&) {},
                 [](const AgentMessages&) {},
                 [](const AgentStreamClosed&) {},
                 [](const AllocatorConnected&) {},
                 [](const AllocatorMessage&) {},
                 [](const AllocatorDisconnected&) {},
                 [](const CampaignUpdate&) {},
                 [](const CampaignEnded&) {},
                 [](const Renewed&) {},
                 [](const Resigned&) {},
                 [](const ReadDone&) {},
                 [](const Committed&) {},
                 [](const WhitelistRead&) {},
             },
             event);
}

Reign::Court::Court(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
                    const std::string& master_id, RequestIds* ids, Outbox* outbox, base::Rng rng)
    : books(config, counters, epoch, master_id, ids, outbox, rng),
      sessions(&books),
      offers(&books, &sessions),
      inverse_offers(&books, &sessions),
      accepts(&books, &sessions),
      tasks(&books, &sessions),
      agent_streams(config, outbox),
      agent_watch(&books),
      agent_losses(&books, &agent_streams),
      agent_returns(&books, &sessions, &tasks, &agent_streams, &agent_watch, &agent_losses),
      registration(&books, &agent_streams, &agent_watch, &agent_losses, &agent_returns),
      agents(&books, &tasks, &agent_streams, &agent_watch, &agent_losses, &registration),
      operators(&books, &sessions, &tasks, &agent_losses),
      maintenance(&books, &agent_losses) {}

Reign::Reign(const MasterConfig* config, MasterCounters* counters, uint64_t epoch, RequestIds* ids,
             base::Rng rng, Outbox* outbox, std::optional<std::vector<std::string>> whitelist)
    : config_(config),
      counters_(counters),
      epoch_(epoch),
      ids_(ids),
      outbox_(outbox),
      rng_(rng.Fork()),
      recovery_(config, ids, rng.Fork(), outbox),
      whitelist_(std::move(whitelist)) {
  // Gauges begin anew with the books.
  counters_->tasks.fill(0);
  recovery_.Read();
}

void Reign::Step(absl::Time now, const Event& event) {
  if (const auto* read = std::get_if<WhitelistRead>(&event)) {
    whitelist_ = read->hostnames;
    if (court_ != nullptr) court_->books.allocator_view.SetWhitelist(whitelist_);
  }
  if (court_ == nullptr) {
    if (const auto* read = std::get_if<ReadDone>(&event)) {
      OnReadDone(now, *read);
    } else if (now >= recovery_.retry_at()) {
      recovery_.Read();
      RefuseWhileRecovering(event);
    } else {
      RefuseWhileRecovering(event);
    }
    if (court_ != nullptr) court_->books.Flush();
    return;
  }
  court_->books.set_now(now);
  if (leading_) {
    TakeEvent(now, event);
    OnTimers(now);
  } else {
    // The cell's record is on its way to the registry.
    if (const auto* committed = std::get_if<Committed>(&event)) {
      TakeEvent(now, *committed);
    } else {
      RefuseWhileRecovering(event);
    }
    OnTimers(now);
  }
  if (leading_) {
    court_->agent_losses.FinishTakingDown();
    court_->operators.FinishDrains();
  }
  court_->books.Flush();
}

void Reign::RefuseWhileRecovering(const Event& event) {
  RefuseEvent(event, StillRecovering(), outbox_);
}

void Reign::OnReadDone(absl::Time now, const ReadDone& event) {
  if (!recovery_.OnReadDone(now, event)) return;
  const reg::Cell cell = recovery_.cell();
  court_ = std::make_unique<Court>(config_, counters_, epoch_, absl::StrCat(cell.id(), "-", epoch_),
                                   ids_, outbox_, rng_.Fork());
  court_->books.set_now(now);
  court_->books.allocator_view.SetWhitelist(whitelist_);
  court_->books.registry.WriteOwn({Put("settings/cell", cell)}, CellCounted{},
                                  {recovery_.cell_condition()});
}

void Reign::BeginLeading(absl::Time now) {
  Books& books = court_->books;
  began_ = now;
  ShowCluster();
  if (absl::Status status = recovery_.Fill(&books, &court_->sessions, &court_->operators);
      !status.ok()) {
    fatal_ = status;
    return;
  }
  court_->maintenance.TakeDownAgents();
  leading_ = true;
  ++counters_->leaderships;
  outbox_->Note(base::Severity::kInfo, "leading with epoch ", epoch_, " as ", books.master_id(),
                ", ", recovery_.agents_admitted(), " agents and ", books.frameworks.size(),
                " frameworks are expected back");
  if (recovery_.agents_admitted() > 0) {
    books.timers.Arm(now + config_->agent_reregister_timeout, TimerKind::kRecoveryTimeout);
  }
  outbox_->Push(LeadershipBegan{epoch_});
  books.allocator.Dial();
  BeatFeed(now);
}

void Reign::BeatFeed(absl::Time now) {
  court_->books.feed.Beat();
  court_->books.timers.Arm(now + config_->feed_heartbeat_interval, TimerKind::kFeedHeartbeat);
}

void Reign::ShowCluster() {
  feed::v1::ClusterRecord cluster;
  cluster.set_master_id(court_->books.master_id());
  cluster.set_cluster_name(config_->cluster_name);
  cluster.set_hostname(config_->hostname);
  cluster.set_address(config_->address);
  cluster.set_http_address(config_->http_address);
  cluster.set_version(config_->version);
  cluster.set_start_time(Seconds(config_->start_time));
  cluster.set_elected_time(Seconds(began_));
  for (const auto& [name, value] : config_->flags) (*cluster.mutable_flags())[name] = value;
  for (const char* capability : {"AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"}) {
    cluster.add_capabilities(capability);
  }
  court_->books.feed.SetCluster(std::move(cluster));
}

void Reign::TakeCall(const SchedulerCall& call) {
  Court& court = *court_;
  std::visit(
      base::Overloaded{
          [&](const AcceptOffers& request) { court.accepts.OnCall(call.call, request); },
          [&](const sched::DeclineOffersRequest& request) {
            court.offers.OnCall(call.call, request);
          },
          [&](const sched::ReviveOffersRequest& request) {
            court.offers.OnCall(call.call, request);
          },
          [&](const sched::SuppressOffersRequest& request) {
            court.offers.OnCall(call.call, request);
          },
          [&](const sched::UnsuppressOffersRequest& request) {
            court.offers.OnCall(call.call, request);
          },
          [&](const sched::ClearFiltersRequest& request) {
            court.offers.OnCall(call.call, request);
          },
          [&](const sched::SetDemandRequest& request) { court.offers.OnCall(call.call, request); },
          [&](const sched::AnswerInverseOffersRequest& request) {
            court.inverse_offers.OnCall(call.call, request);
          },
          [&](const sched::KillTaskRequest& request) { court.tasks.OnCall(call.call, request); },
          [&](const sched::AcknowledgeRequest& request) { court.tasks.OnCall(call.call, request); },
          [&](const sched::ReconcileTasksRequest& request) {
            court.tasks.OnCall(call.call, request);
          },
          [&](const sched::ReconcileOperationsRequest& request) {
            court.tasks.OnCall(call.call, request);
          },
          [&](const sched::SendMessageRequest& request) { court.tasks.OnCall(call.call, request); },
          [&](const sched::ShutdownExecutorRequest& request) {
            court.tasks.OnCall(call.call, request);
          },
          [&](const sched::UpdateFrameworkRequest& request) {
            court.sessions.OnCall(call.call, request);
          },
          [&](const sched::TeardownRequest& request) { court.sessions.OnCall(call.call, request); },
      },
      call.request);
}

void Reign::TakeCall(const OperatorCall& call) {
  Court& court = *court_;
  std::visit(
      base::Overloaded{
          [&](const ops::UpdateQuotaRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::UpdateWeightsRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::ReserveResourcesRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::UnreserveResourcesRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::CreateVolumesRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::DestroyVolumesRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::ResizeVolumeRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::UpdateMaintenanceScheduleRequest& request) {
            court.maintenance.OnCall(call.call, request);
          },
          [&](const ops::GetMaintenanceScheduleRequest& request) {
            court.maintenance.OnCall(call.call, request);
          },
          [&](const ops::GetMaintenanceStatusRequest& request) {
            court.maintenance.OnCall(call.call, request);
          },
          [&](const ops::StartMaintenanceRequest& request) {
            court.maintenance.OnCall(call.call, request);
          },
          [&](const ops::StopMaintenanceRequest& request) {
            court.maintenance.OnCall(call.call, request);
          },
          [&](const ops::DrainAgentRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::DeactivateAgentRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::ReactivateAgentRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::MarkAgentGoneRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::TeardownFrameworkRequest& request) {
            court.operators.OnCall(call.call, request);
          },
          [&](const ops::KillTaskRequest& request) { court.operators.OnCall(call.call, request); },
      },
      call.request);
}

void Reign::TakeEvent(absl::Time now, const Event& event) {
  Court& court = *court_;
  std::visit(base::Overloaded{
                 [&](const SubscribeOpened& e) { court.sessions.OnSubscribeOpened(e); },
                 [&](const StreamClosed& e) { court.sessions.OnStreamClosed(e.stream); },
                 [&](const SchedulerCall& e) { TakeCall(e); },
                 [&](const AgentStreamOpened& e) { court.agents.OnStreamOpened(e.stream); },
                 [&](const AgentMessages& e) { court.agents.OnMessages(e.stream, e.batch); },
                 [&](const AgentStreamClosed& e) { court.agents.OnStreamClosed(e.stream); },
                 [&](const AllocatorConnected& e) { OnAllocatorConnected(e.link); },
                 [&](const AllocatorMessage& e) {
                   if (!court.books.allocator.Accepts(now, e)) return;
                   court.offers.OnAllocations(e.response);
                   court.inverse_offers.OnAllocations(e.response);
                 },
                 [&](const AllocatorDisconnected& e) {
                   court.books.allocator.OnDisconnected(now, e.link, e.status);
                 },
                 [&](const Committed& e) {
                   RegistryWriter::Outcome outcome = court.books.registry.OnCommitted(now, e);
                   for (const Durable& durable : outcome.durable) OnDurable(durable);
                   if (!outcome.fatal.ok()) fatal_ = outcome.fatal;
                 },
                 [&](const OperatorCall& e) { TakeCall(e); },
                 // Time, and what the core itself looks after.
                 [](const Started&) {},
                 [](const StopRequested&) {},
                 [](const Wake&) {},
                 [](const WhitelistRead&) {},
                 [](const CampaignUpdate&) {},
                 [](const CampaignEnded&) {},
                 [](const Renewed&) {},
                 [](const Resigned&) {},
                 [](const ReadDone&) {},
             },
             event);
}

void Reign::OnAllocatorConnected(LinkId link) {
  Books& books = court_->books;
  if (!books.allocator.OnConnected(books.now(), link)) return;
  // After a fail-over the allocator waits until enough agents are back, for a while.
  const size_t expected =
      recovery_.agents_admitted() * static_cast<size_t>(config_->allocator_recovery_percent) / 100;
  const absl::Duration left = began_ + config_->allocator_recovery_timeout - books.now();
  const bool waits = expected > 0 && left > absl::ZeroDuration() && books.agents.recovered() > 0;
  books.allocator_view.SendSnapshot(waits ? expected : 0, left);
}

void Reign::OnTimers(absl::Time now) {
  while (auto timer = court_->books.timers.PopDue(now)) OnTimer(*timer);
}

void Reign::OnTimer(const Timer& timer) {
  switch (timer.kind) {
    case TimerKind::kFrameworkHeartbeat:
      return court_->sessions.OnHeartbeat(timer);
    case TimerKind::kFrameworkFailover:
      return court_->sessions.OnFailoverTimeout(timer);
    case TimerKind::kOfferTimeout:
      return court_->offers.OnOfferTimeout(timer);
    case TimerKind::kInverseOfferTimeout:
      return court_->inverse_offers.OnTimeout(timer);
    case TimerKind::kAgentPing:
      return court_->agent_watch.OnPingDue(timer);
    case TimerKind::kInventory:
      return court_->agents.OnInventoryDue(timer);
    case TimerKind::kUnreachableMarking:
      return court_->agent_watch.OnMarkingDue();
    case TimerKind::kRecoveryTimeout:
      return court_->agent_watch.OnRecoveryTimeout(recovery_.agents_admitted());
    case TimerKind::kRegistryRetry:
      return court_->books.registry.OnRetry();
    case TimerKind::kFeedHeartbeat:
      return BeatFeed(court_->books.now());
    case TimerKind::kAllocatorRetry:
      return court_->books.allocator.OnRetry();
    case TimerKind::kAllocatorPing:
      return court_->books.allocator.OnPingDue(court_->books.now(), timer);
  }
}

void Reign::OnDurable(const Durable& durable) {
  Court& court = *court_;
  std::visit(
      base::Overloaded{
          [&](const CellCounted&) { BeginLeading(court.books.now()); },
          [&](const AgentAdmitted& d) { court.registration.OnAdmitted(d); },
          [&](const AgentReadmitted& d) { court.registration.OnReadmitted(d); },
          [&](const AgentMarkedUnreachable& d) { court.agent_losses.OnMarkedUnreachable(d); },
          [&](const AgentMarkedGone& d) { court.operators.OnMarkedGone(d); },
          [&](const AgentSettingsChanged& d) { court.operators.OnSettingsChanged(d); },
          [&](const FrameworkSaved& d) { court.sessions.OnSaved(d); },
          [&](const FrameworkInfoChanged& d) { court.sessions.OnInfoChanged(d); },
          [&](const FrameworkCompleted& d) { court.sessions.OnCompleted(d); },
          [&](const WeightsChanged& d) { court.operators.OnWeightsChanged(d); },
          [&](const QuotaChanged& d) { court.operators.OnQuotaChanged(d); },
          [&](const MaintenanceChanged& d) { court.maintenance.OnChanged(d); },
          [](const Noted&) {},
      },
      durable);
}

absl::Time Reign::NextDeadline() const {
  if (court_ == nullptr) return recovery_.retry_at();
  return court_->books.timers.NextDeadline();
}

bool Reign::TakeEpochDoubt() { return court_ != nullptr && court_->registration.TakeEpochDoubt(); }

void Reign::End(const absl::Status& status) {
  if (court_ == nullptr) return;
  Court& court = *court_;
  court.sessions.CloseAll(status);
  court.agent_streams.CloseAll(status);
  for (const Durable& durable : court.books.registry.Abandon()) {
    std::visit(base::Overloaded{
                   [&](const FrameworkInfoChanged& d) { outbox_->RefuseCall(d.call, status); },
                   [&](const WeightsChanged& d) { outbox_->RefuseOperator(d.call, status); },
                   [&](const QuotaChanged& d) { outbox_->RefuseOperator(d.call, status); },
                   [&](const MaintenanceChanged& d) { outbox_->RefuseOperator(d.call, status); },
                   [&](const AgentMarkedGone& d) {
                     if (d.call.valid()) outbox_->RefuseOperator(d.call, status);
                   },
                   [&](const AgentSettingsChanged& d) {
                     if (d.call.valid()) outbox_->RefuseOperator(d.call, status);
                   },
                   // Streams wait for these, and are closed, or nobody.
                   [](const CellCounted&) {},
                   [](const AgentAdmitted&) {},
                   [](const AgentReadmitted&) {},
                   [](const AgentMarkedUnreachable&) {},
                   [](const FrameworkSaved&) {},
                   // The calls that wait are in the framework's row.
                   [](const FrameworkCompleted&) {},
                   [](const Noted&) {},
               },
               durable);
  }
  court.books.allocator.Close();
}

absl::StatusOr<AllocationInquiry> Reign::InquireAllocation(
    const ops::ExplainAllocationRequest& request) const {
  if (!leading_) return StillRecovering();
  return master::InquireAllocation(court_->books, request);
}

absl::Status Reign::CheckInvariants() const {
  return leading_ ? court_->books.CheckInvariants() : absl::OkStatus();
}

void Reign::AddMetrics(MasterMetrics* metrics) const {
  metrics->recovering = !leading_;
  if (!leading_) return;
  const Books& books = court_->books;
  metrics->agents_unreachable = books.agents.unreachable();
  metrics->agents_gone = books.agents.gone();
  books.agents.ForEach([&](const Agent& agent) {
    switch (agent.phase) {
      case AgentPhase::kAdmitting:
        break;
      case AgentPhase::kRecovered:
        ++metrics->agents_recovered;
        break;
      case AgentPhase::kConnected:
        ++(agent.active() ? metrics->agents_connected_active : metrics->agents_connected_inactive);
        break;
      case AgentPhase::kDisconnected:
        ++metrics->agents_disconnected;
        break;
    }
  });
  metrics->frameworks_connected = books.frameworks.connected();
  metrics->frameworks_disconnected = books.frameworks.size() - books.frameworks.connected();
  metrics->offers_outstanding = books.offers.size();
  metrics->inverse_offers_outstanding = books.inverse_offers.size();
  for (const auto& [name, machine] : books.machines.rows()) {
    ++(machine.down ? metrics->machines_down : metrics->machines_draining);
  }
  metrics->registry_queue = books.registry.queued();
  metrics->timers = books.timers.size();
  metrics->allocator_connected = books.allocator.connected();
  books.frameworks.ForEach([&](const Framework& framework) {
    if (framework.phase != FrameworkPhase::kAdmitting) {
      metrics->frameworks.push_back(MetricsOf(framework));
    }
  });
  for (const DepartedFrameworks::Departed& departed : books.departed.rows()) {
    if (books.now() < departed.time + kMetricsGrace)
      metrics->frameworks.push_back(departed.metrics);
  }
}

}  // namespace tessera::master
