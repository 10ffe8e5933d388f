// A master in a test: a real gRPC server for agents that does what the test says.
//
// It admits every agent, acknowledges statuses unless told not to, and keeps what it hears. It
// numbers what is launched, describes the framework `fw` before, and knows the agent's
// resource_version.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "protos/tessera/agentlink/v1/agent_link_service.grpc.pb.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "services/rpc/server.h"
#include "services/rpc/server_stream.h"

namespace tessera::agent::testing {

class FakeMaster final : public agentlink::v1::AgentLinkService::CallbackService {
 public:
  using AgentMessage = agentlink::v1::AgentMessage;
  using MasterMessage = agentlink::v1::MasterMessage;

  FakeMaster() {
    rpc::ServerOptions options;
    options.receive_bytes_max = 64 << 20;
    auto server = rpc::Server::Start(options, {this});
    if (!server.ok()) abort();
    server_ = *std::move(server);
  }
  ~FakeMaster() override { server_->Stop(absl::ZeroDuration()); }

  const std::string& address() const { return server_->address(); }

  void set_acknowledge(bool acknowledge) {
    absl::MutexLock lock(&mu_);
    acknowledge_ = acknowledge;
  }
  void set_epoch(uint64_t epoch) {
    absl::MutexLock lock(&mu_);
    epoch_ = epoch;
  }

  // Sends on the newest link. What a launch or a kill leaves open is filled in.
  void Send(MasterMessage message) {
    absl::MutexLock lock(&mu_);
    if (message.has_run_task()) {
      auto* run = message.mutable_run_task();
      Describe(run->framework_id());
      run->set_resource_version(pending_.resource_version());
      Number(run->mutable_task());
    } else if (message.has_run_task_group()) {
      auto* run = message.mutable_run_task_group();
      Describe(run->framework_id());
      run->set_resource_version(pending_.resource_version());
      for (auto& task : *run->mutable_tasks()) Number(&task);
      auto& executor = newest_executor_[run->executor().executor_id()];
      if (run->executor().launch_executor()) executor = NextIncarnation();
      *run->mutable_executor()->mutable_incarnation() = executor;
    } else if (message.has_kill_task()) {
      *message.mutable_kill_task()->mutable_incarnation() = newest_[message.kill_task().task_id()];
    }
    SendLocked(message);
  }
  // Ends the newest link.
  void Disconnect() {
    absl::MutexLock lock(&mu_);
    if (stream_ != nullptr) stream_->Cancel(absl::UnavailableError("the test says so"));
  }

  // Waits until `n` registrations have come, counted from the beginning.
  bool AwaitRegistrations(int n, absl::Duration timeout = absl::Seconds(30)) {
    absl::MutexLock lock(&mu_);
    wanted_ = n;
    return mu_.AwaitWithTimeout(
        absl::Condition(
            +[](FakeMaster* m) { return m->registrations_.size() >= m->wanted_; }, this),
        timeout);
  }

  // The newest registration and the tasks listed with it.
  AgentMessage::Register last_registration() {
    absl::MutexLock lock(&mu_);
    return registrations_.empty() ? AgentMessage::Register() : registrations_.back();
  }
  std::map<std::string, agentlink::v1::TaskEntry> inventory() {
    absl::MutexLock lock(&mu_);
    return inventory_;
  }

  // Statuses of a task in the order they came first, each once.
  std::vector<model::v1::TaskStatus> StatusesOf(const std::string& task) {
    absl::MutexLock lock(&mu_);
    return statuses_[task];
  }
  // How often a task's statuses came, repetitions included.
  int DeliveriesOf(const std::string& task) {
    absl::MutexLock lock(&mu_);
    return deliveries_[task];
  }
  // The first status of the task in this state; an empty one after the time-out.
  model::v1::TaskStatus AwaitStatus(const std::string& task, model::v1::TaskState state,
                                    absl::Duration timeout = absl::Seconds(30)) {
    const absl::Time deadline = absl::Now() + timeout;
    do {
      for (const auto& status : StatusesOf(task)) {
        if (status.state() == state) return status;
      }
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    return {};
  }

  grpc::ServerBidiReactor<agentlink::v1::ConnectRequest, agentlink::v1::ConnectResponse>* Connect(
      grpc::CallbackServerContext* context) override {
    return rpc::AcceptBidi<agentlink::v1::ConnectRequest, agentlink::v1::ConnectResponse>(
        context, {}, [this](rpc::StreamPtr<agentlink::v1::ConnectResponse> stream) {
          rpc::StreamHandlers<agentlink::v1::ConnectRequest> handlers;
          handlers.on_message = [this, stream](agentlink::v1::ConnectRequest request) {
            absl::MutexLock lock(&mu_);
            for (const AgentMessage& message : request.messages()) Hear(stream, message);
            return absl::OkStatus();
          };
          handlers.on_done = [](const absl::Status&) {};
          return handlers;
        });
  }

 private:
  void SendLocked(const MasterMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (stream_ == nullptr) return;
    agentlink::v1::ConnectResponse response;
    response.set_epoch(epoch_);
    *response.add_messages() = message;
    stream_->Send(std::move(response));
  }

  model::v1::Incarnation NextIncarnation() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    model::v1::Incarnation incarnation;
    incarnation.set_epoch(epoch_);
    incarnation.set_number(++last_number_);
    return incarnation;
  }
  void Number(agentlink::v1::TaskLaunch* task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    *task->mutable_incarnation() = newest_[task->task_id()] = NextIncarnation();
  }
  void Describe(const std::string& framework) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    model::v1::FrameworkInfo info;
    info.set_id(framework);
    info.set_name("test");
    info.set_user("root");
    MasterMessage message;
    message.mutable_describe_framework()->set_framework_id(framework);
    message.mutable_describe_framework()->set_info(info.SerializeAsString());
    SendLocked(message);
  }

  void Admit(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    MasterMessage message;
    message.mutable_registered()->set_agent_id(id.empty() ? "test-agent" : id);
    message.mutable_registered()->mutable_ping_timeout()->set_seconds(300);
    SendLocked(message);
  }

  void Hear(const rpc::StreamPtr<agentlink::v1::ConnectResponse>& stream,
            const AgentMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (message.has_register_()) {
      stream_ = stream;
      inventory_.clear();
      pending_ = message.register_();
      if (!pending_.info().id().empty()) return;
      registrations_.push_back(pending_);
      Admit("");
    } else if (message.has_inventory()) {
      for (const auto& task : message.inventory().tasks()) inventory_[task.task_id()] = task;
      if (!message.inventory().last()) return;
      registrations_.push_back(pending_);
      Admit(pending_.info().id());
    } else if (message.has_status_update()) {
      const auto& update = message.status_update();
      auto& known = statuses_[update.status().task_id()];
      ++deliveries_[update.status().task_id()];
      bool repeated = false;
      for (const auto& status : known)
        repeated = repeated || status.uuid() == update.status().uuid();
      if (!repeated) known.push_back(update.status());
      if (!acknowledge_ || update.status().uuid().empty()) return;
      MasterMessage acknowledgement;
      auto* ack = acknowledgement.mutable_acknowledge_update();
      ack->set_framework_id(update.framework_id());
      ack->set_task_id(update.status().task_id());
      ack->set_uuid(update.status().uuid());
      *ack->mutable_incarnation() = update.incarnation();
      SendLocked(acknowledgement);
    }
  }

  std::unique_ptr<rpc::Server> server_;
  absl::Mutex mu_;
  bool acknowledge_ ABSL_GUARDED_BY(mu_) = true;
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t last_number_ ABSL_GUARDED_BY(mu_) = 0;
  // By task and by executor.
  std::map<std::string, model::v1::Incarnation> newest_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, model::v1::Incarnation> newest_executor_ ABSL_GUARDED_BY(mu_);
  size_t wanted_ ABSL_GUARDED_BY(mu_) = 0;
  AgentMessage::Register pending_ ABSL_GUARDED_BY(mu_);
  std::vector<AgentMessage::Register> registrations_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, agentlink::v1::TaskEntry> inventory_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::vector<model::v1::TaskStatus>> statuses_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int> deliveries_ ABSL_GUARDED_BY(mu_);
  rpc::StreamPtr<agentlink::v1::ConnectResponse> stream_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::agent::testing
