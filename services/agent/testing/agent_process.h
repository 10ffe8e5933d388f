// agent-svc as a process of a test, with directories and a cgroup of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tessera::agent::testing {

class AgentProcess {
 public:
  // `agent` and `launcher` are paths of the programs.
  AgentProcess(std::string agent, std::string launcher);
  // Kills the agent and every container of it, and removes its directories.
  ~AgentProcess();
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // Starts it and waits for its line on stdout. False when it ended instead; see exit_status() and
  // LastWords().
  bool Start(const std::string& master, const std::vector<std::string>& flags = {});
  // kill -9, and waits for its end.
  void KillHard();
  // SIGTERM, and waits; returns the wait status.
  int Stop();

  pid_t pid() const { return pid_; }
  int exit_status() const { return exit_status_; }
  const std::string& grpc_address() const { return grpc_address_; }
  const std::string& http_address() const { return http_address_; }
  std::string work_dir() const { return home_ + "/work"; }
  const std::string& home() const { return home_; }
  // What it wrote to stderr so far.
  std::string LastWords() const;
  // GET over HTTP; the whole answer, "" when there is none.
  std::string Get(const std::string& path) const;
  // The cgroups that are there for this agent.
  std::vector<std::string> Cgroups() const;
  // Processes in containers of this agent.
  std::vector<pid_t> ContainerProcesses() const;

 private:
  const std::string agent_;
  const std::string launcher_;
  std::string home_;
  std::string cgroups_root_;
  pid_t pid_ = 0;
  int exit_status_ = 0;
  std::string grpc_address_;
  std::string http_address_;
};

}  // namespace tessera::agent::testing
