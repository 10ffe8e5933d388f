// The most telling stories of the master's core as scripts with what came of each command:
// testdata/*.txt. `make transcripts` writes them anew; what changed is for the reviewer to read.
//
//   lead | other-master | stop      the process begins, dies and is followed by another, resigns
//   agent A [RESOURCES]             an agent comes for the first time
//   return A                        it comes again, with what it was told to run
//   lose A | pong A                 its stream breaks; it answers the newest ping
//   framework F                     a framework subscribes, also again after `lose`
//   offer F A RESOURCES             the allocator decides so
//   accept F TASK=RESOURCES...      with the newest offer; decline F [SECONDS]
//   group F EXECUTOR TASK=RESOURCES...
//   status A TASK STATE             the agent reports; acknowledge F TASK answers the newest status
//   kill F TASK | reconcile F [TASK...] | teardown F | revive F
//   drain A | gone A                operators' calls
//   wait SECONDS                    time passes, and the core is woken when it wants to be
//   hold-commits | release-commits  the registry takes its time
//   fail-renewals | break-allocator
//
// What keeps streams and the lease alive is left out: renewals, heartbeats, pings. Of the feed only
// the number of changes is said.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/base/overloaded.h"
#include "services/base/testing/transcript.h"
#include "services/master/core/test_master.h"
#include "services/model/testing/message_text.h"

namespace tessera::master {
namespace {

using model::testing::MessageText;

constexpr char kFolder[] = "services/master/core/testdata";

std::string Words(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", std::string(status.message()));
}

template <typename Answer>
std::string AnswerText(const absl::StatusOr<Answer>& answer) {
  if (!answer.ok()) return Words(answer.status());
  const std::string text =
      std::visit([](const auto& message) { return MessageText(message); }, *answer);
  return absl::StrCat("OK", text.empty() ? "" : " ", text);
}

template <typename Messages>
std::string Lines(const std::string& start, const Messages& messages) {
  std::string lines;
  for (const auto& message : messages) absl::StrAppend(&lines, start, MessageText(message), "\n");
  return lines;
}

class Stage {
 public:
  Stage() { Begin(); }

  std::string Run(const std::string& command) {
    said_.clear();
    const std::vector<std::string> words = base::CommandWords(command);
    Do(words.at(0), std::vector<std::string>(words.begin() + 1, words.end()));
    // Which random id the cell has got is no part of any story.
    static const std::regex cell("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
    return std::regex_replace(said_, cell, "cell");
  }

 private:
  struct Framework {
    StreamId stream;
    std::string id;
    // Of the newest offer.
    std::string offer;
  };
  struct Agent {
    AgentStreamId stream;
    std::string id;
    pb::AgentInfo info;
    std::vector<link::TaskEntry> tasks;
  };

  void Begin() {
    const absl::Time start = master_ == nullptr ? absl::FromUnixSeconds(1'700'000'000)
                                                : master_->now() + absl::Seconds(1);
    master_ = std::make_unique<TestMaster>(&registry_, start);
    master_->watch = [this](const Effect& effect) { Note(effect); };
  }

  // The name of what a stream belongs to, or its number while that is not known.
  template <typename Map, typename Id>
  static std::string NameOf(const Map& map, Id stream) {
    for (const auto& [name, one] : map) {
      if (one.stream == stream) return name;
    }
    return absl::StrCat("stream ", stream.value());
  }

  void Say(const std::string& line) { absl::StrAppend(&said_, line, "\n"); }

  void Note(const Effect& effect) {
    std::visit(
        base::Overloaded{
            [&](const ToFramework& e) {
              const std::string name = NameOf(frameworks_, e.stream);
              for (const sched::Event& event : e.response.events()) {
                if (event.has_heartbeat()) continue;
                Say(absl::StrCat("to framework ", name, ": ", MessageText(event)));
                for (const pb::Offer& offer : event.offers().offers()) {
                  frameworks_[name].offer = offer.id();
                }
                if (event.has_update()) {
                  statuses_[event.update().status().task_id()] = event.update().status();
                }
              }
            },
            [&](const CloseFramework& e) {
              Say(absl::StrCat("close framework ", NameOf(frameworks_, e.stream), ": ",
                               Words(e.status)));
            },
            [&](const ToAgent& e) {
              const std::string name = NameOf(agents_, e.stream);
              for (const link::MasterMessage& message : e.response.messages()) {
                if (message.has_ping()) continue;
                Say(absl::StrCat("to agent ", name, ": ", MessageText(message)));
                if (message.has_registered()) agents_[name].id = message.registered().agent_id();
                if (message.has_run_task()) {
                  agents_[name].tasks.push_back(TestMaster::EntryOf(message.run_task()));
                }
              }
            },
            [&](const CloseAgent& e) {
              Say(absl::StrCat("close agent ", NameOf(agents_, e.stream), ": ", Words(e.status)));
            },
            [&](const Reply& e) { Say(absl::StrCat("reply: ", AnswerText(e.answer))); },
            [&](const OperatorReply& e) { Say(absl::StrCat("reply: ", AnswerText(e.answer))); },
            [&](const ConnectAllocator&) { Say("connect to the allocator"); },
            [&](const ToAllocator& e) {
              absl::StrAppend(&said_, Lines("to allocator: ", e.request.events()));
              if (e.request.snapshot_complete()) Say("to allocator: that is all");
            },
            [&](const CloseAllocator&) { Say("close the allocator's stream"); },
            [&](const master::Campaign& e) { Say("campaign: " + MessageText(e.request)); },
            [](const master::Renew&) {},
            [&](const master::Read& e) {
              Say("read: " + absl::StrJoin(e.request.prefixes(), ", "));
            },
            [&](const master::Commit& e) {
              std::vector<std::string> keys;
              for (const reg::Write& write : e.request.writes()) {
                keys.push_back(absl::StrCat(write.has_value() ? "" : "no ", write.key()));
              }
              Say("commit: " + absl::StrJoin(keys, ", "));
            },
            [&](const EndCampaign&) { Say("end the campaign"); },
            [&](const Resign&) { Say("resign"); },
            [&](const Stopped&) { Say("stopped"); },
            [&](const master::Note& e) { Say("note: " + e.text); },
            [&](const PublishFeed& e) {
              Say(absl::StrCat(e.reset ? "feed anew: " : "feed: ", e.delta.changes.size(),
                               " changes"));
            },
            [](const FeedHeartbeat&) {},
            [&](const LeadershipBegan& e) { Say(absl::StrCat("leading with epoch ", e.epoch)); },
            [&](const LeadershipEnded& e) { Say("leading no more: " + e.reason); },
        },
        effect);
  }

  static pb::TaskInfo TaskOf(const std::string& word) {
    const std::vector<std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
    pb::TaskInfo task;
    task.set_id(parts.at(0));
    task.set_name(parts.at(0));
    task.mutable_command()->set_value("true");
    *task.mutable_resources() = TestMaster::Resources(parts.at(1));
    return task;
  }

  template <typename Response, typename Request>
  void Call(const std::string& framework, Request request) {
    (void)master_->Call<Response>(frameworks_[framework].stream, std::move(request));
  }

  void Do(const std::string& verb, const std::vector<std::string>& words) {
    const auto word = [&](size_t i, const std::string& otherwise = "") {
      return i < words.size() ? words[i] : otherwise;
    };
    if (DoToProcess(verb, word(0))) return;
    if (DoToAgent(verb, words)) return;
    if (DoToFramework(verb, words)) return;
    ADD_FAILURE() << "no such command: " << verb;
  }

  bool DoToProcess(const std::string& verb, const std::string& word) {
    if (verb == "lead") {
      master_->Lead();
    } else if (verb == "other-master") {
      Begin();
      master_->Lead();
    } else if (verb == "stop") {
      master_->Step(StopRequested{});
    } else if (verb == "wait") {
      int64_t seconds = 0;
      EXPECT_TRUE(absl::SimpleAtoi(word, &seconds)) << word;
      master_->Advance(absl::Seconds(seconds));
    } else if (verb == "hold-commits") {
      master_->HoldCommits();
    } else if (verb == "release-commits") {
      master_->ReleaseCommits();
    } else if (verb == "fail-renewals") {
      master_->FailRenewals(absl::UnavailableError("the registry is gone"));
    } else if (verb == "break-allocator") {
      master_->BreakAllocator();
    } else {
      return false;
    }
    return true;
  }

  bool DoToAgent(const std::string& verb, const std::vector<std::string>& words) {
    const std::string name = words.empty() ? "" : words[0];
    if (verb == "agent") {
      Agent& agent = agents_[name];
      agent.info = TestMaster::AgentInfo(name);
      if (words.size() > 1) *agent.info.mutable_resources() = TestMaster::Resources(words[1]);
      agent.stream = AgentStreamId(master_->last_id() + 1);
      master_->Register(agent.info);
    } else if (verb == "return") {
      Agent& agent = agents_[name];
      agent.stream = AgentStreamId(master_->last_id() + 1);
      std::vector<pb::FrameworkInfo> frameworks;
      for (const auto& [label, framework] : frameworks_) {
        frameworks.push_back(TestMaster::Info(label));
        frameworks.back().set_id(framework.id);
      }
      master_->Reregister(agent.info, agent.id, frameworks, agent.tasks);
    } else if (verb == "lose" && agents_.contains(name)) {
      master_->CloseAgentStream(agents_[name].stream);
    } else if (verb == "pong") {
      master_->Pong(agents_[name].stream);
    } else if (verb == "status") {
      pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
      EXPECT_TRUE(pb::TaskState_Parse("TASK_" + words.at(2), &state)) << words[2];
      for (link::TaskEntry& task : agents_[name].tasks) {
        if (task.task_id() != words.at(1)) continue;
        task.set_state(state);
        master_->Update(agents_[name].stream, task.framework_id(), task.task_id(), state,
                        std::string(16, static_cast<char>('a' + ++updates_)));
      }
    } else if (verb == "drain") {
      ops::DrainAgentRequest request;
      request.set_agent_id(agents_[name].id);
      (void)master_->Operate<ops::DrainAgentResponse>(request);
    } else if (verb == "gone") {
      ops::MarkAgentGoneRequest request;
      request.set_agent_id(agents_[name].id);
      (void)master_->Operate<ops::MarkAgentGoneResponse>(request);
    } else {
      return false;
    }
    return true;
  }

  bool DoToFramework(const std::string& verb, const std::vector<std::string>& words) {
    const std::string name = words.empty() ? "" : words[0];
    Framework& framework = frameworks_[name];
    const std::vector<std::string> rest(words.begin() + (words.empty() ? 0 : 1), words.end());
    if (verb == "framework") {
      pb::FrameworkInfo info = TestMaster::Info(name);
      info.set_id(framework.id);
      framework.stream = StreamId(master_->last_id() + 1);
      master_->Subscribe(info);
      framework.id = master_->SessionOf(framework.stream).framework_id();
    } else if (verb == "lose") {
      master_->CloseFrameworkStream(framework.stream);
    } else if (verb == "offer") {
      master_->Allocate(framework.id, agents_[rest.at(0)].id, rest.at(1));
    } else if (verb == "accept") {
      sched::AcceptOffersRequest request;
      request.add_offer_ids(framework.offer);
      auto* launch = request.add_operations()->mutable_launch();
      for (const std::string& task : rest) *launch->add_tasks() = TaskOf(task);
      Call<sched::AcceptOffersResponse>(name, request);
    } else if (verb == "decline") {
      sched::DeclineOffersRequest request;
      request.add_offer_ids(framework.offer);
      int64_t seconds = 5;
      if (!rest.empty()) {
        EXPECT_TRUE(absl::SimpleAtoi(rest[0], &seconds)) << rest[0];
      }
      request.mutable_filters()->mutable_refuse_duration()->set_seconds(seconds);
      Call<sched::DeclineOffersResponse>(name, request);
    } else if (verb == "acknowledge") {
      const pb::TaskStatus& status = statuses_[rest.at(0)];
      sched::AcknowledgeRequest request;
      auto* update = request.add_updates();
      update->set_agent_id(status.agent_id());
      update->set_task_id(status.task_id());
      update->set_uuid(status.uuid());
      Call<sched::AcknowledgeResponse>(name, request);
    } else if (verb == "kill") {
      sched::KillTaskRequest request;
      request.set_task_id(rest.at(0));
      Call<sched::KillTaskResponse>(name, request);
    } else if (verb == "reconcile") {
      sched::ReconcileTasksRequest request;
      for (const std::string& task : rest) request.add_tasks()->set_task_id(task);
      Call<sched::ReconcileTasksResponse>(name, request);
    } else if (verb == "revive") {
      Call<sched::ReviveOffersResponse>(name, sched::ReviveOffersRequest());
    } else if (verb == "teardown") {
      Call<sched::TeardownResponse>(name, sched::TeardownRequest());
    } else {
      return false;
    }
    return true;
  }

  TestRegistry registry_;
  std::unique_ptr<TestMaster> master_;
  std::string said_;
  std::map<std::string, Framework> frameworks_;
  std::map<std::string, Agent> agents_;
  // The newest status of each task that a framework got.
  std::map<std::string, pb::TaskStatus> statuses_;
  int updates_ = 0;
};

class MasterTranscriptTest : public ::testing::TestWithParam<std::string> {};

TEST_P(MasterTranscriptTest, IsAsWritten) {
  Stage stage;
  base::RunTranscript(GetParam(),
                      [&stage](const std::string& command) { return stage.Run(command); });
}

INSTANTIATE_TEST_SUITE_P(All, MasterTranscriptTest,
                         ::testing::ValuesIn(base::TranscriptFiles(kFolder)),
                         [](const auto& info) { return base::TranscriptName(info.param); });

}  // namespace
}  // namespace tessera::master
