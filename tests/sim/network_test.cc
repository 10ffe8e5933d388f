#include "tests/sim/network.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tessera::sim {
namespace {

class Peer : public Process {
 public:
  using Process::Process;
  // Goodbyes take this long.
  absl::Duration patience;
  Network* network = nullptr;

 private:
  void OnStart() override {}
  void OnStop() override {
    Later(patience, [this] { Finish(); });
  }
  void OnEnd() override { network->Drop(this); }
};

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() : network_(&loop_, base::Rng(3), {}, &faults_) {
    a_.network = b_.network = &network_;
    a_.Start();
    b_.Start();
  }
  void Run() {
    loop_.RunUntil(loop_.now() + absl::Minutes(1), [] { return false; });
  }
  std::shared_ptr<Wire> Connect() {
    return network_.Connect(
        {&a_, [this](const absl::Status& s) { heard_.push_back("a:" + std::string(s.message())); }},
        {&b_,
         [this](const absl::Status& s) { heard_.push_back("b:" + std::string(s.message())); }});
  }

  EventLoop loop_;
  FaultCounts faults_;
  Network network_;
  Peer a_{&loop_, "a"}, b_{&loop_, "b"};
  std::vector<std::string> heard_;
};

TEST_F(NetworkTest, MessagesOfOneDirectionKeepTheirOrderAndCloseComesLast) {
  const auto wire = Connect();
  for (int i = 0; i < 50; ++i) {
    wire->Send(&a_, [this, i] { heard_.push_back(std::to_string(i)); });
  }
  wire->Close(&a_, absl::CancelledError("done"));
  Run();
  ASSERT_EQ(heard_.size(), 52);
  EXPECT_EQ(heard_[0], "a:done");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(heard_[i + 1], std::to_string(i));
  EXPECT_EQ(heard_[51], "b:done");
}

TEST_F(NetworkTest, ABrokenWireLosesWhatIsOnItsWayAndTellsBothEndsOnce) {
  const auto wire = Connect();
  wire->Send(&a_, [this] { heard_.push_back("message"); });
  wire->Break();
  wire->Break();
  Run();
  std::sort(heard_.begin(), heard_.end());
  EXPECT_EQ(heard_, (std::vector<std::string>{"a:the connection broke", "b:the connection broke"}));
}

TEST_F(NetworkTest, AnEarlierLifeHearsNothing) {
  const auto wire = Connect();
  wire->Send(&a_, [this] { heard_.push_back("message"); });
  b_.Crash();
  b_.Start();
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:the connection broke"});
}

TEST_F(NetworkTest, WhatAProcessSaysBeforeItStopsIsHeard) {
  const auto wire = Connect();
  b_.patience = absl::Seconds(1);
  b_.Stop([this] { heard_.push_back("b is down"); });
  EXPECT_TRUE(b_.up() && b_.stopping());
  wire->Send(&b_, [this] { heard_.push_back("goodbye"); });
  Run();
  EXPECT_EQ(heard_, (std::vector<std::string>{"goodbye", "b is down", "a:the process stops"}));
  EXPECT_FALSE(b_.up() || b_.stopping());
  b_.Start();
  EXPECT_TRUE(b_.up());
}

TEST_F(NetworkTest, ACrashPutsAnEndToStopping) {
  const auto wire = Connect();
  b_.patience = absl::Seconds(1);
  b_.Stop([this] { heard_.push_back("b is down"); });
  b_.Crash();
  b_.Start();
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:the connection broke"});
  EXPECT_TRUE(b_.up());
}

TEST_F(NetworkTest, OnlyAKeepaliveFindsOutThatAProcessHasVanished) {
  const auto wire = Connect();
  network_.Vanish(&b_);
  b_.Crash();
  wire->Send(&a_, [this] { heard_.push_back("message"); });
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:keepalive found no answer"});
}

TEST_F(NetworkTest, WhatBreaksIsInUse) {
  // A call that was answered: nobody holds its wire any more.
  Connect()->Send(&a_, [this] { heard_.push_back("message"); });
  Run();
  EXPECT_FALSE(network_.BreakOne(/*silently=*/false));
  const auto wire = Connect();
  EXPECT_TRUE(network_.BreakOne(/*silently=*/false));
  EXPECT_FALSE(wire->open());
}

TEST_F(NetworkTest, WhatAProcessSaidBeforeItCrashedMayArriveInOrderAndBeforeTheEnd) {
  size_t arrived = 0;
  for (int round = 0; round < 50; ++round) {
    heard_.clear();
    const auto wire = Connect();
    for (int i = 0; i < 20; ++i) {
      wire->Send(&a_, [this, i] { heard_.push_back(std::to_string(i)); });
    }
    a_.Crash();
    Run();
    a_.Start();
    ASSERT_FALSE(heard_.empty());
    EXPECT_EQ(heard_.back(), "b:the connection broke");
    heard_.pop_back();
    for (size_t i = 0; i < heard_.size(); ++i) EXPECT_EQ(heard_[i], std::to_string(i));
    arrived += heard_.size();
  }
  // Some of it arrives, and not all.
  EXPECT_GT(arrived, 100u);
  EXPECT_LT(arrived, 1000u);
  EXPECT_EQ(faults_.of(Bite::kWordsOutlivedProcess), arrived);
}

TEST_F(NetworkTest, WhatIsSaidToAProcessThatCrashedIsLost) {
  const auto wire = Connect();
  wire->Send(&b_, [this] { heard_.push_back("message"); });
  a_.Crash();
  a_.Start();
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"b:the connection broke"});
}

TEST_F(NetworkTest, AOneWayPartitionHoldsOneDirectionBackUntilAKeepaliveFindsOut) {
  const auto wire = Connect();
  network_.Partition(&a_, &b_, Network::Parting::kOneWay);
  wire->Send(&a_, [this] { heard_.push_back("from a"); });
  wire->Send(&b_, [this] { heard_.push_back("from b"); });
  loop_.RunUntil(loop_.now() + absl::Seconds(5), [] { return false; });
  EXPECT_EQ(heard_, std::vector<std::string>{"from b"});
  network_.Heal();
  EXPECT_EQ(heard_, (std::vector<std::string>{"from b", "from a"}));
  EXPECT_EQ(faults_.of(Bite::kLateDelivery), 1u);

  network_.Partition(&a_, &b_, Network::Parting::kOneWay);
  loop_.RunUntil(loop_.now() + absl::Minutes(2), [] { return false; });
  ASSERT_EQ(heard_.size(), 4u);
  EXPECT_NE(heard_[2].find("keepalive"), std::string::npos);
  EXPECT_NE(heard_[3].find("keepalive"), std::string::npos);
}

TEST_F(NetworkTest, EachLifeHasItsOwnIdeaOfTheTime) {
  a_.SetClockError(absl::Hours(-1));
  EXPECT_EQ(a_.now(), loop_.now());
  a_.Crash();
  a_.Start();
  EXPECT_EQ(a_.now(), loop_.now() - absl::Hours(1));
}

TEST_F(NetworkTest, APartitionRefusesConnectionsUntilItIsHealed) {
  network_.Partition(&a_, &b_, Network::Parting::kRefusing);
  EXPECT_EQ(Connect(), nullptr);
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:connection refused"});
  network_.Heal();
  EXPECT_NE(Connect(), nullptr);
}

TEST_F(NetworkTest, ASilentWireSaysNothingUntilKeepaliveGivesItUp) {
  const auto wire = Connect();
  wire->Silence();
  wire->Send(&a_, [this] { heard_.push_back("message"); });
  wire->Break();  // whatever happens behind it
  loop_.RunUntil(loop_.now() + absl::Seconds(9), [] { return false; });
  EXPECT_TRUE(heard_.empty());
  EXPECT_TRUE(wire->open());
  loop_.RunUntil(loop_.now() + absl::Seconds(90), [] { return false; });
  std::sort(heard_.begin(), heard_.end());
  EXPECT_EQ(heard_, (std::vector<std::string>{"a:keepalive found no answer",
                                              "b:keepalive found no answer"}));
  EXPECT_FALSE(wire->open());
}

TEST_F(NetworkTest, ASilentPartitionThatIsHealedInTimeOnlyDelays) {
  const auto wire = Connect();
  wire->Send(&a_, [this] { heard_.push_back("1"); });
  network_.Partition(&a_, &b_, Network::Parting::kSilent);
  wire->Send(&a_, [this] { heard_.push_back("2"); });
  loop_.RunUntil(loop_.now() + absl::Seconds(5), [] { return false; });
  EXPECT_TRUE(heard_.empty());
  network_.Heal();
  wire->Send(&a_, [this] { heard_.push_back("3"); });
  wire->Close(&a_, absl::CancelledError("done"));
  Run();
  Run();
  EXPECT_EQ(heard_, (std::vector<std::string>{"1", "2", "a:done", "3", "b:done"}));
}

TEST_F(NetworkTest, ASilentWireWhoseEndIsGoneBreaksWhenItIsHealed) {
  const auto wire = Connect();
  network_.Partition(&a_, &b_, Network::Parting::kSilent);
  wire->Send(&a_, [this] { heard_.push_back("message"); });
  b_.Crash();
  b_.Start();
  loop_.RunUntil(loop_.now() + absl::Seconds(8), [] { return false; });
  EXPECT_TRUE(heard_.empty());
  network_.Heal();
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:the connection broke"});
}

TEST_F(NetworkTest, AConnectionThroughASilentPartitionHangs) {
  network_.Partition(&a_, &b_, Network::Parting::kSilent);
  EXPECT_EQ(Connect(), nullptr);
  loop_.RunUntil(loop_.now() + absl::Seconds(4), [] { return false; });
  EXPECT_TRUE(heard_.empty());
  Run();
  EXPECT_EQ(heard_, std::vector<std::string>{"a:connection refused"});
}

}  // namespace
}  // namespace tessera::sim
