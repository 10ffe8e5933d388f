// Maintenance while everything else goes on: agents come, go and are cut off, the registry is slow,
// masters fail over. Each step checks the books and what the allocator was told (test_master.h);
// here it is judged that no agent works on a machine that is down, and that none comes back after
// it was declared gone.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
constexpr int kHosts = 4;

class Turmoil {
 public:
  explicit Turmoil(uint64_t seed) : rng_(seed) { Lead(kStart); }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) {
      Act();
      Judge();
    }
    if (::testing::Test::HasFatalFailure()) return;
    master_->ReleaseCommits();
    Judge();
  }
  size_t agents_gone() const { return gone_.size(); }
  int inverse_offers() const { return inverse_offers_; }

 private:
  struct Place {
    int host;
    AgentStreamId stream;
    std::string id;
  };

  void Lead(absl::Time now) {
    master_ = std::make_unique<TestMaster>(&registry_, now, TestMaster::Config(), rng_.Next());
    master_->Lead();
    std::erase_if(places_, [](const Place& place) { return place.id.empty(); });
    for (Place& place : places_) place.stream = AgentStreamId();
    Subscribe();
  }
  void Subscribe() {
    pb::FrameworkInfo info = TestMaster::Info("batch");
    info.set_id(framework_id_);
    stream_ = master_->Subscribe(info);
    if (framework_id_.empty()) framework_id_ = master_->SessionOf(stream_).framework_id();
  }
  pb::AgentInfo InfoOf(int host) {
    pb::AgentInfo info = TestMaster::AgentInfo("host-" + std::to_string(host));
    // Every other one is known by its ip.
    if (host % 2 == 1) info.set_address("10.0.0." + std::to_string(host) + ":5051");
    return info;
  }
  ops::MachineId Machine(int host) {
    ops::MachineId id;
    if (host % 2 == 1) {
      id.set_ip("10.0.0." + std::to_string(host));
    } else {
      id.set_hostname("HOST-" + std::to_string(host));
    }
    return id;
  }
  template <typename Request>
  Request SomeMachines() {
    Request request;
    for (int host = 0; host < kHosts; ++host) {
      if (rng_.Below(3) == 0) *request.add_machines() = Machine(host);
    }
    return request;
  }
  void Schedule() {
    ops::UpdateMaintenanceScheduleRequest request;
    for (int host = 0; host < kHosts; ++host) {
      if (rng_.Below(4) == 0) continue;
      auto* window = request.add_windows();
      *window->add_machines() = Machine(host);
      window->mutable_unavailability()->mutable_start()->set_seconds(
          static_cast<int64_t>(rng_.Below(2)));
    }
    (void)master_->Operate<ops::UpdateMaintenanceScheduleResponse>(request);
  }
  Place* SomePlace() { return places_.empty() ? nullptr : &places_[rng_.Below(places_.size())]; }
  template <typename Response, typename Request>
  void Change(const Place& place) {
    Request request;
    request.set_agent_id(place.id);
    (void)master_->template Operate<Response>(request);
  }
  void Answer() {
    const auto events = master_->Events(stream_, sched::Event::kInverseOffers);
    if (events.empty()) return;
    sched::AnswerInverseOffersRequest request;
    request.add_inverse_offer_ids(events.back().inverse_offers().inverse_offers(0).id());
    request.set_accept(rng_.Below(2) == 0);
    (void)master_->Call<sched::AnswerInverseOffersResponse>(stream_, request);
  }

  void Act() {
    Place* place = SomePlace();
    switch (rng_.Below(16)) {
      case 0:
      case 1: {
        const int host = static_cast<int>(rng_.Below(kHosts));
        places_.push_back({host, master_->Register(InfoOf(host)), ""});
        break;
      }
      case 2:
        if (place == nullptr || place->id.empty()) break;
        place->stream = master_->Reregister(InfoOf(place->host), place->id, {}, {});
        break;
      case 3:
        if (place != nullptr) master_->CloseAgentStream(place->stream);
        break;
      case 4:
        for (const Place& each : places_) master_->Pong(each.stream);
        master_->Advance(absl::Seconds(15));
        break;
      case 5:
        master_->Advance(absl::Seconds(static_cast<int64_t>(rng_.Below(60))));
        break;
      case 6:
        Schedule();
        break;
      case 7:
        (void)master_->Operate<ops::StartMaintenanceResponse>(
            SomeMachines<ops::StartMaintenanceRequest>());
        break;
      case 8:
        (void)master_->Operate<ops::StopMaintenanceResponse>(
            SomeMachines<ops::StopMaintenanceRequest>());
        break;
      case 9:
        if (place == nullptr) break;
        if (rng_.Below(2) == 0) {
          Change<ops::DeactivateAgentResponse, ops::DeactivateAgentRequest>(*place);
        } else {
          Change<ops::ReactivateAgentResponse, ops::ReactivateAgentRequest>(*place);
        }
        break;
      case 10:
        if (place == nullptr) break;
        if (rng_.Below(2) == 0) {
          Change<ops::DrainAgentResponse, ops::DrainAgentRequest>(*place);
        } else if (rng_.Below(4) == 0) {
          Change<ops::MarkAgentGoneResponse, ops::MarkAgentGoneRequest>(*place);
        }
        break;
      case 11:
        if (place != nullptr) master_->Allocate(framework_id_, place->id, "cpus:1");
        break;
      case 12:
        if (place != nullptr) master_->AllocateInverse(framework_id_, place->id);
        break;
      case 13:
        Answer();
        break;
      case 14:
        if (rng_.Below(2) == 0) {
          master_->HoldCommits();
        } else {
          master_->ReleaseCommits();
        }
        break;
      case 15:
        if (rng_.Below(4) == 0) {
          Lead(master_->now());
        } else if (rng_.Below(4) == 0) {
          master_->BreakAllocator();
        } else {
          if (rng_.Below(2) == 0) master_->CloseFrameworkStream(stream_);
          Subscribe();
        }
        break;
    }
  }

  void Judge() {
    for (Place& place : places_) {
      if (place.id.empty()) place.id = master_->AgentId(place.stream);
      const absl::Status* closed = master_->AgentClosed(place.stream);
      if (place.id.empty()) continue;
      if (closed != nullptr && rpc::ReasonOf(*closed) == pb::ErrorDetail::AGENT_GONE) {
        gone_.insert(place.id);
      }
      ASSERT_FALSE(closed == nullptr && gone_.contains(place.id) &&
                   master_->AgentId(place.stream) == place.id)
          << "agent " << place.id << " is back";
    }
    const MasterMetrics metrics = master_->core().Metrics();
    inverse_offers_ += metrics.inverse_offers_outstanding > 0;
    // While the registry is slow, what is on its way may end only later.
    if (master_->held_commits() > 0) return;
    for (const auto& [key, value] : registry_.table) {
      if (!key.starts_with("agents/admitted/")) continue;
      const auto agent = registry_.Get<reg::AdmittedAgent>(key);
      const MachineName at = MachineOf(agent->info());
      const auto by_name = registry_.Get<reg::Machine>("machines/" + at.hostname + ",");
      const auto by_ip = registry_.Get<reg::Machine>("machines/," + at.ip);
      ASSERT_FALSE(by_name.has_value() && by_name->mode() == reg::Machine::DOWN) << key;
      ASSERT_FALSE(by_ip.has_value() && by_ip->mode() == reg::Machine::DOWN) << key;
    }
  }

  base::Rng rng_;
  TestRegistry registry_;
  std::unique_ptr<TestMaster> master_;
  StreamId stream_;
  std::string framework_id_;
  std::vector<Place> places_;
  std::set<std::string> gone_;
  int inverse_offers_ = 0;
};

TEST(MaintenanceRandomTest, NothingWorksOnAMachineThatIsDown) {
  size_t gone = 0;
  int inverse_offers = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    Turmoil turmoil(seed);
    turmoil.Run(400);
    if (HasFatalFailure()) return;
    gone += turmoil.agents_gone();
    inverse_offers += turmoil.inverse_offers();
  }
  // It has seen what it judges.
  EXPECT_GT(gone, 100u);
  EXPECT_GT(inverse_offers, 100);
}

}  // namespace
}  // namespace tessera::master
