// agent-svc as people run it: the real program, real containers, a real gRPC link to a master that
// the test plays. Needs root.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "protos/tessera/agent/v1/agent_service.grpc.pb.h"
#include "services/agent/testing/agent_process.h"
#include "services/agent/testing/fake_master.h"
#include "services/agent/testing/task_commands.h"
#include "services/rpc/channel.h"
#include "services/rpc/status.h"

namespace tessera::agent {
namespace {

using model::v1::ErrorDetail;
using testing::AgentProcess;
using ::testing::AllOf;
using testing::Await;
using testing::Describe;
using ::testing::ElementsAre;
using testing::FakeMaster;
using ::testing::HasSubstr;
using testing::KillTask;
using ::testing::Not;
using testing::RunTask;
using testing::RunTaskGroup;
using ::testing::SizeIs;
using testing::TaskOf;
using MasterMessage = FakeMaster::MasterMessage;

constexpr char kResources[] = "--resources=cpus:64;mem:8192;disk:10240;ports:[]";

// It runs no more, whether or not its parent has looked at it.
bool HasEnded(uint32_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string stat;
  if (!std::getline(file, stat)) return true;
  const size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos || stat[name_end + 2] == 'Z' || stat[name_end + 2] == 'X';
}

class AgentSvcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "containers need root";
  }

  void StartAgent(const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {kResources, "--status_retry=200ms",
                                      "--registration_backoff=50ms"};
    flags.insert(flags.end(), more.begin(), more.end());
    ASSERT_TRUE(agent_.Start(master_.address(), flags)) << agent_.LastWords();
    ASSERT_TRUE(master_.AwaitRegistrations(++registrations_)) << agent_.LastWords();
  }

  // Where the running task's sandbox is on this machine.
  std::string SandboxOf(const model::v1::TaskStatus& running) const {
    return absl::StrCat(agent_.work_dir(), "/sandboxes/fw/", running.task_id(), "/",
                        running.container_status().container_id());
  }
  // Waits until the task has run so far that it made the file.
  bool AwaitFile(const model::v1::TaskStatus& running, const std::string& name) const {
    const std::string path = absl::StrCat(SandboxOf(running), "/", name);
    return Await([&path] { return ::access(path.c_str(), F_OK) == 0; });
  }

  std::unique_ptr<v1::AgentService::Stub> Stub() {
    return v1::AgentService::NewStub(rpc::MakeChannel(agent_.grpc_address()));
  }

  // Reads a file until the stream ends.
  absl::StatusOr<std::string> Read(const std::string& task, const std::string& path,
                                   bool follow = false) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::ReadFileRequest request;
    request.mutable_sandbox()->set_framework_id("fw");
    request.mutable_sandbox()->set_task_id(task);
    request.set_path(path);
    request.set_follow(follow);
    const auto stub = Stub();
    const auto reader = stub->ReadFile(&context, request);
    std::string data;
    for (v1::ReadFileResponse response; reader->Read(&response);) {
      EXPECT_EQ(response.offset(), data.size());
      data += response.data();
    }
    const absl::Status status = rpc::FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    return data;
  }

  FakeMaster master_;
  AgentProcess agent_{"services/agent/agent-svc", "services/agent/launcher/agent-launcher"};
  int registrations_ = 0;
};

TEST_F(AgentSvcTest, TaskRunsAndItsOutputIsRead) {
  StartAgent();
  master_.Send(
      RunTask("hello", "echo to-stdout; echo to-stderr >&2; echo $TESSERA_TASK_ID; exit 7"));
  const auto status = master_.AwaitStatus("hello", model::v1::TASK_FAILED);
  EXPECT_EQ(status.message(), "Command exited with status 7");
  EXPECT_EQ(status.wait_status(), 7 << 8);
  std::vector<std::string> states;
  for (const auto& s : master_.StatusesOf("hello")) {
    states.push_back(model::v1::TaskState_Name(s.state()));
  }
  EXPECT_THAT(states, ElementsAre("TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"));
  EXPECT_EQ(*Read("hello", "stdout"), "to-stdout\nhello\n");
  EXPECT_EQ(*Read("hello", "stderr"), "to-stderr\n");
}

// Containers outlive their agent, and their ends are told truly.
TEST_F(AgentSvcTest, TwentyContainersOutliveKillMinusNine) {
  StartAgent();
  for (int i = 0; i < 20; ++i) {
    // Even ones run on; odd ones end with their number while the agent is away.
    master_.Send(RunTask(absl::StrCat("t", i),
                         i % 2 == 0
                             ? "sleep 600"
                             : absl::StrCat("while [ ! -e go ]; do sleep 0.05; done; exit ", i)));
  }
  std::map<std::string, uint32_t> pids;
  std::map<std::string, std::string> sandboxes;
  for (int i = 0; i < 20; ++i) {
    const auto status = master_.AwaitStatus(absl::StrCat("t", i), model::v1::TASK_RUNNING);
    ASSERT_EQ(status.state(), model::v1::TASK_RUNNING) << i << agent_.LastWords();
    pids[status.task_id()] = status.container_status().init_pid();
    sandboxes[status.task_id()] = SandboxOf(status);
  }
  agent_.KillHard();
  for (int i = 1; i < 20; i += 2) {
    ASSERT_TRUE(std::ofstream(sandboxes[absl::StrCat("t", i)] + "/go").good());
  }
  for (int i = 1; i < 20; i += 2) {
    ASSERT_TRUE(Await([&] { return HasEnded(pids[absl::StrCat("t", i)]); })) << "t" << i;
  }
  for (int i = 0; i < 20; i += 2) {
    EXPECT_EQ(::kill(static_cast<pid_t>(pids[absl::StrCat("t", i)]), 0), 0) << "t" << i << " lives";
  }
  StartAgent();
  for (int i = 1; i < 20; i += 2) {
    const auto status = master_.AwaitStatus(absl::StrCat("t", i), model::v1::TASK_FAILED);
    ASSERT_EQ(status.state(), model::v1::TASK_FAILED) << "t" << i << "\n" << agent_.LastWords();
    EXPECT_EQ(status.wait_status(), i << 8) << "t" << i;
  }
  const auto inventory = master_.inventory();
  for (int i = 0; i < 20; i += 2) {
    const std::string task = absl::StrCat("t", i);
    ASSERT_EQ(inventory.count(task), 1) << task;
    EXPECT_EQ(inventory.at(task).state(), model::v1::TASK_RUNNING);
    EXPECT_EQ(::kill(static_cast<pid_t>(pids[task]), 0), 0) << task;
  }
  // They still belong to the agent: it can end them, and hears how.
  for (int i = 0; i < 20; i += 2) master_.Send(KillTask(absl::StrCat("t", i), 5));
  for (int i = 0; i < 20; i += 2) {
    const auto status = master_.AwaitStatus(absl::StrCat("t", i), model::v1::TASK_KILLED);
    EXPECT_EQ(status.state(), model::v1::TASK_KILLED) << i;
    EXPECT_EQ(status.wait_status(), SIGTERM) << i;
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(master_.StatusesOf(absl::StrCat("t", i)), SizeIs(3)) << "each state once";
  }
}

TEST_F(AgentSvcTest, KillMinusNineDuringLaunchesLosesNobody) {
  StartAgent();
  constexpr int kTasks = 60;
  for (int i = 0; i < kTasks; ++i) {
    master_.Send(RunTask(absl::StrCat("t", i), "exit 3"));
    // Somewhere among the launches, again and again.
    if (i % 12 == 11) {
      absl::SleepFor(absl::Milliseconds(2 * i));
      agent_.KillHard();
      StartAgent();
      MasterMessage ask;
      for (int j = 0; j <= i; ++j) {
        // As a master does that misses tasks in the inventory.
        const std::string task = absl::StrCat("t", j);
        const auto known = master_.StatusesOf(task);
        if (master_.inventory().count(task) > 0 ||
            (!known.empty() && known.back().state() >= model::v1::TASK_FINISHED)) {
          continue;
        }
        auto* missing = ask.mutable_reconcile_tasks()->add_tasks();
        missing->set_framework_id("fw");
        missing->set_task_id(task);
      }
      master_.Send(ask);
    }
  }
  int failed = 0;
  for (int i = 0; i < kTasks; ++i) {
    const std::string task = absl::StrCat("t", i);
    int terminal = 0;
    for (int wait = 0; wait < 2000 && terminal == 0; ++wait) {
      for (const auto& status : master_.StatusesOf(task)) {
        terminal += status.state() >= model::v1::TASK_FINISHED;
      }
      if (terminal == 0) absl::SleepFor(absl::Milliseconds(10));
    }
    ASSERT_EQ(terminal, 1) << task << " has exactly one end\n" << agent_.LastWords();
    const auto last = master_.StatusesOf(task).back();
    if (last.state() == model::v1::TASK_FAILED) {
      ++failed;
      EXPECT_EQ(last.wait_status(), 3 << 8) << task;
    } else {
      EXPECT_EQ(last.state(), model::v1::TASK_DROPPED) << task << " " << last.message();
    }
  }
  EXPECT_GT(failed, 0) << "some were launched before the agent was killed";
  EXPECT_THAT(agent_.ContainerProcesses().size(), ::testing::Le(8)) << "only inits kept ready";
}

TEST_F(AgentSvcTest, KillGivesGraceThenForces) {
  StartAgent();
  master_.Send(RunTask("polite", "trap 'exit 0' TERM; : > set; while :; do sleep 0.05; done"));
  master_.Send(RunTask("stubborn", "trap '' TERM; : > set; while :; do sleep 0.05; done"));
  for (const char* task : {"polite", "stubborn"}) {
    ASSERT_TRUE(AwaitFile(master_.AwaitStatus(task, model::v1::TASK_RUNNING), "set")) << task;
  }
  const absl::Time killed = absl::Now();
  master_.Send(KillTask("polite", 30));
  master_.Send(KillTask("stubborn", 1));
  const auto polite = master_.AwaitStatus("polite", model::v1::TASK_KILLED);
  EXPECT_EQ(polite.wait_status(), 0);
  EXPECT_LT(absl::Now() - killed, absl::Seconds(5));
  const auto stubborn = master_.AwaitStatus("stubborn", model::v1::TASK_KILLED);
  EXPECT_EQ(stubborn.wait_status() & 0x7f, SIGKILL);
  EXPECT_GE(absl::Now() - killed, absl::Seconds(1));
}

TEST_F(AgentSvcTest, ALaterKillShortensTheGrace) {
  StartAgent();
  master_.Send(RunTask("stubborn", "trap '' TERM; : > set; while :; do sleep 0.05; done"));
  ASSERT_TRUE(AwaitFile(master_.AwaitStatus("stubborn", model::v1::TASK_RUNNING), "set"));
  const absl::Time killed = absl::Now();
  master_.Send(KillTask("stubborn", 300));
  master_.Send(KillTask("stubborn", 1));
  EXPECT_EQ(master_.AwaitStatus("stubborn", model::v1::TASK_KILLED).state(),
            model::v1::TASK_KILLED);
  EXPECT_LT(absl::Now() - killed, absl::Seconds(10));
}

TEST_F(AgentSvcTest, ExhaustedMemoryIsToldAsSuch) {
  StartAgent();
  master_.Send(RunTask("hungry", "tail -c 200000000 /dev/zero | tail | wc -c; exit 5", 48));
  master_.Send(RunTask("hungry-alone", "exec tail /dev/zero", 48));
  const auto status = master_.AwaitStatus("hungry-alone", model::v1::TASK_FAILED);
  EXPECT_EQ(status.reason(), model::v1::REASON_CONTAINER_LIMITATION_MEMORY) << status.message();
  EXPECT_EQ(status.limitation_size(), 1);
  EXPECT_THAT(status.message(), HasSubstr("emory"));
}

TEST_F(AgentSvcTest, StatusIsRepeatedUntilAcknowledgedAlsoByTheNextAgent) {
  StartAgent();
  master_.set_acknowledge(false);
  master_.Send(RunTask("t", "exit 0"));
  ASSERT_EQ(master_.AwaitStatus("t", model::v1::TASK_STARTING).state(), model::v1::TASK_STARTING);
  EXPECT_TRUE(Await([&] { return master_.DeliveriesOf("t") >= 3; })) << "at 0, 0.2, 0.6 … s";
  EXPECT_THAT(master_.StatusesOf("t"), SizeIs(1)) << "one at a time";
  agent_.KillHard();
  const int before = master_.DeliveriesOf("t");
  StartAgent();
  EXPECT_TRUE(Await([&] { return master_.DeliveriesOf("t") > before; }));
  EXPECT_THAT(master_.StatusesOf("t"), SizeIs(1)) << "the same one again";
  master_.set_acknowledge(true);
  EXPECT_EQ(master_.AwaitStatus("t", model::v1::TASK_FINISHED).wait_status(), 0);
  EXPECT_THAT(master_.StatusesOf("t"), SizeIs(3));
}

TEST_F(AgentSvcTest, StaleEpochIsRefusedAlsoAfterARestart) {
  master_.set_epoch(7);
  StartAgent();
  master_.Send(RunTask("t", "sleep 600"));
  master_.AwaitStatus("t", model::v1::TASK_RUNNING);
  agent_.KillHard();
  StartAgent();
  EXPECT_EQ(master_.last_registration().highest_epoch(), 7);
  master_.set_epoch(6);
  master_.Send(KillTask("t", 0));
  master_.Send(RunTask("never", "exit 0"));
  // The link that carried them was ended by the first of them, and what came after it was not read.
  EXPECT_TRUE(Await([&] {
    const std::string metrics = agent_.Get("/metrics");
    return metrics.find("\ntessera_agent_stale_batches_total ") != std::string::npos &&
           metrics.find("\ntessera_agent_stale_batches_total 0\n") == std::string::npos;
  }));
  EXPECT_THAT(agent_.Get("/metrics"),
              AllOf(HasSubstr("\ntessera_agent_steps_total{kind=\"started\"} 1\n"),
                    HasSubstr("\ntessera_agent_effects_total{kind=\"fatal\"} 0\n")));
  EXPECT_THAT(master_.StatusesOf("never"), SizeIs(0));
  master_.set_epoch(8);
  model::v1::TaskStatus killed;
  for (int i = 0; i < 200 && killed.state() != model::v1::TASK_KILLED; ++i) {
    master_.Send(KillTask("t", 0));
    killed = master_.AwaitStatus("t", model::v1::TASK_KILLED, absl::Milliseconds(100));
  }
  EXPECT_EQ(killed.state(), model::v1::TASK_KILLED) << "a master that leads is obeyed again";
}

TEST_F(AgentSvcTest, BadTasksAreRefusedAndHarmNobody) {
  StartAgent();
  master_.Send(RunTask("good", "sleep 600"));
  master_.AwaitStatus("good", model::v1::TASK_RUNNING);
  for (const std::string& bad : {std::string("../../../etc/x"), std::string("a/b"),
                                 std::string("a\nb"), std::string(300, 'x')}) {
    master_.Send(RunTask(bad, "touch /tmp/should-not-be-there"));
    EXPECT_THAT(master_.AwaitStatus(bad, model::v1::TASK_ERROR).message(), HasSubstr("task id"));
  }
  MasterMessage huge = RunTask("huge", "exit 0");
  Describe(huge.mutable_run_task()->mutable_task(),
           [](auto* info) { info->mutable_command()->set_value(std::string(40 << 20, '#')); });
  master_.Send(huge);
  EXPECT_THAT(master_.AwaitStatus("huge", model::v1::TASK_ERROR).message(), HasSubstr("more than"));
  MasterMessage user = RunTask("user", "exit 0");
  Describe(user.mutable_run_task()->mutable_task(),
           [](auto* info) { info->mutable_command()->set_user("no-such-user"); });
  master_.Send(user);
  EXPECT_THAT(master_.AwaitStatus("user", model::v1::TASK_FAILED).message(),
              HasSubstr("no-such-user"));
  MasterMessage program = RunTask("program", "/no/such/program");
  Describe(program.mutable_run_task()->mutable_task(),
           [](auto* info) { info->mutable_command()->set_shell(false); });
  master_.Send(program);
  EXPECT_THAT(master_.AwaitStatus("program", model::v1::TASK_FAILED).message(),
              HasSubstr("No such file"));
  // More than any message may be: the stream ends, the agent comes back, nothing is lost.
  MasterMessage enormous = RunTask("enormous", "exit 0");
  Describe(enormous.mutable_run_task()->mutable_task(),
           [](auto* info) { info->set_data(std::string(100 << 20, 'd')); });
  master_.Send(enormous);
  ASSERT_TRUE(master_.AwaitRegistrations(++registrations_));
  EXPECT_EQ(master_.inventory()["good"].state(), model::v1::TASK_RUNNING);
}

TEST_F(AgentSvcTest, GroupRunsTogetherAndFailsTogether) {
  StartAgent();
  const MasterMessage message =
      RunTaskGroup("group-1", {TaskOf("side", "sleep 600"), TaskOf("main", "sleep 0.3; exit 4")});
  master_.Send(message);
  EXPECT_EQ(master_.AwaitStatus("main", model::v1::TASK_FAILED).wait_status(), 4 << 8);
  EXPECT_EQ(master_.AwaitStatus("side", model::v1::TASK_KILLED).wait_status(), SIGTERM);
}

TEST_F(AgentSvcTest, OperatorsSeeAndEndContainers) {
  StartAgent();
  master_.Send(RunTask("t", "sleep 600"));
  const auto running = master_.AwaitStatus("t", model::v1::TASK_RUNNING);
  const std::string id = running.container_status().container_id();
  const auto stub = Stub();
  {
    grpc::ClientContext context;
    v1::GetAgentResponse response;
    ASSERT_TRUE(stub->GetAgent(&context, {}, &response).ok());
    EXPECT_EQ(response.info().id(), "test-agent");
    EXPECT_EQ(response.master_address(), master_.address());
    EXPECT_EQ(response.used_size(), 2);
  }
  {
    grpc::ClientContext context;
    v1::ListContainersRequest request;
    request.set_with_usage(true);
    v1::ListContainersResponse response;
    ASSERT_TRUE(stub->ListContainers(&context, request, &response).ok());
    ASSERT_EQ(response.containers_size(), 1);
    EXPECT_EQ(response.containers(0).id(), id);
    EXPECT_EQ(response.containers(0).state(), v1::Container::RUNNING);
    EXPECT_GT(response.containers(0).usage().memory_limit_bytes(), 0);
    EXPECT_GT(response.containers(0).usage().processes(), 0);
  }
  const std::string containers = agent_.Get("/containers");
  EXPECT_THAT(containers, HasSubstr(absl::StrCat("\"container_id\":\"", id, "\"")));
  EXPECT_THAT(containers, HasSubstr("\"mem_limit_bytes\":67108864"));
  EXPECT_THAT(agent_.Get("/healthz"), HasSubstr("200"));
  const std::string metrics = agent_.Get("/metrics");
  EXPECT_THAT(metrics, HasSubstr("tessera_agent_registered 1"));
  EXPECT_THAT(metrics, HasSubstr("tessera_agent_containers{state=\"running\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("tessera_agent_container_launch_duration_seconds_count 1"));
  {
    grpc::ClientContext context;
    v1::KillContainerRequest request;
    request.set_container_id(id);
    v1::KillContainerResponse response;
    ASSERT_TRUE(stub->KillContainer(&context, request, &response).ok());
  }
  {
    grpc::ClientContext context;
    v1::WaitContainerRequest request;
    request.set_container_id(id);
    v1::WaitContainerResponse response;
    ASSERT_TRUE(stub->WaitContainer(&context, request, &response).ok());
    EXPECT_EQ(response.termination().wait_status() & 0x7f, SIGKILL);
  }
  EXPECT_THAT(master_.AwaitStatus("t", model::v1::TASK_KILLED).message(), HasSubstr("operator"));
  {
    grpc::ClientContext context;
    v1::ListImagesResponse response;
    const absl::Status status = rpc::FromGrpc(stub->ListImages(&context, {}, &response));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(rpc::ReasonOf(status), ErrorDetail::NOT_SUPPORTED);
  }
}

TEST_F(AgentSvcTest, SandboxesAreReadButNotLeft) {
  StartAgent();
  master_.Send(RunTask("t",
                       "ln -s /etc/passwd out; ln -s ../../../../../../etc/passwd up; mkfifo pipe; "
                       "mkdir d; echo inside > d/file; ln -s d/file fine; echo done"));
  ASSERT_EQ(master_.AwaitStatus("t", model::v1::TASK_FINISHED).state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(*Read("t", "d/file"), "inside\n");
  EXPECT_EQ(*Read("t", "fine"), "inside\n");
  for (const char* path : {"out", "up", "../../../agent.log", "/etc/passwd", "pipe", "d", ""}) {
    const auto read = Read("t", path);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
  EXPECT_EQ(Read("t", "missing").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Read("../..", "agent.log").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rpc::ReasonOf(Read("unknown", "stdout").status()), ErrorDetail::UNKNOWN_TASK);
  grpc::ClientContext context;
  v1::ListFilesRequest request;
  request.mutable_sandbox()->set_framework_id("fw");
  request.mutable_sandbox()->set_task_id("t");
  request.set_page_size(3);
  v1::ListFilesResponse response;
  ASSERT_TRUE(Stub()->ListFiles(&context, request, &response).ok());
  ASSERT_EQ(response.files_size(), 3);
  EXPECT_EQ(response.files(0).path(), "d");
  EXPECT_EQ(response.next_page_token(), "out");
}

TEST_F(AgentSvcTest, FollowedFileEndsWithItsTask) {
  StartAgent();
  master_.Send(RunTask("t", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done"));
  master_.AwaitStatus("t", model::v1::TASK_RUNNING);
  const auto read = Read("t", "stdout", /*follow=*/true);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, "line 1\nline 2\nline 3\nline 4\nline 5\n");
}

TEST_F(AgentSvcTest, StopLeavesContainersRunning) {
  StartAgent();
  master_.Send(RunTask("t", "sleep 600"));
  const auto running = master_.AwaitStatus("t", model::v1::TASK_RUNNING);
  const int status = agent_.Stop();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << agent_.LastWords();
  EXPECT_EQ(::kill(static_cast<pid_t>(running.container_status().init_pid()), 0), 0);
  StartAgent();
  EXPECT_EQ(master_.inventory()["t"].state(), model::v1::TASK_RUNNING);
}

TEST_F(AgentSvcTest, StopWithoutContainersLeavesNoCgroup) {
  StartAgent();
  master_.Send(RunTask("t", "exit 0"));
  master_.AwaitStatus("t", model::v1::TASK_FINISHED);
  EXPECT_THAT(agent_.Cgroups(), Not(SizeIs(0)));
  agent_.Stop();
  EXPECT_THAT(agent_.Cgroups(), SizeIs(0));
}

// ---- What operators get wrong ----

TEST_F(AgentSvcTest, WrongFlagsAreNamed) {
  EXPECT_FALSE(agent_.Start(master_.address(), {"--resorces=cpus:4"}));
  EXPECT_EQ(WEXITSTATUS(agent_.exit_status()), 2);
  EXPECT_THAT(agent_.LastWords(), HasSubstr("resources"));
  EXPECT_FALSE(agent_.Start(master_.address(), {"--resources=cpus:lots"}));
  EXPECT_EQ(WEXITSTATUS(agent_.exit_status()), 2);
  EXPECT_THAT(agent_.LastWords(), HasSubstr("--resources"));
  EXPECT_FALSE(agent_.Start("nowhere", {}));
  EXPECT_THAT(agent_.LastWords(), HasSubstr("--master"));
  EXPECT_FALSE(agent_.Start(master_.address(), {"--work_dir=/proc/nope"}));
  EXPECT_THAT(agent_.LastWords(), HasSubstr("/proc/nope"));
}

TEST_F(AgentSvcTest, SecondAgentOnTheSameDirectoryIsRefused) {
  StartAgent();
  AgentProcess second("services/agent/agent-svc", "services/agent/launcher/agent-launcher");
  EXPECT_FALSE(second.Start(master_.address(), {"--work_dir=" + agent_.work_dir()}));
  EXPECT_THAT(second.LastWords(), HasSubstr("another agent uses"));
  EXPECT_FALSE(second.Start(master_.address(), {"--listen=" + agent_.grpc_address()}));
  EXPECT_THAT(second.LastWords(), HasSubstr("in use"));
}

TEST_F(AgentSvcTest, DamagedLogIsRefusedWithWhatToDo) {
  StartAgent();
  for (int i = 0; i < 3; ++i) {
    master_.Send(RunTask(absl::StrCat("t", i), "exit 0"));
    master_.AwaitStatus(absl::StrCat("t", i), model::v1::TASK_FINISHED);
  }
  agent_.Stop();
  const std::string path = agent_.work_dir() + "/agent.log";
  {
    std::fstream log(path, std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(40);
    log.put('?');
  }
  EXPECT_FALSE(agent_.Start(master_.address(), {kResources}));
  EXPECT_EQ(WEXITSTATUS(agent_.exit_status()), 1);
  EXPECT_THAT(agent_.LastWords(), HasSubstr("is damaged at byte"));
  EXPECT_THAT(agent_.LastWords(), HasSubstr("move the file away"));
}

TEST_F(AgentSvcTest, LessResourcesThanRegisteredAreRefused) {
  StartAgent();
  master_.Send(RunTask("t", "exit 0"));
  master_.AwaitStatus("t", model::v1::TASK_FINISHED);
  agent_.Stop();
  // It listens for a moment, then finds what is wrong.
  agent_.Start(master_.address(), {"--resources=cpus:1;mem:1;disk:1;ports:[]"});
  for (int i = 0; i < 500 && agent_.LastWords().find("does not fit") == std::string::npos; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_THAT(agent_.LastWords(), HasSubstr("cpus:64"));
}

}  // namespace
}  // namespace tessera::agent
