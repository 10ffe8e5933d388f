#include "services/agent/testing/agent_process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tessera::agent::testing {
namespace {

std::string FileContents(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::string WordAfter(const std::string& line, const std::string& key) {
  const size_t begin = line.find(key);
  if (begin == std::string::npos) return "";
  const size_t end = line.find_first_of(" \n", begin);
  return line.substr(begin + key.size(), end - begin - key.size());
}

}  // namespace

AgentProcess::AgentProcess(std::string agent, std::string launcher)
    : agent_(std::move(agent)), launcher_(std::move(launcher)) {
  std::string pattern = "/tmp/tessera-agent-test-XXXXXX";
  home_ = ::mkdtemp(pattern.data());
  // Containers run as any user below it.
  ::chmod(home_.c_str(), 0755);
  cgroups_root_ = absl::StrCat("tessera-test/", home_.substr(home_.rfind('-') + 1));
}

AgentProcess::~AgentProcess() {
  if (pid_ > 0) KillHard();
  for (const pid_t pid : ContainerProcesses()) ::kill(pid, SIGKILL);
  for (int i = 0; i < 500 && !ContainerProcesses().empty(); ++i)
    absl::SleepFor(absl::Milliseconds(10));
  // Cgroups from the leaves up.
  for (int i = 0; i < 50; ++i) {
    size_t left = 0;
    for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup")) {
      const std::string root = hierarchy.path().string() + "/" + cgroups_root_;
      if (!std::filesystem::exists(root)) continue;
      for (const auto& child : std::filesystem::directory_iterator(root)) {
        if (child.is_directory() && ::rmdir(child.path().c_str()) != 0) ++left;
      }
      if (::rmdir(root.c_str()) != 0) ++left;
      ::rmdir((hierarchy.path().string() + "/tessera-test").c_str());
    }
    if (left == 0) break;
    absl::SleepFor(absl::Milliseconds(20));
  }
  std::error_code ignored;
  std::filesystem::remove_all(home_, ignored);
}

bool AgentProcess::Start(const std::string& master, const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {agent_,
                                        "--master=" + master,
                                        "--listen=127.0.0.1:0",
                                        "--http_listen=127.0.0.1:0",
                                        "--hostname=test-host",
                                        "--work_dir=" + work_dir(),
                                        "--runtime_dir=" + home_ + "/run",
                                        "--launcher=" + launcher_,
                                        "--cgroups_root=" + cgroups_root_};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return false;
  const std::string log = home_ + "/stderr";
  pid_ = ::fork();
  if (pid_ == 0) {
    const int log_fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out[1], 1);
    ::dup2(log_fd, 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  std::string line;
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (line.find('\n') == std::string::npos && absl::Now() < deadline) {
    pollfd waiting{out[0], POLLIN, 0};
    if (::poll(&waiting, 1, 100) <= 0) continue;
    char buffer[256];
    const ssize_t got = ::read(out[0], buffer, sizeof buffer);
    if (got <= 0) break;
    line.append(buffer, static_cast<size_t>(got));
  }
  ::close(out[0]);
  grpc_address_ = WordAfter(line, "grpc=");
  http_address_ = WordAfter(line, "http=");
  if (!grpc_address_.empty()) return true;
  ::waitpid(pid_, &exit_status_, 0);
  pid_ = 0;
  return false;
}

void AgentProcess::KillHard() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &exit_status_, 0);
  pid_ = 0;
}

int AgentProcess::Stop() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, &exit_status_, 0);
  pid_ = 0;
  return exit_status_;
}

std::string AgentProcess::LastWords() const { return FileContents(home_ + "/stderr"); }

std::string AgentProcess::Get(const std::string& path) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port =
      htons(static_cast<uint16_t>(std::stoi(http_address_.substr(http_address_.rfind(':') + 1))));
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request =
        absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    if (::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
      char buffer[65536];
      for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
        answer.append(buffer, static_cast<size_t>(got));
      }
    }
  }
  ::close(fd);
  return answer;
}

std::vector<std::string> AgentProcess::Cgroups() const {
  std::vector<std::string> found;
  for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup")) {
    const std::string root = hierarchy.path().string() + "/" + cgroups_root_;
    if (std::filesystem::exists(root)) found.push_back(root);
  }
  return found;
}

std::vector<pid_t> AgentProcess::ContainerProcesses() const {
  std::set<pid_t> pids;
  for (const char* hierarchy : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) {
    const std::string root = absl::StrCat(hierarchy, "/", cgroups_root_);
    if (!std::filesystem::exists(root)) continue;
    for (const auto& child : std::filesystem::directory_iterator(root)) {
      std::ifstream procs(child.path().string() + "/cgroup.procs");
      for (pid_t pid = 0; procs >> pid;) pids.insert(pid);
    }
  }
  return {pids.begin(), pids.end()};
}

}  // namespace tessera::agent::testing
