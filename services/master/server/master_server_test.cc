// The whole service over loopback, with a real registry and a real allocator: a framework and an
// agent meet, a task runs, a second master takes over.
#include "services/master/server/master_server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "protos/tessera/agentlink/v1/agent_link_service.grpc.pb.h"
#include "protos/tessera/operators/v1/operator_service.grpc.pb.h"
#include "protos/tessera/scheduler/v1/scheduler_service.grpc.pb.h"
#include "services/allocator/server/allocator_server.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"
#include "services/registry/server/registry_server.h"
#include "services/registry/store/memory_store.h"
#include "services/rpc/status.h"

namespace tessera::master {
namespace {

using model::v1::ErrorDetail;
namespace sched = scheduler::v1;
namespace link = agentlink::v1;

std::shared_ptr<grpc::Channel> Dial(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void LimitTo(grpc::ClientContext* context, int seconds) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
}

// A framework's subscription, blocking.
class Framework {
 public:
  Framework(const std::string& address, const std::string& id)
      : stub_(sched::SchedulerService::NewStub(Dial(address))) {
    LimitTo(&context_, 60);
    sched::SubscribeRequest request;
    request.mutable_info()->set_name("test");
    request.mutable_info()->set_user("nobody");
    request.mutable_info()->set_id(id);
    request.mutable_info()->add_roles("work");
    request.mutable_info()->set_checkpoint(true);
    request.mutable_info()->mutable_failover_timeout()->set_seconds(3600);
    request.mutable_info()->add_capabilities(model::v1::FrameworkInfo::PARTITION_AWARE);
    reader_ = stub_->Subscribe(&context_, request);
  }
  ~Framework() {
    context_.TryCancel();
    if (!finished_) (void)End();
  }

  // The next event of the kind; others before it are passed over. Empty at the end of the stream.
  sched::Event Await(sched::Event::KindCase kind) {
    for (;;) {
      while (next_ < batch_.events_size()) {
        const sched::Event& event = batch_.events(next_++);
        if (event.has_subscribed()) {
          session_.set_framework_id(event.subscribed().framework_id());
          session_.set_subscription_id(event.subscribed().subscription_id());
        }
        if (event.kind_case() == kind) return event;
      }
      next_ = 0;
      if (!reader_->Read(&batch_)) return {};
    }
  }
  absl::Status End() {
    while (reader_->Read(&batch_)) {
    }
    finished_ = true;
    return rpc::FromGrpc(reader_->Finish());
  }

  template <typename Response, typename Request>
  absl::Status Call(grpc::Status (sched::SchedulerService::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                    Request request) {
    *request.mutable_session() = session_;
    grpc::ClientContext context;
    LimitTo(&context, 20);
    Response response;
    return rpc::FromGrpc((stub_.get()->*method)(&context, request, &response));
  }
  const sched::Session& session() const { return session_; }

 private:
  std::unique_ptr<sched::SchedulerService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<sched::SubscribeResponse>> reader_;
  sched::SubscribeResponse batch_;
  int next_ = 0;
  bool finished_ = false;
  sched::Session session_;
};

// An agent's stream, blocking.
class Agent {
 public:
  Agent(const std::string& address, const std::string& id)
      : stub_(link::AgentLinkService::NewStub(Dial(address))) {
    LimitTo(&context_, 60);
    stream_ = stub_->Connect(&context_);
    link::AgentMessage message;
    auto* info = message.mutable_register_()->mutable_info();
    info->set_id(id);
    info->set_hostname("host-1");
    info->set_address("host-1:5051");
    model::wire::ToProto(*model::ParseResources("cpus:4;mem:1024"), info->mutable_resources());
    Send(message);
  }
  ~Agent() {
    context_.TryCancel();
    if (!finished_) (void)End();
  }
  void Send(const link::AgentMessage& message) {
    link::ConnectRequest batch;
    *batch.add_messages() = message;
    stream_->Write(batch);
  }
  link::MasterMessage Await(link::MasterMessage::KindCase kind) {
    for (;;) {
      while (next_ < batch_.messages_size()) {
        const link::MasterMessage& message = batch_.messages(next_++);
        if (message.kind_case() == kind) return message;
      }
      next_ = 0;
      if (!stream_->Read(&batch_)) return {};
    }
  }
  // Why the master ended the stream.
  absl::Status End() {
    link::ConnectResponse response;
    while (stream_->Read(&response)) {
    }
    finished_ = true;
    return rpc::FromGrpc(stream_->Finish());
  }
  uint64_t epoch() const { return batch_.epoch(); }

 private:
  std::unique_ptr<link::AgentLinkService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<link::ConnectRequest, link::ConnectResponse>> stream_;
  link::ConnectResponse batch_;
  int next_ = 0;
  bool finished_ = false;
};

class MasterServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto registry = registry::RegistryServer::Start(
        {}, std::make_unique<registry::MemoryStore>(std::make_shared<registry::MemoryDisk>()),
        [](const std::string&) {});
    ASSERT_TRUE(registry.ok()) << registry.status();
    registry_ = *std::move(registry);
    auto allocator = allocator::AllocatorServer::Start({});
    ASSERT_TRUE(allocator.ok()) << allocator.status();
    allocator_ = *std::move(allocator);
  }

  std::unique_ptr<MasterServer> StartMaster() {
    MasterServerOptions options;
    options.registries = {registry_->address()};
    options.allocator = allocator_->address();
    auto master = MasterServer::Start(options);
    EXPECT_TRUE(master.ok()) << master.status();
    return master.ok() ? *std::move(master) : nullptr;
  }

  // Tries to subscribe until the master leads.
  std::unique_ptr<Framework> SubscribeWhenLeading(const std::string& address,
                                                  const std::string& id = "") {
    const absl::Time until = absl::Now() + absl::Seconds(40);
    while (absl::Now() < until) {
      auto framework = std::make_unique<Framework>(address, id);
      if (framework->Await(sched::Event::kSubscribed).has_subscribed()) return framework;
      absl::SleepFor(absl::Milliseconds(50));
    }
    ADD_FAILURE() << "no master took the subscription";
    return nullptr;
  }

  std::unique_ptr<registry::RegistryServer> registry_;
  std::unique_ptr<allocator::AllocatorServer> allocator_;
};

TEST_F(MasterServerTest, ATaskRunsAndOutlivesItsMaster) {
  auto master = StartMaster();
  ASSERT_NE(master, nullptr);
  auto framework = SubscribeWhenLeading(master->address());
  ASSERT_NE(framework, nullptr);
  const std::string framework_id = framework->session().framework_id();
  auto agent = std::make_unique<Agent>(master->address(), "");
  const std::string agent_id =
      agent->Await(link::MasterMessage::kRegistered).registered().agent_id();
  ASSERT_FALSE(agent_id.empty());
  const uint64_t first_epoch = agent->epoch();

  const sched::Event offers = framework->Await(sched::Event::kOffers);
  ASSERT_EQ(offers.offers().offers_size(), 1);
  sched::AcceptOffersRequest accept;
  accept.add_offer_ids(offers.offers().offers(0).id());
  auto* task = accept.add_operations()->mutable_launch()->add_tasks();
  task->set_id("t1");
  task->mutable_command()->set_value("true");
  model::wire::ToProto(*model::ParseResources("cpus:1;mem:64"), task->mutable_resources());
  ASSERT_TRUE(framework->Call(&sched::SchedulerService::Stub::AcceptOffers, accept).ok());
  const link::MasterMessage run = agent->Await(link::MasterMessage::kRunTask);
  ASSERT_EQ(run.run_task().task().id(), "t1");
  link::AgentMessage update;
  update.mutable_status_update()->set_framework_id(framework_id);
  auto* status = update.mutable_status_update()->mutable_status();
  status->set_task_id("t1");
  status->set_state(model::v1::TASK_RUNNING);
  status->set_source(model::v1::SOURCE_AGENT);
  status->set_uuid("0123456789abcdef");
  agent->Send(update);
  EXPECT_EQ(framework->Await(sched::Event::kUpdate).update().status().state(),
            model::v1::TASK_RUNNING);
  sched::AcknowledgeRequest acknowledge;
  acknowledge.add_updates()->set_agent_id(agent_id);
  acknowledge.mutable_updates(0)->set_task_id("t1");
  acknowledge.mutable_updates(0)->set_uuid("0123456789abcdef");
  ASSERT_TRUE(framework->Call(&sched::SchedulerService::Stub::Acknowledge, acknowledge).ok());
  EXPECT_EQ(agent->Await(link::MasterMessage::kAcknowledgeUpdate).acknowledge_update().uuid(),
            "0123456789abcdef");

  // A standby refuses and names the leader.
  auto standby = StartMaster();
  ASSERT_NE(standby, nullptr);
  const absl::Time until = absl::Now() + absl::Seconds(20);
  std::string named;
  while (named.empty() && absl::Now() < until) {
    Framework other(standby->address(), "");
    const absl::Status refusal = other.End();
    EXPECT_EQ(rpc::ReasonOf(refusal), ErrorDetail::NOT_LEADER) << refusal;
    if (auto detail = rpc::DetailOf(refusal)) named = detail->leader_address();
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(named, master->address());

  // The leader resigns when it stops; the standby leads with a higher epoch.
  master.reset();
  framework = SubscribeWhenLeading(standby->address(), framework_id);
  ASSERT_NE(framework, nullptr);
  EXPECT_EQ(framework->session().framework_id(), framework_id);
  agent = std::make_unique<Agent>(standby->address(), agent_id);
  link::AgentMessage inventory;
  auto* record = inventory.mutable_inventory()->add_tasks();
  record->set_framework_id(framework_id);
  *record->mutable_info() = run.run_task().task();
  record->set_state(model::v1::TASK_RUNNING);
  inventory.mutable_inventory()->set_last(true);
  agent->Send(inventory);
  EXPECT_EQ(agent->Await(link::MasterMessage::kRegistered).registered().agent_id(), agent_id);
  EXPECT_GT(agent->epoch(), first_epoch);
  ASSERT_TRUE(
      framework
          ->Call(&sched::SchedulerService::Stub::ReconcileTasks, sched::ReconcileTasksRequest())
          .ok());
  EXPECT_EQ(framework->Await(sched::Event::kUpdate).update().status().state(),
            model::v1::TASK_RUNNING);

  // What it does not offer is refused by name.
  auto operators = operators::v1::OperatorService::NewStub(Dial(standby->address()));
  grpc::ClientContext context;
  LimitTo(&context, 20);
  operators::v1::ReserveResourcesResponse answer;
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(operators->ReserveResources(
                &context, operators::v1::ReserveResourcesRequest(), &answer))),
            ErrorDetail::NOT_SUPPORTED);
}

TEST_F(MasterServerTest, SaysWhyNothingIsOffered) {
  auto master = StartMaster();
  ASSERT_NE(master, nullptr);
  auto hoarder = SubscribeWhenLeading(master->address());
  ASSERT_NE(hoarder, nullptr);
  auto agent = std::make_unique<Agent>(master->address(), "");
  const std::string agent_id =
      agent->Await(link::MasterMessage::kRegistered).registered().agent_id();
  ASSERT_EQ(hoarder->Await(sched::Event::kOffers).offers().offers_size(), 1);
  auto needy = SubscribeWhenLeading(master->address());
  ASSERT_NE(needy, nullptr);

  auto operators = operators::v1::OperatorService::NewStub(Dial(master->address()));
  const auto ask = [&](const std::string& framework_id,
                       operators::v1::ExplainAllocationResponse* answer) {
    operators::v1::ExplainAllocationRequest request;
    request.set_framework_id(framework_id);
    grpc::ClientContext context;
    LimitTo(&context, 20);
    return rpc::FromGrpc(operators->ExplainAllocation(&context, request, answer));
  };
  operators::v1::ExplainAllocationResponse answer;
  absl::Status status = ask(needy->session().framework_id(), &answer);
  // The allocator may hear of a framework a moment after the framework itself.
  for (int tries = 0; absl::IsUnavailable(status) && tries < 100; ++tries) {
    absl::SleepFor(absl::Milliseconds(50));
    status = ask(needy->session().framework_id(), &answer);
  }
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(answer.roles_size(), 1);
  EXPECT_EQ(answer.roles(0).role(), "work");
  EXPECT_EQ(answer.roles(0).agents(), 1u);
  ASSERT_EQ(answer.roles(0).counts_size(), 1);
  EXPECT_EQ(answer.roles(0).counts(0).reason(),
            allocator::v1::ExplainAllocationResponse::Count::TOO_LITTLE_LEFT);
  ASSERT_EQ(answer.roles(0).nearest_size(), 1);
  EXPECT_EQ(answer.roles(0).nearest(0).agent_id(), agent_id);
  ASSERT_EQ(answer.roles(0).holders_size(), 1);
  EXPECT_EQ(answer.roles(0).holders(0).framework_id(), hoarder->session().framework_id());
  ASSERT_EQ(answer.offer_holders_size(), 1);
  EXPECT_EQ(answer.offer_holders(0).framework_id(), hoarder->session().framework_id());
  EXPECT_EQ(answer.offer_holders(0).offers(), 1u);

  EXPECT_EQ(rpc::ReasonOf(ask("nobody", &answer)), ErrorDetail::UNKNOWN_FRAMEWORK);
  auto standby = StartMaster();
  ASSERT_NE(standby, nullptr);
  operators = operators::v1::OperatorService::NewStub(Dial(standby->address()));
  EXPECT_EQ(rpc::ReasonOf(ask(needy->session().framework_id(), &answer)), ErrorDetail::NOT_LEADER);
  operators = operators::v1::OperatorService::NewStub(Dial(master->address()));
  allocator_.reset();
  const absl::Status away = ask(needy->session().framework_id(), &answer);
  EXPECT_EQ(away.code(), absl::StatusCode::kUnavailable) << away;
  EXPECT_EQ(rpc::ReasonOf(away), ErrorDetail::RECOVERING) << away;
}

TEST_F(MasterServerTest, AMachineGoesDownForMaintenanceAndComesBack) {
  auto master = StartMaster();
  ASSERT_NE(master, nullptr);
  auto framework = SubscribeWhenLeading(master->address());
  ASSERT_NE(framework, nullptr);
  auto agent = std::make_unique<Agent>(master->address(), "");
  const std::string agent_id =
      agent->Await(link::MasterMessage::kRegistered).registered().agent_id();
  sched::AcceptOffersRequest accept;
  accept.add_offer_ids(framework->Await(sched::Event::kOffers).offers().offers(0).id());
  auto* task = accept.add_operations()->mutable_launch()->add_tasks();
  task->set_id("t1");
  task->mutable_command()->set_value("true");
  model::wire::ToProto(*model::ParseResources("cpus:1;mem:64"), task->mutable_resources());
  ASSERT_TRUE(framework->Call(&sched::SchedulerService::Stub::AcceptOffers, accept).ok());

  namespace ops = operators::v1;
  auto operators = ops::OperatorService::NewStub(Dial(master->address()));
  const auto operate = [&](auto method, const auto& request, auto* response) {
    grpc::ClientContext context;
    LimitTo(&context, 20);
    return rpc::FromGrpc((operators.get()->*method)(&context, request, response));
  };
  ops::UpdateMaintenanceScheduleRequest schedule;
  schedule.add_windows()->add_machines()->set_hostname("HOST-1");
  schedule.mutable_windows(0)->mutable_unavailability()->mutable_start()->set_seconds(
      1'900'000'000);
  ops::UpdateMaintenanceScheduleResponse scheduled;
  ASSERT_TRUE(
      operate(&ops::OperatorService::Stub::UpdateMaintenanceSchedule, schedule, &scheduled).ok());
  const sched::Event asked = framework->Await(sched::Event::kInverseOffers);
  ASSERT_EQ(asked.inverse_offers().inverse_offers_size(), 1);
  EXPECT_EQ(asked.inverse_offers().inverse_offers(0).agent_id(), agent_id);
  sched::AnswerInverseOffersRequest answer;
  answer.add_inverse_offer_ids(asked.inverse_offers().inverse_offers(0).id());
  answer.set_accept(true);
  ASSERT_TRUE(framework->Call(&sched::SchedulerService::Stub::AnswerInverseOffers, answer).ok());
  ops::GetMaintenanceStatusResponse status;
  ASSERT_TRUE(operate(&ops::OperatorService::Stub::GetMaintenanceStatus,
                      ops::GetMaintenanceStatusRequest(), &status)
                  .ok());
  ASSERT_EQ(status.draining_size(), 1);
  ASSERT_EQ(status.draining(0).answers_size(), 1);
  EXPECT_TRUE(status.draining(0).answers(0).accepted());

  ops::StartMaintenanceRequest start;
  start.add_machines()->set_hostname("host-1");
  ops::StartMaintenanceResponse started;
  ASSERT_TRUE(operate(&ops::OperatorService::Stub::StartMaintenance, start, &started).ok());
  EXPECT_TRUE(agent->Await(link::MasterMessage::kShutdown).has_shutdown());
  EXPECT_EQ(rpc::ReasonOf(agent->End()), ErrorDetail::AGENT_GONE);
  EXPECT_EQ(framework->Await(sched::Event::kUpdate).update().status().state(),
            model::v1::TASK_GONE_BY_OPERATOR);
  agent = std::make_unique<Agent>(master->address(), "");
  EXPECT_EQ(rpc::ReasonOf(agent->End()), ErrorDetail::MACHINE_DOWN);

  ops::StopMaintenanceRequest stop;
  stop.add_machines()->set_hostname("host-1");
  ops::StopMaintenanceResponse stopped;
  ASSERT_TRUE(operate(&ops::OperatorService::Stub::StopMaintenance, stop, &stopped).ok());
  agent = std::make_unique<Agent>(master->address(), "");
  const std::string next_id =
      agent->Await(link::MasterMessage::kRegistered).registered().agent_id();
  EXPECT_FALSE(next_id.empty());
  EXPECT_NE(next_id, agent_id);
}

TEST_F(MasterServerTest, AHugeMessageHarmsNobodyElse) {
  auto master = StartMaster();
  ASSERT_NE(master, nullptr);
  auto framework = SubscribeWhenLeading(master->address());
  ASSERT_NE(framework, nullptr);
  sched::SendMessageRequest request;
  request.set_agent_id("somewhere");
  request.set_data(std::string(100 << 20, 'x'));
  EXPECT_EQ(framework->Call(&sched::SchedulerService::Stub::SendMessage, request).code(),
            absl::StatusCode::kResourceExhausted);
  // What an agent may send at once is more than any call may have.
  sched::DeclineOffersRequest decline;
  decline.add_offer_ids(std::string(20 << 20, 'x'));
  EXPECT_EQ(rpc::ReasonOf(framework->Call(&sched::SchedulerService::Stub::DeclineOffers, decline)),
            ErrorDetail::MESSAGE_TOO_LARGE);
  Framework endless(master->address(), std::string(20 << 20, 'x'));
  EXPECT_EQ(rpc::ReasonOf(endless.End()), ErrorDetail::MESSAGE_TOO_LARGE);
  EXPECT_TRUE(
      framework->Call(&sched::SchedulerService::Stub::ReviveOffers, sched::ReviveOffersRequest())
          .ok());
}

}  // namespace
}  // namespace tessera::master
