// A leading master with an agent and a framework, for tests of offers and tasks.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/master/core/test_master.h"

namespace tessera::master {

inline const absl::Time kTestTasksStart = absl::FromUnixSeconds(1'700'000'000);

inline std::string Uuid(char c) { return std::string(16, c); }

class TestTasks : public ::testing::Test {
 protected:
  TestTasks() : master_(&registry_, kTestTasksStart) {
    master_.Lead();
    agent_ = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(agent_);
    stream_ = master_.Subscribe(TestMaster::Info("batch"));
    framework_id_ = master_.SessionOf(stream_).framework_id();
  }

  static pb::TaskInfo Task(const std::string& id, const std::string& resources = "cpus:1;mem:64") {
    pb::TaskInfo task;
    task.set_id(id);
    task.set_name(id);
    task.mutable_command()->set_value("true");
    *task.mutable_resources() = TestMaster::Resources(resources);
    return task;
  }

  std::string Offer(const std::string& resources = "cpus:4;mem:4096") {
    master_.Allocate(framework_id_, agent_id_, resources);
    const auto offers = master_.TakeOffers(stream_);
    return offers.empty() ? "" : offers.back().id();
  }

  absl::StatusOr<sched::AcceptOffersResponse> Launch(const std::vector<std::string>& offers,
                                                     const std::vector<pb::TaskInfo>& tasks) {
    sched::AcceptOffersRequest request;
    for (const std::string& offer : offers) request.add_offer_ids(offer);
    auto* launch = request.add_operations()->mutable_launch();
    for (const pb::TaskInfo& task : tasks) *launch->add_tasks() = task;
    return master_.Call<sched::AcceptOffersResponse>(stream_, request);
  }

  // A task that runs, its first status acknowledged.
  void Run(const std::string& id) {
    ASSERT_TRUE(Launch({Offer()}, {Task(id)}).ok());
    master_.Update(agent_, framework_id_, id, pb::TASK_RUNNING, Uuid('r'));
    Acknowledge(id, Uuid('r'));
    master_.TakeStatuses(stream_);
    master_.TakeAgentMessages(agent_, link::MasterMessage::kRunTask);
    master_.TakeAgentMessages(agent_, link::MasterMessage::kAcknowledgeUpdate);
  }

  void Acknowledge(const std::string& task, const std::string& uuid) {
    sched::AcknowledgeRequest request;
    auto* update = request.add_updates();
    update->set_agent_id(agent_id_);
    update->set_task_id(task);
    update->set_uuid(uuid);
    EXPECT_TRUE(master_.Call<sched::AcknowledgeResponse>(stream_, request).ok());
  }

  // What the allocator was told of ends of offers since it was last asked for its events.
  std::vector<alloc::ClusterEvent::OffersEnded> EndsOfOffers() {
    std::vector<alloc::ClusterEvent::OffersEnded> ends;
    for (const auto& event : master_.TakeAllocatorEvents()) {
      if (event.has_offers_ended()) ends.push_back(event.offers_ended());
    }
    return ends;
  }

  TestRegistry registry_;
  TestMaster master_;
  AgentStreamId agent_;
  std::string agent_id_;
  StreamId stream_;
  std::string framework_id_;
};

}  // namespace tessera::master
