// The most telling stories of the agent's core as scripts with what came of each command:
// testdata/*.txt. `make transcripts` writes them anew; what changed is for the reviewer to read.
//
//   register [AGENT]            the agent dials, and the master admits it
//   run TASK [CPUS]             the master sends a task
//   group EXECUTOR TASK...      the master sends a group that begins an executor; `+` before the
//                               first task: the executor runs already
//   kill TASK [GRACE_S]         the master wants it dead
//   acknowledge TASK            the framework has handled the newest status of the task
//   launched TASK | ends TASK STATUS | ends-by-memory TASK | launch-fails TASK WHY
//                               what the runtime says of its newest container
//   runs ID | dies ID STATUS    the same, of a container by its id
//   wait SECONDS                time passes, and the core is woken when it wants to be
//   sync off | sync on | sync   what is written becomes durable only when told, at once, or now
//   restart | reboot            the process dies and comes back; what was not durable is lost
//   lose-link                   the stream to the master breaks
//   epoch N                     the next messages come from the master of this epoch
//   ping N | shutdown WHY | reconcile TASK
//
// What only keeps a link alive is left out: pongs are said, deadlines without effect are not.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "services/agent/core/testing/agent_harness.h"
#include "services/base/overloaded.h"
#include "services/base/testing/transcript.h"
#include "services/model/testing/message_text.h"

namespace tessera::agent::testing {
namespace {

using model::testing::MessageText;

constexpr char kFolder[] = "services/agent/core/testdata";

// The kinds of records, which is what their order is about.
std::string KindsOf(const std::vector<checkpoint::Record>& records) {
  std::vector<std::string> kinds;
  for (const checkpoint::Record& record : records) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    record.GetReflection()->ListFields(record, &fields);
    for (const auto* field : fields) kinds.push_back(field->name());
  }
  return absl::StrJoin(kinds, ", ");
}

std::string Text(const Effect& effect) {
  return std::visit(
      base::Overloaded{
          [](const RecoverContainers& e) {
            return absl::StrCat("recover containers [",
                                absl::StrJoin(e.expected_container_ids, ", "), "]");
          },
          [](const OpenLink& e) { return absl::StrCat("dial ", e.address, " as ", e.link); },
          [](const SendToMaster& e) {
            return absl::StrCat("to master ", e.link, ": ", MessageText(e.message));
          },
          [](const CloseLink& e) {
            return absl::StrCat("close link ", e.link, ": ", std::string(e.reason.message()));
          },
          [](const Persist& e) {
            return absl::StrCat(e.replace ? "replace the log by " : "write ", e.id, ": ",
                                KindsOf(e.records));
          },
          [](const CreatePod& e) { return absl::StrCat("create pod ", e.spec.pod_id.text()); },
          [](const UpdatePod& e) {
            return absl::StrCat("limit pod ", e.pod_id, " to ", e.limits.cpus_milli, "m cpus");
          },
          [](const DestroyPod& e) { return absl::StrCat("destroy pod ", e.pod_id); },
          [](const LaunchContainer& e) {
            return absl::StrCat("launch ", e.spec.container_id.text(), " in ", e.spec.sandbox);
          },
          [](const KillContainer& e) {
            return absl::StrCat("kill ", e.container_id, " after ", absl::FormatDuration(e.grace));
          },
          [](const DestroyContainer& e) { return absl::StrCat("destroy ", e.container_id); },
          [](const SignalContainer& e) {
            return absl::StrCat("signal ", e.signal_number, " to ", e.container_id);
          },
          [](const ReleaseContainer& e) { return absl::StrCat("release ", e.container_id); },
          [](const DeleteSandbox& e) { return absl::StrCat("delete ", e.path); },
          [](const AnswerOperator& e) {
            return absl::StrCat("answer ", e.call, ": ", e.status.ToString());
          },
          [](const Fatal& e) { return absl::StrCat("fatal: ", e.message); },
      },
      effect);
}

class Stage {
 public:
  Stage() {
    agent_.watch = [this](const Effect& effect) { Note(effect); };
  }

  std::string Run(const std::string& command) {
    said_.clear();
    const std::vector<std::string> words = base::CommandWords(command);
    Do(words.at(0), std::vector<std::string>(words.begin() + 1, words.end()));
    return WithShortNames(said_);
  }

 private:
  // Containers as c1, c2, … in the order of their launches, and the pods that they are in as p1, ….
  std::string WithShortNames(const std::string& text) const {
    std::map<std::string, std::string> names;
    size_t pods = 0;
    size_t containers = 0;
    for (const std::string& id : agent_.launched) {
      const std::vector<std::string> path = absl::StrSplit(id, '.');
      if (path.size() > 1 && !names.contains(path[0])) names[path[0]] = absl::StrCat("p", ++pods);
      names.try_emplace(path.back(), absl::StrCat("c", ++containers));
    }
    return absl::StrReplaceAll(text, names);
  }

  void Note(const Effect& effect) {
    absl::StrAppend(&said_, Text(effect), "\n");
    const auto* sent = std::get_if<SendToMaster>(&effect);
    if (sent == nullptr || !sent->message.has_status_update()) return;
    updates_[sent->message.status_update().status().task_id()] = sent->message.status_update();
  }

  void Do(const std::string& verb, const std::vector<std::string>& words) {
    const auto word = [&](size_t i, const std::string& otherwise = "") {
      return i < words.size() ? words[i] : otherwise;
    };
    const auto number = [&](size_t i, int64_t otherwise) {
      int64_t value = otherwise;
      if (i < words.size()) {
        EXPECT_TRUE(absl::SimpleAtoi(words[i], &value)) << words[i];
      }
      return value;
    };
    if (verb == "register") {
      agent_.Register(word(0, "agent-1"));
    } else if (verb == "run") {
      agent_.FromMaster(agent_.RunTask(word(0), number(1, 1)));
    } else if (verb == "group") {
      AgentHarness::GroupShape shape;
      shape.executor = word(0);
      std::vector<std::string> tasks(words.begin() + 1, words.end());
      if (!tasks.empty() && tasks[0] == "+") {
        shape.begins = false;
        tasks.erase(tasks.begin());
      }
      agent_.FromMaster(agent_.RunGroup(tasks, shape));
    } else if (verb == "kill") {
      agent_.FromMaster(agent_.Kill(word(0), number(1, -1)));
    } else if (verb == "acknowledge") {
      agent_.Acknowledge(updates_[word(0)]);
    } else if (verb == "launched") {
      agent_.Launched(word(0));
    } else if (verb == "runs") {
      agent_.ContainerStarts(word(0));
    } else if (verb == "dies") {
      agent_.ContainerEnds(word(0), static_cast<int>(number(1, 0)));
    } else if (verb == "ends") {
      agent_.Ends(word(0), static_cast<int>(number(1, 0)));
    } else if (verb == "ends-by-memory") {
      agent_.Ends(word(0), 9, true);
    } else if (verb == "ends-unseen") {
      agent_.Ends(word(0), static_cast<int>(number(1, 0)), false, true);
    } else if (verb == "launch-fails") {
      agent_.LaunchFails(word(0), LaunchStep::kExec, word(1));
    } else if (verb == "wait") {
      agent_.Advance(absl::Seconds(number(0, 0)));
    } else if (verb == "sync") {
      if (word(0) != "off") agent_.Sync();
      if (!words.empty()) agent_.auto_sync = word(0) == "on";
    } else if (verb == "restart") {
      agent_.Restart();
    } else if (verb == "reboot") {
      agent_.Restart(true);
    } else if (verb == "lose-link") {
      agent_.Step(LinkClosed{agent_.link, absl::UnavailableError("connection reset")});
    } else if (verb == "epoch") {
      agent_.epoch = static_cast<uint64_t>(number(0, 1));
    } else if (verb == "ping") {
      MasterMessage message;
      message.mutable_ping()->set_sequence(static_cast<uint64_t>(number(0, 1)));
      agent_.FromMaster(message);
    } else if (verb == "shutdown") {
      MasterMessage message;
      message.mutable_shutdown()->set_message(word(0));
      agent_.FromMaster(message);
    } else {
      ADD_FAILURE() << "no such command: " << verb;
    }
  }

  AgentHarness agent_;
  std::string said_;
  // The newest status of each task.
  std::map<std::string, AgentMessage::StatusUpdate> updates_;
};

class AgentTranscriptTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AgentTranscriptTest, IsAsWritten) {
  Stage stage;
  base::RunTranscript(GetParam(),
                      [&stage](const std::string& command) { return stage.Run(command); });
}

INSTANTIATE_TEST_SUITE_P(All, AgentTranscriptTest,
                         ::testing::ValuesIn(base::TranscriptFiles(kFolder)),
                         [](const auto& info) { return base::TranscriptName(info.param); });

}  // namespace
}  // namespace tessera::agent::testing
